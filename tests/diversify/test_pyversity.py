"""The same picks as pyversity's, where it has the strategy.

It breaks ties by position and divrec by relevance first, so at diversity 1 the candidates come by relevance.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from divrec.diversify.cover import cover
from divrec.diversify.dpp import dpp
from divrec.diversify.mmr import mmr
from divrec.diversify.msd import msd
from divrec.diversify.ssd import ssd

pyversity = pytest.importorskip("pyversity", reason="pyversity is not installed: make install-bench")

OURS: dict[str, Callable[..., Any]] = {"mmr": mmr, "msd": msd, "dpp": dpp, "ssd": ssd, "cover": cover}
DIVERSITIES = (0.0, 0.1, 0.3, 0.5, 0.8, 1.0)


def candidates(seed: int, n: int, d: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Falling relevance in [0, 1] and vectors in clusters, of any length."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(12, d))[random.integers(0, 12, n)] + 0.7 * random.normal(size=(n, d))
    relevance = random.uniform(size=n) ** 2
    relevance = (relevance - relevance.min()) / np.ptp(relevance)
    return np.sort(relevance)[::-1].astype(np.float32), vectors.astype(np.float32)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(("n", "d", "k"), [(100, 64, 10), (100, 384, 50), (300, 24, 20), (40, 64, 40)])
def test_same_picks(name: str, n: int, d: int, k: int) -> None:
    for seed in range(8):
        relevance, vectors = candidates(seed, n, d)
        for diversity in DIVERSITIES:
            theirs = getattr(pyversity, name)(vectors, relevance, k, diversity=diversity).indices
            assert OURS[name](relevance, vectors, k, diversity=diversity).tolist() == theirs.tolist()


@pytest.mark.parametrize("window", [None, 1, 3, 8, 100])
def test_same_picks_after_what_was_shown(window: int | None) -> None:
    for seed in range(8):
        relevance, vectors = candidates(seed, 100, 64)
        recent = candidates(seed + 100, 6, 64)[1]
        for diversity in DIVERSITIES:
            theirs = pyversity.ssd(
                vectors, relevance, 10, diversity=diversity, recent_embeddings=recent, window=window
            ).indices
            ours = ssd(relevance, vectors, 10, diversity=diversity, recent=recent, window=window)
            assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("gamma", [0.25, 1.0])
def test_same_picks_of_cover(gamma: float) -> None:
    relevance, vectors = candidates(0, 100, 64)
    for diversity in DIVERSITIES:
        theirs = pyversity.cover(vectors, relevance, 10, diversity=diversity, gamma=gamma).indices
        assert cover(relevance, vectors, 10, diversity=diversity, gamma=gamma).tolist() == theirs.tolist()


@pytest.mark.parametrize("name", OURS)
def test_same_picks_in_any_order(name: str) -> None:
    relevance, vectors = candidates(0, 100, 64)
    order = np.random.default_rng(0).permutation(100)
    for diversity in DIVERSITIES[:-1]:
        theirs = getattr(pyversity, name)(vectors[order], relevance[order], 10, diversity=diversity).indices
        assert OURS[name](relevance[order], vectors[order], 10, diversity=diversity).tolist() == theirs.tolist()


@pytest.mark.parametrize("name", ["mmr", "msd"])
def test_same_picks_of_films(name: str) -> None:
    """By genre, where many films are alike."""
    random = np.random.default_rng(0)
    flags = (random.uniform(size=(30, 18)) < 0.12)[random.integers(0, 30, 100)].astype(np.float32)
    relevance = np.linspace(1, 0, 100, dtype=np.float32)
    for diversity in DIVERSITIES:
        theirs = getattr(pyversity, name)(flags, relevance, 10, diversity=diversity).indices
        assert OURS[name](relevance, flags, 10, diversity=diversity).tolist() == theirs.tolist()
