"""Precision, recall, F1, hit rate, NDCG and reciprocal rank at k."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.metrics.hits import Items, hit_rate, hits
from divrec.metrics.mrr import reciprocal_rank
from divrec.metrics.ndcg import ndcg
from divrec.metrics.precision import f1, precision, recall

SLATE = st.lists(st.integers(0, 30), unique=True, max_size=10)


def padded(items: list[int], size: int) -> Items:
    return np.array([items + [-1] * (size - len(items))], np.int32)


def measured(slate: list[int], relevant: list[int], k: int) -> dict[str, float]:
    found = hits(padded(slate, k), padded(relevant, max(1, len(relevant))))
    count = np.array([len(relevant)])
    return {
        "precision": precision(found)[0],
        "recall": recall(found, count)[0],
        "f1": f1(found, count)[0],
        "hr": hit_rate(found)[0],
        "ndcg": ndcg(found, count)[0],
        "mrr": reciprocal_rank(found)[0],
    }


@given(SLATE, st.lists(st.integers(0, 30), unique=True, max_size=12))
def test_as_the_definitions_say(slate: list[int], relevant: list[int]) -> None:
    k = 10
    places = [place for place, item in enumerate(slate, 1) if item in relevant]
    p, r = len(places) / k, len(places) / len(relevant) if relevant else 0.0
    gain = sum(1 / math.log2(place + 1) for place in places)
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(k, len(relevant)) + 1))
    assert measured(slate, relevant, k) == pytest.approx(
        {
            "precision": p,
            "recall": r,
            "f1": 2 * p * r / (p + r) if places else 0.0,
            "hr": float(bool(places)),
            "ndcg": gain / ideal if relevant else 0.0,
            "mrr": 1 / places[0] if places else 0.0,
        }
    )


@given(SLATE, st.lists(st.integers(0, 30), unique=True, max_size=12))
def test_all_are_between_nothing_and_one(slate: list[int], relevant: list[int]) -> None:
    assert all(0.0 <= value <= 1.0 + 1e-12 for value in measured(slate, relevant, 10).values())


@given(SLATE.filter(len), st.data())
def test_moving_a_hit_up_never_makes_it_worse(slate: list[int], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(slate) - 1))
    better = data.draw(st.integers(0, place))
    moved = [item for item in slate if item != slate[place]]
    moved.insert(better, slate[place])
    before, after = (measured(one, [slate[place]], 10) for one in (slate, moved))
    assert all(after[name] >= before[name] for name in before)


def test_one_relevant_item() -> None:
    assert measured([7, 8, 9], [9], 10) == pytest.approx(
        {"precision": 0.1, "recall": 1.0, "f1": 2 / 11, "hr": 1.0, "ndcg": 0.5, "mrr": 1 / 3}
    )
    assert measured([9], [9], 1) == dict.fromkeys(("precision", "recall", "f1", "hr", "ndcg", "mrr"), 1.0)


def test_edges() -> None:
    nothing = dict.fromkeys(("precision", "recall", "f1", "hr", "ndcg", "mrr"), 0.0)
    assert measured([], [], 0) == nothing
    assert measured([], [3], 10) == nothing
    assert measured([3], [], 10) == nothing, "an empty place of a slate does not match the padding of the relevant"


def test_an_item_twice_in_a_slate_counts_once() -> None:
    assert hits(np.array([[5, 5, 6]]), np.array([[5, 6]])).tolist() == [[True, False, True]]
