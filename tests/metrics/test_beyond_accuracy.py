"""Diversity, novelty, coverage, calibration, popularity bias, likes."""

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from divrec.metrics.calibration import SMOOTHING, calibration
from divrec.metrics.coverage import catalog_coverage, user_coverage
from divrec.metrics.exposure import entropy, gini
from divrec.metrics.ild import ild
from divrec.metrics.likes import accuracy, likes_f1
from divrec.metrics.novelty import novelty

Floats = npt.NDArray[np.float64]
COUNTS = arrays(np.int64, st.integers(1, 30), elements=st.integers(0, 1_000))
SHARES = arrays(np.float64, (3, 5), elements=st.floats(0, 10, allow_subnormal=False))


@given(arrays(np.float64, (2, 6, 4), elements=st.integers(-3, 3).map(float)))
def test_ild_is_the_mean_distance_of_pairs(vectors: Floats) -> None:
    for slate, value in zip(vectors, ild(vectors), strict=True):
        known = [x / np.linalg.norm(x) for x in slate if x.any()]
        distances = [1 - x @ y for x, y in itertools.combinations(known, 2)]
        if not distances:
            assert math.isnan(value)
        else:
            assert value == pytest.approx(np.mean(distances), abs=1e-9) and 0 <= value <= 2


def test_ild_edges() -> None:
    same, opposite, other = [1.0, 0.0], [-2.0, 0.0], [0.0, 5.0]
    found = ild(np.array([[same, same], [same, opposite], [same, other], [same, [0.0, 0.0]]]))
    assert found[:3] == pytest.approx([0.0, 2.0, 1.0]) and math.isnan(found[3])
    assert math.isnan(ild(np.ones((1, 1, 3)))[0]) and math.isnan(ild(np.zeros((1, 0, 3)))[0])


def test_novelty() -> None:
    counts = np.array([[1, 8, -1], [0, 64, -1], [-1, -1, -1]])
    found = novelty(counts, np.array([64, 64, 64]))
    assert found[:2] == pytest.approx([(6 + 3) / 2, (6 + 0) / 2]) and math.isnan(found[2])
    assert novelty(np.array([[0]]), np.array([0]))[0] == 0.0


@given(SHARES, SHARES)
def test_calibration_range(profile: Floats, slate: Floats) -> None:
    found = calibration(profile, slate)
    undefined = (profile.sum(axis=1) == 0) | (slate.sum(axis=1) == 0)
    assert (np.isnan(found) == undefined).all()
    assert (found[~undefined] >= 0).all() and (found[~undefined] <= math.log(1 / SMOOTHING) + 1e-9).all()


def test_calibration_values() -> None:
    profile = np.array([[2.0, 2.0], [1.0, 0.0], [1.0, 0.0]])
    slate = np.array([[7.0, 7.0], [0.0, 3.0], [1.0, 1.0]])
    smooth = 0.99 * 0.5 + 0.01
    assert calibration(profile, slate) == pytest.approx([0.0, math.log(100), math.log(1 / smooth)])


@given(COUNTS)
def test_gini_is_half_the_relative_mean_difference(shown: npt.NDArray[np.int64]) -> None:
    n, total = len(shown), int(shown.sum())
    expected = np.abs(shown[:, None] - shown[None, :]).sum() / (2 * n * total) if total else 0.0
    assert gini(shown) == pytest.approx(expected) and 0 <= gini(shown) <= 1 - 1 / n + 1e-12


@given(COUNTS)
def test_entropy_range(shown: npt.NDArray[np.int64]) -> None:
    assert 0 <= entropy(shown) <= math.log2(len(shown)) + 1e-9


def test_exposure_edges() -> None:
    even, one, none = np.full(8, 3), np.array([0, 9, 0, 0]), np.zeros(5, np.int64)
    assert (gini(even), gini(one), gini(none)) == pytest.approx((0.0, 0.75, 0.0))
    assert (entropy(even), entropy(one), entropy(none)) == pytest.approx((3.0, 0.0, 0.0))


def test_coverage() -> None:
    assert catalog_coverage(np.array([0, 4, 1, 0]), 4) == 0.5 and catalog_coverage(np.zeros(0, np.int64), 0) == 0.0
    assert user_coverage(np.array([True, False, True, True])) == 0.75 and user_coverage(np.zeros(0, np.bool_)) == 0.0


def test_likes() -> None:
    predicted, told = np.array([True, True, False, False, True]), np.array([True, False, False, True, True])
    assert accuracy(predicted, told) == pytest.approx(0.6) and likes_f1(predicted, told) == pytest.approx(4 / 6)
    none = np.zeros(3, np.bool_)
    assert accuracy(none, none) == 1.0 and likes_f1(none, none) == 0.0
    assert math.isnan(accuracy(none[:0], none[:0]))
