"""Counts as part of the choice: bounds hold, and a least count is never lost that could be had."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.diversify.balanced import balanced, choose
from divrec.diversify.candidates import Floats, Positions
from divrec.diversify.limits import Limits, keeps, unlimited, within

NONE = np.zeros(0, np.int32)


def limits_of(groups: list[set[int]], most: list[int], least: list[int]) -> Limits:
    members = [sorted(own) for own in groups]
    starts = np.cumsum([0, *map(len, members)], dtype=np.int32)
    flat = np.array([group for own in members for group in own], np.int32)
    return Limits(starts, flat, np.array(most, np.int32), np.array(least, np.int32))


def chosen(
    seed: int, k: int, diversity: float, limits: Limits, fixed: Positions = NONE, reserved: Positions = NONE
) -> list[int]:
    relevance, vectors, starts, members, shares, wanted = candidates(seed, len(limits.starts) - 1)
    found = choose(
        relevance, vectors, starts, members, shares, wanted, k, np.float32(diversity), fixed, limits, reserved
    )
    return [int(i) for i in found]


def candidates(seed: int, n: int) -> tuple[Floats, Floats, Positions, Positions, Floats, Floats]:
    random = np.random.default_rng(seed)
    relevance = np.sort(random.random(n).astype(np.float32))[::-1].copy()
    vectors = random.normal(size=(n, 6)).astype(np.float32)
    starts = np.arange(n + 1, dtype=np.int32)
    members = random.integers(0, 4, n).astype(np.int32)
    return relevance, vectors, starts, members, np.ones(n, np.float32), np.full(4, 0.25, np.float32)


def counts(picked: list[int], groups: list[set[int]], count: int) -> list[int]:
    return [sum(group in groups[i] for i in picked) for group in range(count)]


GROUPS = st.lists(st.sets(st.integers(0, 3), max_size=3), min_size=1, max_size=14)


@settings(max_examples=300, deadline=None)
@given(
    GROUPS,
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=4, max_size=4),
    st.integers(1, 8),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.integers(0, 99),
    st.integers(0, 2),
)
def test_bounds_hold_and_what_could_be_met_is_met(
    groups: list[set[int]], bounds: list[tuple[int, int]], k: int, diversity: float, seed: int, before: int
) -> None:
    most, least = [max(b) for b in bounds], [min(b) for b in bounds]
    limits = limits_of(groups, most, least)
    n = len(groups)
    fixed = np.arange(n - 1, max(-1, n - 1 - min(before, k)), -1).astype(np.int32)
    plain, reserved = within(np.arange(n).astype(np.int32), fixed, min(k, n) - len(fixed), limits)
    picked = chosen(seed, k, diversity, limits, fixed, plain[:reserved])
    assert len(set(picked)) == len(picked) <= k - len(fixed) and not set(picked) & set(fixed.tolist())
    assert picked == sorted(picked), "by relevance"
    both = counts([*picked, *fixed.tolist()], groups, 4)
    had = counts(fixed.tolist(), groups, 4)
    assert all(both[g] <= max(most[g], had[g]) for g in range(4))
    reached = counts([*plain[:reserved].tolist(), *fixed.tolist()], groups, 4)
    assert all(both[g] >= min(least[g], reached[g]) for g in range(4))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3)), min_size=1, max_size=9), st.integers(1, 5))
def test_one_least_count_beside_sellers_is_met_wherever_that_is_possible(items: list[tuple[bool, int]], k: int) -> None:
    """Group 0 wants two; each seller (groups 1 to 3) has at most one: by trying all slates."""
    groups = [{seller} | ({0} if wanted else set()) for wanted, seller in items]
    limits = limits_of(groups, [99, 1, 1, 1], [2, 0, 0, 0])
    possible = max(
        counts(list(some), groups, 1)[0]
        for size in range(min(k, len(items)) + 1)
        for some in combinations(range(len(items)), size)
        if max(counts(list(some), groups, 4)[1:]) <= 1
    )
    plain, reserved = within(np.arange(len(items)).astype(np.int32), NONE, min(k, len(items)), limits)
    picked = chosen(7, k, 0.4, limits, NONE, plain[:reserved])
    assert counts(picked, groups, 1)[0] >= min(2, possible)
    assert len(picked) == min(k, len({seller for _, seller in items}))


@pytest.mark.parametrize("diversity", [0.0, 0.2, 1.0])
def test_bounds_that_do_not_bind_change_nothing(diversity: float) -> None:
    free = chosen(3, 10, diversity, unlimited(60))
    wide = limits_of([{n % 3} for n in range(60)], [60] * 3, [0] * 3)
    assert chosen(3, 10, diversity, wide) == free
    relevance, vectors, _, members, _, wanted = candidates(3, 60)
    flags = np.eye(4, dtype=np.float32)[members]
    assert balanced(relevance, vectors, 10, diversity=diversity, categories=flags, profile=wanted).tolist() == free


def test_what_is_fixed_may_exceed_a_bound_and_then_nothing_is_added() -> None:
    limits = limits_of([{0}, {0}, {0}, set(), set()], [1], [0])
    fixed = np.array([0, 1], np.int32)
    assert chosen(1, 4, 0.5, limits, fixed) == [3, 4]
    assert keeps(np.array([3, 4], np.int32), fixed, limits)
    assert not keeps(np.array([2], np.int32), fixed, limits)
