"""Counterfactual estimates: a known truth is recovered, and so is that of real logged slates."""

import csv
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from divrec.evaluate.policy import Outcome, ShownSlate, Turn, estimate, rewards, targets
from divrec.rank.exploration import Exploration


def simulated(seed: int, slates: int, k: int = 3) -> tuple[Outcome, float]:
    """A policy with exploration is logged; what is asked for ranks the other way round, with more exploration.

    The truth is what that policy would have earned, in expectation, at each position below the logged prefix.
    """
    random = np.random.default_rng(seed)
    click = random.uniform(0.02, 0.4, 8)
    logging, wanted = Exploration(0.5, ["any"]), Exploration(0.8, ["any"])
    ranked, other = list(range(8)), list(range(7, -1, -1))
    columns: list[tuple[int, float, float, float]] = []
    truth = 0.0
    for n in range(slates):
        shown = logging.draw(ranked, {"any": ranked}, k, random)
        for position, (item, propensity) in enumerate(zip(shown.items, shown.propensities, strict=True)):
            left = [i for i in other if i not in shown.items[:position]]
            chances = {i: wanted.share / len(left) + (1 - wanted.share) * (i == left[0]) for i in left}
            truth += sum(chance * click[i] for i, chance in chances.items())
            columns.append((n, float(random.random() < click[item]), propensity, chances[item]))
    slate, reward, propensity, target = (np.array(column) for column in zip(*columns, strict=True))
    return estimate(slate, reward, propensity, target), truth / len(columns)


def test_a_known_truth_is_recovered() -> None:
    """A 95 % interval may miss one time in twenty."""
    outcomes = [simulated(seed, slates=600) for seed in range(12)]
    for name in ("ips", "snips"):
        held = sum(getattr(o, name).low <= truth <= getattr(o, name).high for o, truth in outcomes)
        assert held >= 11, (name, held)
    for outcome, truth in outcomes:
        assert outcome.weight.value == pytest.approx(1.0, abs=0.1)
        assert outcome.snips.value == pytest.approx(truth, abs=0.05)
        assert 0 < outcome.effective < 1_800


def test_the_logging_policy_itself_is_its_mean() -> None:
    random = np.random.default_rng(1)
    reward, propensity = random.random(100), random.uniform(0.1, 1, 100)
    outcome = estimate(np.arange(100) // 5, reward, propensity, propensity)
    assert outcome.ips == outcome.snips == outcome.logged
    assert outcome.effective == pytest.approx(100)
    assert outcome.weight == (1, 1, 1) and outcome.supported


def test_what_is_never_shown_has_no_estimate() -> None:
    outcome = estimate(np.arange(4), np.ones(4), np.full(4, 0.5), np.zeros(4))
    assert outcome.ips.value == 0
    assert np.isnan(outcome.snips.value)
    assert outcome.effective == 0 and outcome.weight.value == 0 and not outcome.supported


@pytest.mark.parametrize(
    ("reward", "propensity", "target", "told"),
    [
        ([1.0], [0.0], [0.5], r"propensities must be in \(0, 1\]"),
        ([1.0], [1.5], [0.5], r"propensities must be in \(0, 1\]"),
        ([1.0], [0.5], [-0.1], r"in \[0, 1\]"),
        ([float("nan")], [0.5], [0.5], "finite"),
        ([1.0, 0.0], [0.5], [0.5], "one length"),
        ([], [], [], "above 0"),
    ],
)
def test_refusals(reward: list[float], propensity: list[float], target: list[float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        estimate(np.zeros(len(target), np.int64), np.array(reward), np.array(propensity), np.array(target))


def test_rewards_go_to_the_latest_slate_that_showed_the_item() -> None:
    slates = [
        ShownSlate("u", 100, ["a", "b"], [0.5, 1.0]),
        ShownSlate("u", 200, ["a", "c"], [0.5, 1.0]),
        ShownSlate("v", 200, ["a"], [1.0]),
        ShownSlate("u", 200, [], []),
    ]
    turns = [
        Turn("u", "a", 250),
        Turn("u", "b", 101),
        Turn("v", "a", 200),  # what the slate was made for
        Turn("u", "c", 199),  # before it was shown
        Turn("v", "a", 1_201),  # too late
        Turn("w", "a", 300),
    ]
    assert rewards(slates, turns, 1_000) == [[0.0, 1.0], [1.0, 0.0], [0.0], []]


def test_targets_of_a_ranking_follow_what_is_above() -> None:
    assert targets(["b", "a", "c"], ["a", "b", "c", "d"]) == [0.0, 1.0, 1.0]
    assert targets(["a", "b"], ["a"]) == [1.0, 0.0]
    assert targets([], ["a"]) == []


def test_a_ranking_is_estimated_from_slates_that_explore() -> None:
    """Six items by known appeal; what shows them the right way round earns what the simulation says."""
    random = np.random.default_rng(4)
    click = {str(n): 0.05 + 0.1 * n for n in range(6)}
    worst_first, best_first = sorted(click), sorted(click, reverse=True)
    logging = Exploration(0.6, ["any"])
    columns: list[tuple[int, float, float, float]] = []
    for n in range(2_000):
        shown = logging.draw(range(6), {"any": range(6)}, 1, random)
        items = [worst_first[item] for item in shown.items]
        reward = float(random.random() < click[items[0]])
        columns.append((n, reward, shown.propensities[0], targets(items, best_first)[0]))
    slate, reward_of, propensity, target = (np.array(column) for column in zip(*columns, strict=True))
    outcome = estimate(slate, reward_of, propensity, target)
    assert outcome.logged.high < outcome.snips.low <= click["5"] <= outcome.snips.high


SPEC = find_spec("obp")


@pytest.mark.skipif(SPEC is None, reason="NOT TESTED: the Open Bandit data of the package obp is not installed")
@pytest.mark.parametrize("campaign", ["all", "men", "women"])
def test_open_bandit_data(campaign: str) -> None:
    """Random recommendations earn what slates of Thompson sampling say they would (Saito et al., 2020)."""
    assert SPEC is not None and SPEC.origin is not None
    data = Path(SPEC.origin).parent / "dataset" / "obd"

    def column(policy: str, name: str) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        with (data / policy / campaign / f"{campaign}.csv").open() as lines:
            return np.array([float(row[name]) for row in csv.DictReader(lines)])

    random_propensity = column("random", "propensity_score")
    truth = column("random", "click").mean()
    reward, propensity = column("bts", "click"), column("bts", "propensity_score")
    outcome = estimate(np.arange(len(reward)), reward, propensity, np.full(len(reward), random_propensity[0]))
    assert np.ptp(random_propensity) < 1e-9
    assert outcome.ips.low <= truth <= outcome.ips.high
    assert outcome.snips.low <= truth <= outcome.snips.high
