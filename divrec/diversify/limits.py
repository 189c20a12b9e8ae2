"""How many items of a slate share something: counts that are part of the choice.

Each item is a member of some groups; a group has a greatest and a least count. Positions that stand in the slate
already (``fixed``) count, whatever they make of the bounds.

A least count is kept reachable by a *reserve*: items that would meet what is still unmet, within the greatest counts.
An item may be picked if a reserve remains for one place less: the same, or the same without an item that the pick makes
superfluous. So no pick makes a least count unreachable that was reachable.
"""

from typing import NamedTuple

import numpy as np

from divrec.compiled import compiled
from divrec.diversify.candidates import Positions


class Limits(NamedTuple):
    """Groups of n items."""

    starts: Positions
    """The groups of item i: ``members[starts[i]:starts[i + 1]]``."""
    members: Positions
    most: Positions
    """By group."""
    least: Positions


@compiled
def unlimited(n: int) -> Limits:
    none = np.zeros(0, np.int32)
    return Limits(np.zeros(n + 1, np.int32), none, none, none)


@compiled
def counted(i: int, sign: int, limits: Limits, counts: Positions) -> None:
    for e in range(limits.starts[i], limits.starts[i + 1]):
        counts[limits.members[e]] += sign


@compiled
def fits(i: int, limits: Limits, counts: Positions) -> bool:
    """Whether one more, item ``i``, is within the greatest counts."""
    for e in range(limits.starts[i], limits.starts[i + 1]):
        if counts[limits.members[e]] >= limits.most[limits.members[e]]:
            return False
    return True


@compiled
def member(i: int, group: int, limits: Limits) -> bool:
    for e in range(limits.starts[i], limits.starts[i + 1]):  # noqa: SIM110 - compiled code knows no generators
        if limits.members[e] == group:
            return True
    return False


@compiled
def totals(picked: Positions, limits: Limits) -> Positions:
    """How many of ``picked`` each group has."""
    counts = np.zeros(len(limits.most), np.int32)
    for i in picked:
        counted(i, 1, limits, counts)
    return counts


@compiled
def keeps(picked: Positions, fixed: Positions, limits: Limits) -> bool:
    """Whether ``picked`` beside ``fixed`` keep all bounds; what fixed ones alone exceed is none of theirs."""
    counts = totals(picked, limits)
    before = totals(fixed, limits)
    for group in range(len(counts)):
        both = counts[group] + before[group]
        if both < limits.least[group] or (counts[group] > 0 and both > limits.most[group]):
            return False
    return True


@compiled
def within(order: Positions, fixed: Positions, count: int, limits: Limits) -> tuple[Positions, int]:
    """At most ``count`` items within ``limits``, in ``order``; and how many of them, the first, are for least counts.

    Groups with a least count get their items first, one group after the other.
    """
    counts = totals(fixed, limits)
    free = np.ones(len(limits.starts) - 1, np.bool_)
    for i in fixed:
        free[i] = False
    picked = np.empty(count, np.int32)
    held = 0
    for group in range(len(limits.least)):
        if limits.least[group] <= counts[group]:
            continue
        for i in order:
            if held == count or counts[group] >= limits.least[group]:
                break
            if free[i] and member(i, group, limits) and fits(i, limits, counts):
                picked[held] = i
                held += 1
                free[i] = False
                counted(i, 1, limits, counts)
    reserved = held
    for i in order:
        if held == count:
            break
        if free[i] and fits(i, limits, counts):
            picked[held] = i
            held += 1
            free[i] = False
            counted(i, 1, limits, counts)
    return picked[:held], reserved


class Reserve(NamedTuple):
    """What is kept back, for one choice."""

    items: Positions
    """Room for the positions; ``held[0]`` of them count."""
    held: Positions
    counts: Positions
    """By group: what the slate and the reserve have."""
    need: Positions
    """By group: what they must not fall below."""


@compiled
def reserve_of(items: Positions, fixed: Positions, room: int, limits: Limits) -> Reserve:
    """A reserve of ``items`` for a slate that has ``fixed`` and gets ``room`` more."""
    held = np.zeros(1, np.int32)
    held[0] = len(items)
    space = np.empty(room + 1, np.int32)
    space[: len(items)] = items
    counts = totals(fixed, limits) + totals(items, limits)
    return Reserve(space, held, counts, np.minimum(limits.least, counts))


@compiled
def superfluous(r: int, i: int, limits: Limits, reserve: Reserve) -> bool:
    """Whether all needs are met without ``r`` when ``i`` (-1: nothing) comes."""
    for e in range(limits.starts[r], limits.starts[r + 1]):
        group = limits.members[e]
        comes = i >= 0 and member(i, group, limits)
        if reserve.counts[group] - 1 + comes < reserve.need[group]:
            return False
    return True


@compiled
def fits_without(i: int, r: int, limits: Limits, reserve: Reserve) -> bool:
    for e in range(limits.starts[i], limits.starts[i + 1]):
        group = limits.members[e]
        if reserve.counts[group] - member(r, group, limits) >= limits.most[group]:
            return False
    return True


@compiled
def place_of(i: int, left: int, limits: Limits, reserve: Reserve) -> int:
    """Where in the reserve stands what makes room for ``i`` when ``left`` places, its own among them, are to be filled.

    ``held`` if nothing has to, -1 if the item must not be picked.
    """
    held = reserve.held[0]
    for at in range(held):
        if reserve.items[at] == i:
            return at
    if held < left and fits(i, limits, reserve.counts):
        return int(held)
    for at in range(held):
        r = reserve.items[at]
        if superfluous(r, i, limits, reserve) and fits_without(i, r, limits, reserve):
            return at
    return -1


@compiled
def pick(i: int, left: int, limits: Limits, reserve: Reserve) -> None:
    """Item ``i``, which may be picked, is."""
    at = place_of(i, left, limits, reserve)
    if at < reserve.held[0]:
        drop(at, limits, reserve)
    counted(i, 1, limits, reserve.counts)
    prune(limits, reserve)


@compiled
def put_back(i: int, limits: Limits, reserve: Reserve) -> None:
    """Item ``i`` of the slate becomes the reserve, unless the needs are met without it."""
    reserve.items[0] = i
    reserve.held[0] = 1
    prune(limits, reserve)


@compiled
def prune(limits: Limits, reserve: Reserve) -> None:
    at = 0
    while at < reserve.held[0]:
        if superfluous(reserve.items[at], -1, limits, reserve):
            drop(at, limits, reserve)
        else:
            at += 1


@compiled
def drop(at: int, limits: Limits, reserve: Reserve) -> None:
    counted(reserve.items[at], -1, limits, reserve.counts)
    reserve.held[0] -= 1
    reserve.items[at] = reserve.items[reserve.held[0]]
