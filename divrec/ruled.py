"""A slate where rules say what stands in it: pins, sponsored slots and limits, with diversification around them."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.asks import HISTORY, OLDER, SHOWN, Asks, Floats, Ids
from divrec.catalog import CatalogArrays
from divrec.compiled import compiled
from divrec.diversify.balanced import by_relevance, choose
from divrec.diversify.limits import Limits, keeps, totals, unlimited, within
from divrec.interest.categories import interest_categories
from divrec.rank.blend import top
from divrec.retrieve.candidates import Candidates
from divrec.rules.groups import limits_of, selected
from divrec.rules.impressions import give_way
from divrec.rules.items import Bits, RuleArrays
from divrec.rules.passing import RULES
from divrec.rules.placing import NONE, arranged, placed

Marks = npt.NDArray[np.uint64]


class Pool(NamedTuple):
    """What is chosen from."""

    candidates: Ids
    """Positions among the candidates: the most relevant, best first, then others that the rules want."""
    best: int
    """How many are the most relevant."""
    fixed: Ids
    """Positions in the pool of what pins and sponsored slots have placed."""
    limits: Limits
    groups_from: Ids
    """The limit of each group."""
    plain: Ids
    """Positions in the pool: the slate by relevance alone within the limits, beside the fixed."""
    reserved: int
    """How many of them, the first, are for least counts."""


class Chosen(NamedTuple):
    """A slate, best first."""

    pool: Ids
    best: int
    picked: Ids
    """Positions in the pool, in their order."""
    impressions: Ids
    """By position in the pool: how often it was shown lately without an answer."""
    kept: npt.NDArray[np.bool_]
    """By position in the pool: it stands where it does, or is there at all, by a rule, and is not given away."""
    marks: Marks
    """By position in the pool: the rules that put it there, a bit each."""


@compiled
def ruled(
    asks: Asks,
    n: int,
    rows: Ids,
    bits: Bits,
    may: npt.NDArray[np.bool_],
    relevance: Floats,
    catalog: CatalogArrays,
    rules: RuleArrays,
    space: Candidates,
    pool_size: int,
    removed: Ids,
) -> Chosen:
    """The slate of ask ``n`` of its candidates ``rows``, which match ``bits``; what limits left out is added to
    ``removed``."""
    k = asks.k[n]
    at, by = placed(rules, rows, bits, may, relevance, k)
    pool = pool_of(rules, rows, bits, may, relevance, catalog.categories, at, pool_size, k)
    pool_rows, left = rows[pool.candidates], relevance[pool.candidates]
    vectors = catalog.vectors[pool_rows]
    starts, members = np.zeros(len(left) + 1, np.int32), np.zeros(0, np.int32)
    shares, wanted = np.zeros(0, np.float32), np.zeros(0, np.float32)
    impressions = np.zeros(len(left), np.int32)
    if asks.diversity[n] > 0:
        begin, end = asks.starts[SHOWN, n], asks.starts[SHOWN, n + 1]
        impressions = give_way(pool_rows, asks.items[begin:end], left)
        begin, end = asks.starts[HISTORY, n], asks.starts[HISTORY, n + 1]
        history, feedback = asks.items[begin:end], asks.values[begin:end]
        begin, end = asks.starts[OLDER, n], asks.starts[OLDER, n + 1]
        older, older_feedback = asks.items[begin:end], asks.values[begin:end]
        starts, members, shares, wanted = interest_categories(
            pool_rows, catalog.categories, space.places, history, feedback, older, older_feedback
        )
    marks = np.zeros(len(left), np.uint64)
    kept = np.zeros(len(left), np.bool_)
    none, free, diversity = np.zeros(0, np.int32), unlimited(len(left)), asks.diversity[n]
    chosen = choose(left, vectors, starts, members, shares, wanted, k, diversity, pool.fixed, free, none)
    if len(pool.limits.most) > 0:
        if not keeps(chosen, pool.fixed, pool.limits):
            unruled, reserved = chosen, pool.plain[: pool.reserved]
            chosen = choose(
                left, vectors, starts, members, shares, wanted, k, diversity, pool.fixed, pool.limits, reserved
            )
            if len(chosen) < len(pool.plain):  # groups that overlap: picks can block more than they need to
                chosen = by_relevance(left, pool.plain)
            tell(unruled, chosen, pool, rules, marks, removed)
        keep(chosen, pool, kept)
    place_of = np.full(len(rows), NONE, np.int32)
    for place in range(len(pool.candidates)):
        place_of[pool.candidates[place]] = place
    for position in range(k):
        if at[position] != NONE:
            at[position] = place_of[at[position]]
            kept[at[position]] = True
            marks[at[position]] |= np.uint64(1) << np.uint64(by[position])
    return Chosen(pool.candidates, pool.best, arranged(at, chosen), impressions, kept, marks)


@compiled
def pool_of(
    rules: RuleArrays,
    rows: Ids,
    bits: Bits,
    may: npt.NDArray[np.bool_],
    relevance: Floats,
    categories: Ids,
    at: Ids,
    pool_size: int,
    k: int,
) -> Pool:
    """The ``pool_size`` most relevant and what is placed ``at`` positions; where these cannot keep the limits, also
    the most relevant of all candidates that do."""
    best = top(relevance, max(pool_size, k))
    inside = np.zeros(len(rows), np.bool_)
    inside[best] = True
    fixed_candidates = at[at != NONE]
    pool = np.append(best, fixed_candidates[~inside[fixed_candidates]])
    fixed = positions_of(fixed_candidates, pool, len(rows))
    if len(rules.limit_rules) == 0:
        none = np.zeros(0, np.int32)
        return Pool(pool, len(best), fixed, unlimited(len(pool)), none, none, 0)
    room = k - len(fixed)
    limits, groups_from = limits_of(rules, rows[pool], bits[pool], categories)
    plain, reserved = within(np.arange(len(best)).astype(np.int32), fixed, room, limits)
    full = len(plain) == min(room, may.sum() - len(fixed))
    if full and (totals(plain, limits) + totals(fixed, limits) >= limits.least).all():
        return Pool(pool, len(best), fixed, limits, groups_from, plain, reserved)
    every = top(relevance, len(rows))
    limits, groups_from = limits_of(rules, rows[every], bits[every], categories)
    plain, reserved = within(
        np.arange(len(every)).astype(np.int32), positions_of(fixed_candidates, every, len(rows)), room, limits
    )
    wanted = every[plain]
    inside[pool] = True
    pool = np.append(pool, wanted[~inside[wanted]])
    limits = selected(limits, positions_of(pool, every, len(rows)))
    return Pool(pool, len(best), fixed, limits, groups_from, positions_of(wanted, pool, len(rows)), reserved)


@compiled
def positions_of(candidates: Ids, among: Ids, count: int) -> Ids:
    """Where ``candidates`` stand in ``among``; both are below ``count``."""
    place = np.full(count, NONE, np.int32)
    for n in range(len(among)):
        place[among[n]] = n
    return place[candidates]


@compiled
def tell(unruled: Ids, chosen: Ids, pool: Pool, rules: RuleArrays, marks: Marks, removed: Ids) -> None:
    """Which limit left out what would have been in the slate without limits, and which put in what would not.

    An item left out is one that its limit has no room for, else it gave way to a least count. An item put in is there
    for a least count, else in the place of one left out.
    """
    limits = pool.limits
    counts = totals(chosen, limits) + totals(pool.fixed, limits)
    before = totals(unruled, limits) + totals(pool.fixed, limits)
    stays = np.zeros(len(pool.candidates), np.bool_)
    was = np.zeros(len(pool.candidates), np.bool_)
    stays[chosen] = True
    was[unruled] = True
    full, gave_way = np.empty(len(unruled), np.int32), 0
    held = 0
    for i in unruled:
        if stays[i]:
            continue
        rule = NONE
        for e in range(limits.starts[i], limits.starts[i + 1]):
            group = limits.members[e]
            if counts[group] >= limits.most[group]:
                rule = rules.limit_rules[pool.groups_from[group]]
                break
        if rule == NONE:
            gave_way += 1
        else:
            full[held] = rule
            held += 1
            removed[RULES + rule] += 1
    taken = 0
    for i in chosen:
        if was[i]:
            continue
        rule = NONE
        for e in range(limits.starts[i], limits.starts[i + 1]):
            group = limits.members[e]
            if before[group] < limits.least[group]:
                before[group] += 1
                rule = rules.limit_rules[pool.groups_from[group]]
                break
        if rule != NONE:
            if gave_way > 0:
                gave_way -= 1
                removed[RULES + rule] += 1
        elif taken < held:
            rule = full[taken]
            taken += 1
        if rule != NONE:
            marks[i] |= np.uint64(1) << np.uint64(rule)


@compiled
def keep(chosen: Ids, pool: Pool, kept: npt.NDArray[np.bool_]) -> None:
    """Mark what a least count needs."""
    counts = totals(chosen, pool.limits) + totals(pool.fixed, pool.limits)
    for i in chosen:
        for e in range(pool.limits.starts[i], pool.limits.starts[i + 1]):
            group = pool.limits.members[e]
            kept[i] |= 0 < counts[group] <= pool.limits.least[group]
