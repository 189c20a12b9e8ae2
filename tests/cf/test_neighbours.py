"""Bounded neighbour lists: exact while the bound does not bite, and what happens when it does."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.cf.item_item import learn_pairs
from divrec.cf.neighbours import NeighbourTable, add_pair, drop_items
from divrec.cf.transitions import STEPS, learn_steps

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.sampled_from([0.25, 0.5, 1.0])), max_size=80)


def table(width: int, rows: int = 10) -> NeighbourTable:
    found = NeighbourTable(width)
    found.resize(rows)
    return found


def row(found: NeighbourTable, index: int) -> dict[int, float]:
    return {int(n): float(w) for n, w in zip(found.ids[index], found.weights[index], strict=True) if n >= 0}


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
        add_pair(found.ids, found.weights, index, neighbour, np.float32(weight))
    for index in range(4):
        assert row(found, index) == expected_row([(n, w) for i, n, w in pairs if i == index], width)
        filled = found.ids[index] >= 0
        assert (filled[:-1] >= filled[1:]).all(), "all empty slots come last"


@settings(deadline=None)
@given(PAIRS, st.sets(st.integers(0, 9)))
def test_dropped_items_leave_and_the_others_close_up(pairs: list[tuple[int, int, float]], leaving: set[int]) -> None:
    found = table(12)
    for index, neighbour, weight in pairs:
        add_pair(found.ids, found.weights, index, neighbour, np.float32(weight))
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
    add_pair(found.ids, found.weights, 1, 0, np.float32(0.5))
    found.resize(100)
    assert row(found, 1) == {0: 0.5} and (found.ids[2:] == -1).all() and found.nbytes == 100 * 3 * 8
    found.clear(1)
    assert row(found, 1) == {}


def test_pairs_go_both_ways_and_never_to_oneself() -> None:
    found = table(9)
    learn_pairs(found.ids, found.weights, 1, np.array([2, 1, 3], np.int32), np.float32(0.5))
    assert [row(found, index) for index in range(4)] == [{}, {2: 0.5, 3: 0.5}, {1: 0.5}, {1: 0.5}]


def test_steps_fade() -> None:
    found, out = table(9, rows=40), np.zeros(40, np.float32)
    recent = np.arange(1, 31, dtype=np.int32)
    learn_steps(found.ids, found.weights, out, 0, recent, np.float32(0.5))
    for step in range(30):
        expected = 0.5 * 0.8**step if step < STEPS else 0.0
        assert np.isclose(row(found, step + 1).get(0, 0.0), expected, rtol=1e-5)
        assert np.isclose(out[step + 1], expected, rtol=1e-5)
    assert row(found, 0) == {}
