"""Estimates from logged slates against the truth of a simulated world."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from divrec.metrics.counterfactual import counterfactual

CHANCES = np.array([0.6, 0.3, 0.1])
"""Of the policy that was logged."""
WORTH = np.array([0.05, 0.2, 0.5])
"""Of the three items."""

Floats = npt.NDArray[np.float64]


def logged(items: int, seed: int) -> tuple[npt.NDArray[np.int64], Floats, npt.NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    shown = random.choice(3, items, p=CHANCES)
    return shown, (random.random(items) < WORTH[shown]).astype(np.float64), random.integers(0, items // 5, items)


def test_estimates_are_right_and_intervals_hold_the_truth() -> None:
    policy = np.array([0.1, 0.2, 0.7])
    truth = float(policy @ WORTH)
    held = np.zeros(2)
    for seed in range(60):
        shown, rewards, users = logged(2_000, seed)
        found = counterfactual(rewards, CHANCES[shown], policy[shown], users)
        assert 0 < found.effective < 2_000
        held += [one.low <= truth <= one.high for one in (found.ips, found.snips)]
        assert found.ips.difference == pytest.approx(truth, abs=0.15)
    assert (held >= 0.88 * 60).all()


def test_the_policy_that_was_logged_earns_what_it_earned() -> None:
    shown, rewards, users = logged(500, 1)
    found = counterfactual(rewards, CHANCES[shown], CHANCES[shown], users)
    assert found.ips == found.snips and found.ips.difference == pytest.approx(rewards.mean())
    assert found.effective == pytest.approx(500)


def test_edges() -> None:
    none = np.zeros(0)
    found = counterfactual(none, none, none, none.astype(np.int64))
    assert math.isnan(found.ips.difference) and math.isnan(found.snips.low) and found.effective == 0.0
    one, user = np.ones(1), np.zeros(1, np.int64)
    never = counterfactual(one, one, np.zeros(1), user)
    assert never.ips == (0.0, 0.0, 0.0) and math.isnan(never.snips.difference)
    with pytest.raises(ValueError, match=r"logged chances must be in \(0, 1\], got 0"):
        counterfactual(one, np.zeros(1), one, user)
    with pytest.raises(ValueError, match="asked chances"):
        counterfactual(one, one, 2 * one, user)
