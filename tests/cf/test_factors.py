"""The factors are the formula, learn what is liked together, and are the same however the stream is cut."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.cf.factors import BIAS, DIMENSIONS, OTHERS, Factors, _exponentials, learn_factors, nearest_past, scores

ITEMS = 40
ORDER = np.arange(ITEMS, dtype=np.int32)
NOTHING = np.zeros(0, np.int32)


def table() -> Factors:
    found = Factors()
    found.resize(ITEMS)
    for n in range(ITEMS):
        found.enter(n, 7 * n + 1)
    return found


def taught(found: Factors, item: int, recent: list[int], seed: int, liked: list[bool] | None = None) -> None:
    flags = np.array(liked or [True] * len(recent), np.bool_)
    rows = np.array(recent, np.int32)
    learn_factors(
        found.past, found.next, found.squares, ORDER, ITEMS, item, rows, flags, np.float32(1), np.uint64(seed)
    )


def scored(found: Factors, history: list[int], liked: list[bool] | None = None) -> np.ndarray:
    flags = np.array(liked or [True] * len(history), np.bool_)
    return scores(ORDER, found.past, found.next, np.array(history, np.int32), flags)


def test_scores_are_the_formula() -> None:
    found = table()
    found.next[:, BIAS] = np.linspace(-1, 1, ITEMS)
    fade = [1.0, math.exp(-0.1), math.exp(-0.2)]  # steps back count liked items alone; an unknown one has its place
    user = (fade[0] * found.past[3] + fade[2] * found.past[8]) / math.sqrt(fade[0] + fade[2])
    expected = found.next[:, :BIAS] @ user[:BIAS] + found.next[:, BIAS]
    assert scored(found, [3, 5, -1, 8], [True, False, True, True]) == pytest.approx(expected, abs=1e-5)
    assert not scored(found, [3], [False]).any() and not scored(found, []).any()


def test_a_step_is_along_the_gradient_of_the_softmax() -> None:
    found, before = table(), table()
    taught(found, 1, [2, 3], 5)
    moved = found.next[1, :BIAS] - before.next[1, :BIAS]
    user = (before.past[2] + math.exp(-0.1) * before.past[3])[:BIAS]
    assert moved @ user == pytest.approx(np.linalg.norm(moved) * np.linalg.norm(user), rel=1e-4)
    assert found.next[1, BIAS] > 0 and found.next[:, BIAS].min() < 0
    assert (found.squares >= before.squares).all() and np.count_nonzero((found.past != before.past).any(axis=1)) == 2


def test_nothing_liked_before_teaches_nothing() -> None:
    found, before = table(), table()
    taught(found, 1, [2], 5, [False])
    taught(found, 1, [], 5)
    assert (found.next == before.next).all() and (found.past == before.past).all()


def test_two_tastes_are_told_apart() -> None:
    found = table()
    chance = np.random.default_rng(0)
    for n in range(3_000):
        side = 20 * (n % 2)
        item, *recent = (side + chance.choice(20, 6, replace=False)).tolist()
        taught(found, item, recent, n)
    assert scored(found, [0, 1])[2:20].min() > scored(found, [0, 1])[20:].max()
    assert scored(found, [21, 22])[23:].min() > scored(found, [21, 22])[:20].max()
    liked = np.ones(2, np.bool_)
    assert nearest_past(found.past, found.next, np.array([21, 1], np.int32), liked, 5) == 1
    assert nearest_past(found.past, found.next, NOTHING, liked[:0], 5) == -1


@settings(deadline=None)
@given(st.lists(st.floats(-200, 0, width=32), min_size=1, max_size=OTHERS))
def test_exponentials(values: list[float]) -> None:
    found = np.array(values, np.float32)
    _exponentials(found)
    assert found == pytest.approx(np.exp(np.maximum(np.array(values), -80)), rel=5e-4)


def test_an_item_begins_by_its_seed_alone() -> None:
    one, other = Factors(), Factors()
    one.resize(4), other.resize(9)
    one.enter(3, 2**64 - 1), other.enter(0, 2**64 - 1)
    assert (one.past[3] == other.past[0]).all() and (one.next[3] == other.next[0]).all()
    assert abs(one.past[3]).max() <= 0.17 and len(np.unique(one.past[3])) > DIMENSIONS - 2
