"""The contract of diversifiers, over ours; and that the contract finds what is wrong."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from divrec.checks.diversifier import check_diversifier
from divrec.diversify.balanced import balanced
from divrec.diversify.calibrated import calibrated
from divrec.diversify.cover import cover
from divrec.diversify.dpp import dpp
from divrec.diversify.mmr import mmr
from divrec.diversify.msd import msd
from divrec.diversify.set_cover import set_cover
from divrec.diversify.ssd import ssd
from divrec.diversify.xquad import xquad

Order = NDArray[np.integer[Any]]


def balanced_by_both(relevance: Any, rows: Any, k: int, *, diversity: float) -> Order:
    """Rows are both vectors and categories."""
    profile = np.arange(rows.shape[-1] if rows.ndim > 1 else 1)
    return balanced(relevance, rows, k, diversity=diversity, categories=rows, profile=profile)


def ssd_in_a_window(relevance: Any, vectors: Any, k: int, *, diversity: float) -> Order:
    return ssd(relevance, vectors, k, diversity=diversity, recent=np.ones((3, vectors.shape[-1])), window=2)


@pytest.mark.parametrize("diversify", [mmr, msd, dpp, ssd, ssd_in_a_window, cover, balanced])
def test_by_vectors(diversify: Callable[..., Order]) -> None:
    check_diversifier(diversify)


@pytest.mark.parametrize("diversify", [xquad, calibrated, set_cover, balanced_by_both])
def test_by_categories(diversify: Callable[..., Order]) -> None:
    check_diversifier(diversify, of="categories")


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


def last_of_equals(relevance: Any, vectors: Any, k: int, *, diversity: float) -> Order:
    if diversity == 0:
        return mmr(relevance, vectors, k, diversity=0)
    n = len(relevance)
    return n - 1 - mmr(relevance[::-1], vectors[::-1], k, diversity=diversity)


def in_memory_order(relevance: Any, vectors: Any, k: int, *, diversity: float) -> Order:
    """Reads column-major vectors as if they were not."""
    if vectors.flags.f_contiguous and not vectors.flags.c_contiguous:
        vectors = vectors.ravel(order="K").reshape(vectors.shape)
    return mmr(relevance, vectors, k, diversity=diversity)


def without_zero_vectors(relevance: Any, vectors: Any, k: int, *, diversity: float) -> Order:
    found = mmr(relevance, vectors, k, diversity=diversity)
    return found if diversity == 0 else found[np.asarray(vectors).any(axis=1)[found]]


def taking_negative_categories(relevance: Any, rows: Any, k: int, *, diversity: float) -> Order:
    return xquad(relevance, np.abs(rows), k, diversity=diversity)


@pytest.mark.parametrize(
    ("diversify", "said"),
    [
        (by_relevance, "expected a ValueError"),
        (worst_first, "expected the relevance order"),
        (with_repeats, "expected different positions"),
        (changing_its_input, "the inputs were changed"),
        (at_random(), "the second call"),
        (too_many, "expected 0 positions"),
        (last_of_equals, "the same item 40 times, equal relevance"),
        (in_memory_order, "column-major"),
        (without_zero_vectors, "expected 10 positions"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_contract_finds(diversify: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_diversifier(diversify)


def test_the_contract_finds_negative_categories() -> None:
    with pytest.raises(AssertionError, match="a negative category"):
        check_diversifier(taking_negative_categories, of="categories")
