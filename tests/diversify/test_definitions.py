"""Each diversifier against its definition, written plainly: it picks what is best, or within rounding of it."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from divrec.diversify.calibrated import calibrated
from divrec.diversify.cover import cover
from divrec.diversify.dpp import dpp
from divrec.diversify.mmr import mmr
from divrec.diversify.msd import msd
from divrec.diversify.set_cover import set_cover
from divrec.diversify.ssd import ssd
from divrec.diversify.xquad import xquad
from divrec.metrics.calibration import calibration

Values = NDArray[np.float64]
Value = Callable[[Values, Values, Values, list[int], int, float], float]
"""Scaled relevance, rows, the profile, what is picked, a candidate and the diversity to what the candidate is worth."""


def mmr_value(r: Values, v: Values, p: Values, picked: list[int], i: int, diversity: float) -> float:  # noqa: ARG001
    nearest = max([0.0, *(v[picked] @ v[i])]) if picked else 0.0
    return (1 - diversity) * r[i] - diversity * nearest


def msd_value(r: Values, v: Values, p: Values, picked: list[int], i: int, diversity: float) -> float:  # noqa: ARG001
    return (1 - diversity) * r[i] + diversity * float((1 - v[picked] @ v[i]).sum())


def dpp_value(r: Values, v: Values, p: Values, picked: list[int], i: int, diversity: float) -> float:  # noqa: ARG001
    weights = np.exp((1 - diversity) * (r - r.mean()) / (r.std() or 1.0))
    kernel = weights[:, None] * (v @ v.T) * weights
    after = np.linalg.det(kernel[np.ix_([*picked, i], [*picked, i])])
    return float(after / np.linalg.det(kernel[np.ix_(picked, picked)])) if picked else float(after)


def ssd_value(r: Values, v: Values, p: Values, picked: list[int], i: int, diversity: float) -> float:  # noqa: ARG001
    z = (r - r.mean()) / (r.std() or 1.0)
    if not picked:
        return float(z[i])
    longer = np.hstack([v, np.ones((len(v), 1))])
    basis = np.linalg.qr(longer[picked].T)[0]
    rest = longer[i] - basis @ (basis.T @ longer[i])
    return float((1 - diversity) * z[i] + diversity * np.linalg.norm(rest))


def cover_value(r: Values, v: Values, p: Values, picked: list[int], i: int, diversity: float) -> float:  # noqa: ARG001
    similarity = np.clip(v @ v.T, 0, 1)
    before = similarity[picked].sum(axis=0)
    gain = np.sqrt(before + similarity[i]).sum() - np.sqrt(before).sum()
    return float((1 - diversity) * r[i] + diversity * gain)


def shares(rows: Values) -> Values:
    return rows / np.maximum(rows.sum(axis=-1, keepdims=True), 1e-12)


def xquad_value(r: Values, x: Values, p: Values, picked: list[int], i: int, diversity: float) -> float:
    x = shares(x)
    unserved = np.prod(1 - x[picked] * r[picked, None], axis=0)
    return float((1 - diversity) * r[i] + diversity * (p * x[i] * r[i] * unserved).sum())


def calibrated_value(r: Values, x: Values, p: Values, picked: list[int], i: int, diversity: float) -> float:
    slate = shares(x)[[*picked, i]].sum(axis=0)
    divergence = np.log(100) if not slate.any() else calibration(p[None], slate[None])[0]
    return float((1 - diversity) * r[i] - diversity * divergence)


BY_VECTORS: list[tuple[Any, Value]] = [
    (mmr, mmr_value),
    (msd, msd_value),
    (dpp, dpp_value),
    (ssd, ssd_value),
    (cover, cover_value),
]
BY_CATEGORIES: list[tuple[Any, Value]] = [(xquad, xquad_value), (calibrated, calibrated_value)]


def check(
    found: list[int], value: Value, relevance: Values, rows: Values, profile: Values, diversity: float, first: int
) -> None:
    scaled = (relevance - relevance.min()) / (np.ptp(relevance) or 1.0)
    for at in range(first, len(found)):
        left = set(range(len(relevance))) - set(found[:at])
        best = max(value(scaled, rows, profile, found[:at], i, diversity) for i in left)
        assert value(scaled, rows, profile, found[:at], found[at], diversity) >= best - 1e-4 * max(1.0, abs(best))


@pytest.mark.parametrize(("diversify", "value"), BY_VECTORS)
@settings(max_examples=25, deadline=None)
@given(st.integers(1, 25), st.integers(0, 99), st.integers(1, 8), st.sampled_from([0.1, 0.3, 0.5, 0.9]))
def test_by_vectors(diversify: Any, value: Value, n: int, seed: int, k: int, diversity: float) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(5, 12))[random.integers(0, 5, n)] + 0.5 * random.normal(size=(n, 12))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    relevance = random.uniform(size=n)
    found = diversify(relevance, 3 * vectors, k, diversity=diversity).tolist()
    if value is not dpp_value and value is not cover_value:
        assert found[0] == relevance.argmax()
    check(found, value, relevance, vectors, np.zeros(0), diversity, 0)


@pytest.mark.parametrize(("diversify", "value"), BY_CATEGORIES)
@settings(max_examples=25, deadline=None)
@given(st.integers(1, 25), st.integers(0, 99), st.integers(1, 8), st.sampled_from([0.1, 0.3, 0.5, 0.9, 1.0]))
def test_by_categories(diversify: Any, value: Value, n: int, seed: int, k: int, diversity: float) -> None:
    random = np.random.default_rng(seed)
    flags = (random.uniform(size=(n, 6)) < 0.3).astype(np.float64)
    profile = random.uniform(size=6) * (random.uniform(size=6) < 0.7)
    profile[0] += 0.1
    relevance = random.uniform(size=n)
    found = diversify(relevance, flags, k, diversity=diversity, profile=profile).tolist()
    check(found, value, relevance, flags, profile / profile.sum(), diversity, 0)


def test_set_cover_covers_the_strongest_interests_first_and_then_anew() -> None:
    flags = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0]])
    relevance = np.array([6.0, 5, 4, 3, 2, 1])
    found = set_cover(relevance, flags, 6, diversity=1, profile=np.array([5.0, 3, 2]))
    assert found.tolist() == [0, 4, 1, 2, 3, 5]
    assert set_cover(relevance, flags, 3, diversity=0.1, profile=np.array([5.0, 3, 2])).tolist() == [0, 1, 2]


def test_without_a_profile_the_candidates_speak() -> None:
    flags = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [1, 0]])
    relevance = np.array([1.0, 0.9, 0.8, 0.7, 0.0])
    assert set_cover(relevance, flags, 2, diversity=0.9).tolist() == [0, 3]
    for diversify in (xquad, calibrated, set_cover):
        with pytest.raises(ValueError, match=r"profile\[2\]"):
            diversify(relevance, flags, 2, diversity=0.5, profile=np.ones(3))


def test_windows() -> None:
    """What was shown is avoided while it is in the window."""
    vectors = np.eye(4)
    relevance = np.array([1.0, 0.9, 0.8, 0.7])
    assert ssd(relevance, vectors, 1, diversity=0.9, recent=vectors[:1]).tolist() == [1]
    assert ssd(relevance, vectors, 1, diversity=0.9, recent=vectors[:2], window=1).tolist() == [0]
    with pytest.raises(ValueError, match="window"):
        ssd(relevance, vectors, 1, diversity=0.9, window=0)
    with pytest.raises(ValueError, match="recent"):
        ssd(relevance, vectors, 1, diversity=0.9, recent=np.eye(3))


@pytest.mark.parametrize("diversify", [mmr, msd, dpp, ssd])
def test_more_diversity_is_less_similarity(diversify: Any) -> None:
    random = np.random.default_rng(0)
    means = np.zeros(6)
    for _ in range(50):
        vectors = random.normal(size=(5, 8))[random.integers(0, 5, 60)] + 0.3 * random.normal(size=(60, 8))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        relevance = np.sort(random.uniform(size=60))[::-1]
        for n, diversity in enumerate((0.0, 0.2, 0.4, 0.6, 0.8, 1.0)):
            slate = vectors[diversify(relevance, vectors, 10, diversity=diversity)]
            means[n] += ((slate @ slate.T).sum() - 10) / 90 / 50
    assert all(after <= before + 0.02 for before, after in itertools.pairwise(means))
    assert means[-1] < means[0] - 0.04


def test_extreme_numbers() -> None:
    assert mmr(np.array([3e38, 0.0, -3e38]), np.eye(3), 3, diversity=0.5).tolist() == [0, 1, 2]
    assert sorted(mmr(np.zeros(3), np.full((3, 3), 1e30), 3, diversity=0.5).tolist()) == [0, 1, 2]
    with pytest.raises(ValueError, match="float32"):
        mmr(np.array([1e300, 0.0]), np.eye(2), 2, diversity=0.5)
    with pytest.raises(ValueError, match="gamma"):
        cover(np.ones(3), np.eye(3), 2, diversity=0.5, gamma=0.0)
