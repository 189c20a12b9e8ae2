"""The default: what it promises, over requests like those of a film site."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from divrec.diversify.balanced import balanced
from divrec.metrics.calibration import calibration
from divrec.metrics.ild import ild

K = 10


class Ask(NamedTuple):
    relevance: NDArray[np.float64]
    flags: NDArray[np.float64]
    profile: NDArray[np.float64]


def asks(count: int = 60) -> Iterator[Ask]:
    """Relevance agrees with a few of the user's interests more than with the others."""
    random = np.random.default_rng(0)
    for _ in range(count):
        profile = random.dirichlet(np.full(18, 0.5))
        flags = (random.uniform(size=(100, 18)) < 0.12).astype(np.float64)
        relevance = random.uniform(size=100) + flags @ profile**2 * 8
        order = np.argsort(-relevance)
        yield Ask(relevance[order], flags[order], profile)


def slate(ask: Ask, diversity: float) -> NDArray[np.int32]:
    return balanced(ask.relevance, ask.flags, K, diversity=diversity, categories=ask.flags, profile=ask.profile)


def figures(ask: Ask, chosen: Any) -> tuple[float, float, float]:
    """Distance, number of categories and agreement with the profile: higher is better."""
    flags = ask.flags[chosen]
    shares = (flags / np.maximum(flags.sum(axis=1, keepdims=True), 1)).sum(axis=0)
    return ild(flags[None])[0], flags.any(axis=0).sum(), -calibration(ask.profile[None], shares[None])[0]


def test_more_of_all_three_the_higher_the_diversity() -> None:
    means = [np.mean([figures(ask, slate(ask, d)) for ask in asks()], axis=0) for d in (0.0, 0.2, 0.5)]
    assert (means[1] > means[0]).all()
    assert (means[2] > means[1]).all()


def test_sorted_by_relevance_and_the_best_item_stays() -> None:
    for ask in asks(20):
        for diversity in (0.0, 0.2, 0.7, 1.0):
            assert (np.diff(slate(ask, diversity)) > 0).all()
        assert slate(ask, 0.2)[0] == 0


def test_no_scale_matters() -> None:
    for ask in asks(20):
        other = Ask(1e3 * ask.relevance - 70, ask.flags, 12 * ask.profile)
        assert slate(other, 0.3).tolist() == slate(ask, 0.3).tolist()


def test_vectors_in_a_narrow_cone_count_as_much_as_others() -> None:
    """Distances of 0.01 are made as much of as distances of 1: it is their order that differs between candidates."""
    random = np.random.default_rng(0)
    relevance = np.sort(random.uniform(size=100))[::-1]
    vectors = random.normal(size=(6, 16))[random.integers(0, 6, 100)] + 0.3 * random.normal(size=(100, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    narrow = np.hstack([0.1 * vectors, np.full((100, 1), 0.99**0.5)])
    for diversity in (0.2, 0.5, 0.8):
        wide = balanced(relevance, vectors, K, diversity=diversity)
        assert len(np.intersect1d(wide, balanced(relevance, narrow, K, diversity=diversity))) >= K - 1


def test_one_interest_gets_more_places_than_one_of_many() -> None:
    random = np.random.default_rng(1)
    flags = np.eye(10)[np.repeat(np.arange(10), 10)]
    relevance = random.uniform(size=100)
    one = np.eye(10)[3]
    chosen = balanced(relevance, flags, K, diversity=0.5, categories=flags, profile=one)
    many = balanced(relevance, flags, K, diversity=0.5, categories=flags, profile=np.ones(10))
    assert flags[chosen][:, 3].sum() > flags[many][:, 3].sum()
    assert flags[many].any(axis=0).sum() >= 9


def test_what_is_not_known_drops_out() -> None:
    ask = next(asks())
    by_vectors = balanced(ask.relevance, ask.flags, K, diversity=0.5)
    nothing = np.zeros((100, 3))
    without = balanced(ask.relevance, ask.flags, K, diversity=0.5, categories=nothing, profile=np.zeros(3))
    assert without.tolist() == by_vectors.tolist()
    assert balanced(ask.relevance, nothing, K, diversity=1.0).tolist() == list(range(K))
    one = np.ones((100, 1))
    assert balanced(ask.relevance, one, K, diversity=1.0, categories=one, profile=np.ones(1)).tolist() == list(range(K))


def test_what_does_not_fit_is_refused() -> None:
    ask = next(asks())
    with pytest.raises(ValueError, match=r"categories\[100, c\]"):
        balanced(ask.relevance, ask.flags, K, categories=ask.flags[1:])
    with pytest.raises(ValueError, match=r"profile\[18\]"):
        balanced(ask.relevance, ask.flags, K, categories=ask.flags, profile=np.ones(3))
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="profile must be"):
            balanced(ask.relevance, ask.flags, K, categories=ask.flags, profile=np.full(18, bad))
        with pytest.raises(ValueError, match="categories must be"):
            balanced(ask.relevance, ask.flags, K, categories=np.full((100, 18), bad))
