"""Policies that slates, logged with their propensities, can tell about.

``unexplored`` is known at every place: what exploring put there is marked, and everything else is what it would have
shown. ``relevance`` is known by the ranks: given the items above, it shows the best that is not among them. What could
not have been shown at all (most popular items, say) cannot be told from slates, by whatever formula.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from divrec.errors import ConfigError
from divrec.evaluate.policy import Floats, Outcome, ShownSlate, Turn, estimate, rewards, targets
from divrec.events import Recommendation, SlateItem

GROUPS = 8_192
"""Users beyond this number are put together for the intervals."""


def unexplored(items: list[SlateItem]) -> list[float]:
    """Probability that each of ``items`` stood at its place, given those above, had nothing been explored."""
    return [float(not item.reasons or item.reasons[0].code != "explored") for item in items]


def by_relevance(items: list[SlateItem]) -> list[float]:
    """The same, had nothing been explored or diversified."""
    return targets([item.relevance_rank for item in items], range(1, len(items) + 1))


POLICIES: dict[str, Callable[[list[SlateItem]], list[float]]] = {"unexplored": unexplored, "relevance": by_relevance}


@dataclass(frozen=True)
class Told:
    """What logged slates tell."""

    slates: int
    shown: int
    """Items in them."""
    explored: int
    """Those that exploration put there."""
    users: int
    rewarded: int
    """Shown items that their users turned to."""
    outcomes: Mapping[str, Outcome]
    """By the name of the policy."""


def tell(recommendations: Iterable[Recommendation], turns: Iterable[Turn], within_ms: int) -> Told:
    """What ``POLICIES`` would have earned. Repeated recommendations count once; empty slates do not count.

    Raises ConfigError where there is nothing to tell from.
    """
    slates: dict[str, ShownSlate] = {}
    targets: dict[str, list[float]] = {name: [] for name in POLICIES}
    for made in recommendations:
        if made.recommendation_id in slates or not made.items:
            continue
        shown = [item.item_id for item in made.items]
        propensities = [item.propensity for item in made.items]
        slates[made.recommendation_id] = ShownSlate(made.user_id, made.ts, shown, propensities)
        for name, policy in POLICIES.items():
            targets[name] += policy(made.items)
    if not slates:
        raise ConfigError("--policy: expected recommendations with items, found none")
    logged = list(slates.values())
    numbers: dict[str, int] = {}
    sizes = [len(slate.items) for slate in logged]
    group = np.repeat([numbers.setdefault(slate.user_id, len(numbers)) % GROUPS for slate in logged], sizes)
    reward: Floats = np.concatenate(rewards(logged, turns, within_ms))
    propensity: Floats = np.concatenate([slate.propensities for slate in logged])
    return Told(
        slates=len(logged),
        shown=len(reward),
        explored=len(reward) - int(sum(targets["unexplored"])),
        users=len(numbers),
        rewarded=int(reward.sum()),
        outcomes={name: estimate(group, reward, propensity, np.array(target)) for name, target in targets.items()},
    )
