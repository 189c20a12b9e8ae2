"""The contract of diversifiers, over ours; and that the contract finds what is wrong."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from divrec.checks.diversifier import check_diversifier
from divrec.diversify.mmr import mmr

Order = NDArray[np.integer[Any]]


def test_mmr_keeps_the_contract() -> None:
    check_diversifier(mmr)


def by_relevance(relevance: Any, vectors: Any, k: int, *, diversity: float) -> Order:  # noqa: ARG001
    return np.argsort(-relevance, kind="stable")[:k]


def worst_first(relevance: Any, vectors: Any, k: int, *, diversity: float) -> Order:
    return mmr(-np.asarray(relevance), vectors, k, diversity=diversity)


def with_repeats(relevance: Any, vectors: Any, k: int, *, diversity: float) -> Order:
    found = mmr(relevance, vectors, k, diversity=diversity)
    return np.repeat(found[:1], len(found)) if diversity == 1 else found


def changing_its_input(relevance: Any, vectors: Any, k: int, *, diversity: float) -> Order:
    found = mmr(relevance, vectors, k, diversity=diversity)
    if len(relevance) > 2:
        relevance[-1] += 1
    return found


def at_random() -> Any:
    random = np.random.default_rng(0)

    def diversify(relevance: Any, vectors: Any, k: int, *, diversity: float) -> Order:
        found = mmr(relevance, vectors, k, diversity=diversity)
        return random.permutation(found) if diversity > 0 else found

    return diversify


def too_many(relevance: Any, vectors: Any, k: int, *, diversity: float) -> Order:
    return mmr(relevance, vectors, max(k, 1), diversity=diversity)


@pytest.mark.parametrize(
    ("diversify", "said"),
    [
        (by_relevance, "expected a ValueError"),
        (worst_first, "expected the relevance order"),
        (with_repeats, "expected different positions"),
        (changing_its_input, "the inputs were changed"),
        (at_random(), "the second call"),
        (too_many, "expected 0 positions"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_contract_finds(diversify: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_diversifier(diversify)


def reference(relevance: Any, vectors: Any, k: int, diversity: float) -> list[int]:
    """MMR as the paper has it; what is opposite is no more different than what has nothing in common."""
    scaled = (relevance - relevance.min()) / (np.ptp(relevance) or 1.0)
    picked: list[int] = []
    while len(picked) < min(k, len(relevance)):
        gains = {
            i: (1 - diversity) * scaled[i] - (diversity * max(0.0, *vectors[picked] @ vectors[i]) if picked else 0.0)
            for i in range(len(relevance))
            if i not in picked
        }
        picked.append(max(gains, key=lambda i: gains[i]))
    return picked


@given(st.integers(1, 40), st.integers(0, 99), st.integers(1, 12), st.sampled_from([0.1, 0.3, 0.5, 0.9]))
def test_mmr_is_mmr(n: int, seed: int, k: int, diversity: float) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(n, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    relevance = random.uniform(size=n)
    assert mmr(relevance, vectors, k, diversity=diversity).tolist() == reference(relevance, vectors, k, diversity)


def test_more_diversity_is_less_similarity() -> None:
    random = np.random.default_rng(0)
    means = np.zeros(6)
    for _ in range(50):
        vectors = random.normal(size=(5, 8))[random.integers(0, 5, 60)] + 0.3 * random.normal(size=(60, 8))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        relevance = np.sort(random.uniform(size=60))[::-1]
        for n, diversity in enumerate((0.0, 0.2, 0.4, 0.6, 0.8, 1.0)):
            slate = vectors[mmr(relevance, vectors, 10, diversity=diversity)]
            means[n] += ((slate @ slate.T).sum() - 10) / 90 / 50
    assert all(after <= before + 0.02 for before, after in itertools.pairwise(means))
    assert means[-1] < means[0] - 0.04


def test_extreme_numbers() -> None:
    assert mmr(np.array([3e38, 0.0, -3e38]), np.eye(3), 3, diversity=0.5).tolist() == [0, 1, 2]
    assert sorted(mmr(np.zeros(3), np.full((3, 3), 1e30), 3, diversity=0.5).tolist()) == [0, 1, 2]
    with pytest.raises(ValueError, match="float32"):
        mmr(np.array([1e300, 0.0]), np.eye(2), 2, diversity=0.5)
