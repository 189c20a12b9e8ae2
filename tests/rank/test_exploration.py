"""Exploration: propensities are the frequencies with which items are shown."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.rank.exploration import Exploration, best_of

POOL = st.lists(st.integers(0, 12), max_size=6, unique=True)


@given(POOL, POOL, POOL, st.integers(0, 8), st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 9))
def test_slates(ranked: list[int], fresh: list[int], rare: list[int], k: int, share: float, seed: int) -> None:
    exploration = Exploration(share, ["fresh", "rare"])
    pools = {"fresh": fresh, "rare": rare}
    shown = exploration.draw(ranked, pools, k, np.random.default_rng(seed))
    assert shown == exploration.draw(ranked, pools, k, np.random.default_rng(seed))
    assert len(set(shown.items)) == len(shown.items) == min(k, len({*ranked, *fresh, *rare}))
    assert all(0 < propensity <= 1 + 1e-9 for propensity in shown.propensities)
    for item, arm in zip(shown.items, shown.arms, strict=True):
        assert item in (ranked if arm is None else pools[arm])
    if share == 0.0:
        assert shown.items[: len(ranked)] == ranked[:k]
        assert shown.propensities[: len(ranked)] == [1.0] * len(ranked[:k])


def test_propensities_are_frequencies() -> None:
    """Of the first two positions, by the item and what stands before it."""
    exploration = Exploration(0.4, ["fresh", "rare"])
    for rewarded in (True, True, False):
        exploration.reward("fresh", rewarded)
    random = np.random.default_rng(0)
    count = 20_000
    pools = {"fresh": [1, 7, 8], "rare": [8, 9]}
    told: dict[tuple[int, ...], float] = {}
    seen: Counter[tuple[int, ...]] = Counter()
    for _ in range(count):
        shown = exploration.draw([1, 2, 3], pools, 2, random)
        seen[shown.items[0],] += 1
        seen[tuple(shown.items)] += 1
        told[shown.items[0],] = shown.propensities[0]
        told[tuple(shown.items)] = shown.propensities[0] * shown.propensities[1]
    assert sum(p for key, p in told.items() if len(key) == 1) == pytest.approx(1.0)
    assert sum(p for key, p in told.items() if len(key) == 2) == pytest.approx(1.0)
    for key, propensity in told.items():
        assert seen[key] / count == pytest.approx(propensity, abs=4 * (propensity / count) ** 0.5)


def test_the_share_goes_to_what_pays() -> None:
    exploration = Exploration(1.0, ["good", "bad"])
    assert exploration.shares(["good", "bad"]) == pytest.approx({"good": 0.5, "bad": 0.5})
    random = np.random.default_rng(1)
    pools = {"good": list(range(50)), "bad": list(range(50, 100))}
    drawn: list[str | None] = []
    for _ in range(500):
        arm = exploration.draw([], pools, 1, random).arms[0]
        assert arm is not None
        drawn.append(arm)
        exploration.reward(arm, random.random() < (0.3 if arm == "good" else 0.1))
    assert drawn[-200:].count("good") > 180
    assert exploration.shares(["good", "bad"])["bad"] > 0, "what was shown must have been possible"


@pytest.mark.parametrize(
    "betas", [[(1.0, 1.0)], [(3.0, 9.0), (5.0, 5.0), (1.0, 1.0)], [(400.0, 600.0), (390.0, 610.0)]]
)
def test_best_of_is_what_sampling_finds(betas: list[tuple[float, float]]) -> None:
    random = np.random.default_rng(2)
    samples = np.stack([random.beta(a, b, 100_000) for a, b in betas])
    frequency = np.bincount(samples.argmax(axis=0), minlength=len(betas)) / samples.shape[1]
    assert best_of(betas) == pytest.approx(frequency, abs=0.006)


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"share must be in \[0, 1\], got 1.5"):
        Exploration(1.5, ["fresh"])
    with pytest.raises(ValueError, match="different names"):
        Exploration(0.1, ["fresh", "fresh"])
    with pytest.raises(ValueError, match="expected one of fresh, got 'old'"):
        Exploration(0.1, ["fresh"]).reward("old", True)
    with pytest.raises(ValueError, match="pools: expected names among fresh, got old"):
        Exploration(0.1, ["fresh"]).draw([], {"old": [1]}, 1, np.random.default_rng(0))
