"""What a list is like beyond its hits: coverage, unexpectedness, serendipity, freshness, popularity, distance."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from divrec.metrics.category_coverage import category_coverage
from divrec.metrics.exposure import gini
from divrec.metrics.freshness import freshness
from divrec.metrics.hits import hits
from divrec.metrics.ild import ild, ild_of_sets
from divrec.metrics.inter_list import inter_list_distance
from divrec.metrics.popularity import percentiles, popularity, popularity_lift
from divrec.metrics.serendipity import serendipity
from divrec.metrics.unexpectedness import unexpected, unexpectedness

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
NUMBERS = arrays(np.int64, (3, 4, 3), elements=st.integers(-1, 5))
SLATES = st.lists(
    st.lists(st.integers(0, 8), max_size=5, unique=True).map(lambda items: items + [-1] * (5 - len(items))),
    min_size=4,
    max_size=4,
).map(np.array)
SMALL = st.integers(-3, 3).map(float)


def within(values: Floats, low: float, high: float) -> bool:
    known = values[~np.isnan(values)]
    return bool(((known >= low - 1e-9) & (known <= high + 1e-9)).all())


def test_category_coverage() -> None:
    found = category_coverage(np.array([[2, 0, 2, -1], [1, 1, 1, 1], [-1, -1, -1, -1]]), 4)
    assert found[:2].tolist() == [0.5, 0.25] and math.isnan(found[2])
    assert np.isnan(category_coverage(np.zeros((2, 0), np.int64), 0)).all()


@given(NUMBERS)
def test_category_coverage_counts_a_set(numbers: Ints) -> None:
    for row, value in zip(numbers, category_coverage(numbers.reshape(3, -1), 6), strict=True):
        there = set(row.ravel().tolist()) - {-1}
        assert value == len(there) / 6 if there else math.isnan(value)


@given(NUMBERS)
def test_ild_of_sets_is_ild_of_flags(numbers: Ints) -> None:
    for place in np.ndindex(3, 4):  # no category twice
        own = np.unique(numbers[place])
        numbers[place] = np.append(own, [-1] * (3 - len(own)))
    flags = (numbers[..., None] == np.arange(6)).any(axis=2).astype(float)
    assert ild_of_sets(numbers) == pytest.approx(ild(flags), nan_ok=True)


def test_unexpectedness() -> None:
    profile = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    vectors = np.array([[[3.0, 3.0], [1.0, 0.0]], [[-1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]])
    found = unexpected(vectors, profile)
    assert found[0] == pytest.approx([0.0, 1 - math.sqrt(0.5)])
    assert found[1, 0] == 1.0 and math.isnan(found[1, 1]) and np.isnan(found[2]).all()
    assert unexpectedness(vectors, profile) == pytest.approx([(1 - math.sqrt(0.5)) / 2, 1.0, math.nan], nan_ok=True)


@given(arrays(np.float64, (3, 4, 2), elements=SMALL), arrays(np.float64, (3, 2), elements=SMALL))
def test_unexpectedness_range(vectors: Floats, profile: Floats) -> None:
    found = unexpected(vectors, profile)
    known = np.any(vectors, axis=2) & np.any(profile, axis=1, keepdims=True)
    assert (np.isnan(found) == ~known).all() and within(found, 0, 1)


def test_serendipity() -> None:
    found = np.array([[True, False, True], [False, True, False], [False, False, False], [True, False, False]])
    unlike = np.array([[0.5, 1.0, 0.25], [0.0, 0.0, 1.0], [1.0, 1.0, math.nan], [math.nan, 1.0, 1.0]])
    values = serendipity(found, unlike, np.array([3, 1, 0, 1]))
    assert values == pytest.approx([0.25, 0.0, 0.0, math.nan], nan_ok=True)


@given(
    SLATES, arrays(np.int64, (4, 2), elements=st.integers(0, 8)), arrays(np.float64, (4, 5), elements=st.floats(0, 1))
)
def test_serendipity_is_at_most_recall(slates: Ints, relevant: Ints, unlike: Floats) -> None:
    found = hits(slates, relevant)
    count = np.array([len(set(row.tolist())) for row in relevant])
    values = serendipity(found, unlike, count)
    assert (values <= found.sum(axis=1) / count + 1e-12).all() and within(values, 0, 1)


def test_freshness() -> None:
    found = freshness(np.array([[0.0, 30.0, 31.0, math.nan], [40.0, 50.0, 60.0, 70.0], [math.nan] * 4]), 30.0)
    assert found == pytest.approx([2 / 3, 0.0, math.nan], nan_ok=True)


def test_popularity() -> None:
    among = np.array([1.0, 2.0, 2.0, 5.0])
    shown = percentiles(np.array([[5, 2, -1], [0, 9, -1], [-1, -1, -1]]), among)
    assert shown == pytest.approx(
        np.array([[7 / 8, 1 / 2, math.nan], [0.0, 1.0, math.nan], [math.nan] * 3]), nan_ok=True
    )
    assert popularity(shown) == pytest.approx([11 / 16, 0.5, math.nan], nan_ok=True)
    had = np.array([[0.25], [1.0], [0.5]])
    assert popularity_lift(shown, had) == pytest.approx([7 / 16, -0.5, math.nan], nan_ok=True)
    assert percentiles(np.array([[3]]), np.zeros(0)) == 0.0


@given(arrays(np.int64, 12, elements=st.integers(0, 20)))
def test_percentiles_of_all_items_have_the_mean_one_half(counts: Ints) -> None:
    found = percentiles(counts[None], np.sort(counts).astype(float))
    assert within(found, 0, 1) and popularity(found)[0] == pytest.approx(0.5)


def test_inter_list_distance() -> None:
    slates = np.array([[1, 2, 3], [1, 2, 3], [1, 2, 3], [1, -1, -1], [1, 2, 3], [-1, -1, -1]])
    before = np.array([[3, 1, 2], [4, 5, 6], [1, 2, 9], [1, 2, -1], [-1, -1, -1], [1, 2, 3]])
    found = inter_list_distance(slates, before)
    assert found == pytest.approx([0.0, 1.0, 0.5, 0.5, math.nan, math.nan], nan_ok=True)


@given(SLATES, SLATES)
def test_inter_list_distance_is_that_of_sets(slates: Ints, before: Ints) -> None:
    for a, b, value in zip(slates, before, inter_list_distance(slates, before), strict=True):
        one, other = set(a.tolist()) - {-1}, set(b.tolist()) - {-1}
        assert value == pytest.approx(1 - len(one & other) / len(one | other)) if one and other else math.isnan(value)


@given(arrays(np.int64, st.integers(1, 20), elements=st.integers(0, 9)))
def test_gini_without_what_was_never_shown(shown: Ints) -> None:
    assert gini(shown[shown > 0], len(shown)) == pytest.approx(gini(shown))
