"""Bounded neighbour lists: exact while the bound does not bite, and what happens when it does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.cf.item_item import KINDS, NEXT, TOGETHER, learn_pairs
from divrec.cf.neighbours import NeighbourTable, drop_items, slot_for
from divrec.cf.transitions import STEPS

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.sampled_from([0.25, 0.5, 1.0])), max_size=80)


def table(width: int, rows: int = 10) -> NeighbourTable:
    found = NeighbourTable(width, KINDS)
    found.resize(rows)
    return found


def row(found: NeighbourTable, index: int, kind: int = TOGETHER) -> dict[int, float]:
    return {int(n): float(w) for n, w in zip(found.ids[index], found.weights[index, :, kind], strict=True) if n >= 0}


def add(found: NeighbourTable, index: int, neighbour: int, weight: float) -> None:
    slot = slot_for(found.ids, found.weights, index, neighbour, np.float32(weight))
    if slot >= 0:
        found.weights[index, slot] += np.float32(weight)


def expected_row(pairs: list[tuple[int, float]], width: int) -> dict[int, float]:
    """Lossy counting in plain Python; dicts keep the order of slots."""
    kept: dict[int, float] = {}
    for neighbour, weight in pairs:
        if neighbour in kept or len(kept) < width:
            kept[neighbour] = kept.get(neighbour, 0.0) + weight
            continue
        weakest = min(kept, key=lambda one: kept[one])
        if kept[weakest] <= weight:
            kept = {neighbour if one == weakest else one: weight if one == weakest else w for one, w in kept.items()}
        else:
            kept[weakest] -= weight
    return kept


@settings(deadline=None)
@given(PAIRS, st.integers(1, 12))
def test_a_row_is_lossy_counting(pairs: list[tuple[int, int, float]], width: int) -> None:
    found = table(width)
    for index, neighbour, weight in pairs:
        add(found, index, neighbour, weight)
    for index in range(4):
        assert row(found, index) == expected_row([(n, w) for i, n, w in pairs if i == index], width)
        filled = found.ids[index] >= 0
        assert (filled[:-1] >= filled[1:]).all(), "all empty slots come last"


@settings(deadline=None)
@given(PAIRS, st.sets(st.integers(0, 9)))
def test_dropped_items_leave_and_the_others_close_up(pairs: list[tuple[int, int, float]], leaving: set[int]) -> None:
    found = table(12)
    for index, neighbour, weight in pairs:
        add(found, index, neighbour, weight)
    before = [row(found, index) for index in range(4)]
    dropped = np.zeros(10, np.bool_)
    dropped[list(leaving)] = True
    drop_items(found.ids, found.weights, dropped, np.arange(4, dtype=np.int32))
    for index in range(4):
        after = {n: w for n, w in before[index].items() if n not in leaving}
        assert row(found, index) == after
        assert found.ids[index].tolist() == [*after, *[-1] * (12 - len(after))]
        assert not found.weights[index, len(after) :].any()


def test_growing_keeps_what_is_there() -> None:
    found = table(3, rows=2)
    add(found, 1, 0, 0.5)
    found.resize(100)
    assert row(found, 1) == {0: 0.5} and (found.ids[2:] == -1).all() and found.nbytes == 100 * 3 * 4 * (1 + KINDS)
    found.clear(1)
    assert row(found, 1) == {}


def learned(item: int, liked: bool, recent: list[int], recent_liked: list[bool], weight: float) -> NeighbourTable:
    found = table(40, rows=40)
    ids, flags = np.array(recent, np.int32), np.array(recent_liked, np.bool_)
    learn_pairs(found.ids, found.weights, item, liked, ids, flags, np.float32(weight))
    return found


def test_pairs_go_both_ways_and_never_to_oneself() -> None:
    found = learned(1, True, [2, 1, 3], [True] * 3, 0.5)
    far = pytest.approx(0.5 * np.exp(-2 / 30))
    assert [row(found, index) for index in range(4)] == [{}, {2: 0.5, 3: far}, {1: 0.5}, {1: far}]


@pytest.mark.parametrize("liked", [True, False])
@pytest.mark.parametrize("other_liked", [True, False])
def test_pairs_are_told_apart_by_what_was_liked(liked: bool, other_liked: bool) -> None:
    found = learned(1, liked, [2], [other_liked], 0.5)
    for index, first, second in ((2, other_liked, liked), (1, liked, other_liked)):
        assert found.weights[index, 0, :3].tolist() == [0.5, 0.5 * (first and second), 0.5 * (second and not first)]


def test_steps_fade_and_go_one_way() -> None:
    found = learned(0, True, list(range(1, 31)), [True] * 30, 0.5)
    for step in range(30):
        expected = 0.5 * 0.8**step if step < STEPS else 0.0
        assert row(found, step + 1, NEXT)[0] == pytest.approx(expected, rel=1e-5)
    assert set(row(found, 0, NEXT).values()) == {0.0}
