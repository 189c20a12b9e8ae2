"""Exploration: a share of a slate goes to items that are shown in order to learn about them.

Items to explore come in pools (say fresh items, and items with few interactions), the arms of a bandit. At each
position of the slate, given what stands before it,

    p(i) = (1 - share) [i is the next best by relevance] + share Σ_a P(a) [i in pool a] / |pool a|

where P(a) is the probability that Thompson sampling pulls arm a, over the pools that still hold something. p of the
item that was drawn is its propensity: exact, because it is what the item was drawn by. Where there is nothing to
explore, or nothing left by relevance, the other part counts 1.

The arms are learned by River's Thompson sampling with a Beta distribution for each; only its choice is made here, from
P(a) and the caller's random generator, so that a slate that is made again is the same and its propensities are known.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from river import bandit, proba

from divrec.rules.room import Room

GRID = 2_048
"""Points in [0, 1] on which the Beta distributions are compared."""
TINY = 1e-12


class Explored(NamedTuple):
    """A slate, one entry for each position; propensities are in (0, 1]; an arm is None for what relevance put there.

    Also where an arm drew just that: only what has an arm stands in the place of something else.
    """

    items: list[int]
    propensities: list[float]
    arms: list[str | None]


class Exploration:
    """``share`` in [0, 1] of each slate, on average, is drawn from pools named ``arms``."""

    def __init__(self, share: float, arms: Sequence[str]) -> None:
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"share must be in [0, 1], got {share}")
        if len(set(arms)) != len(arms) or not arms:
            raise ValueError(f"arms: expected different names, at least one, got {list(arms)}")
        self.share = share
        self.arms = tuple(arms)
        self.policy = bandit.ThompsonSampling(reward_obj=proba.Beta(), seed=0)
        self._shares: dict[tuple[str, ...], dict[str, float]] = {}

    def reward(self, arm: str, rewarded: bool) -> None:
        """The user turned, or did not turn, to an item that was drawn from ``arm``."""
        if arm not in self.arms:
            raise ValueError(f"arm: expected one of {', '.join(self.arms)}, got {arm!r}")
        self.policy.update(arm, bool(rewarded))
        self._shares.clear()

    def shares(self, arms: Sequence[str]) -> dict[str, float]:
        """P(a) of each of ``arms``: they sum to 1."""
        key = tuple(arms)
        if key not in self._shares:
            beta = [self.policy._rewards[arm] for arm in arms]
            self._shares[key] = dict(zip(arms, best_of([(one.alpha, one.beta) for one in beta]), strict=True))
        return self._shares[key]

    def draw(
        self,
        ranked: Sequence[int],
        pools: Mapping[str, Sequence[int]],
        k: int,
        random: np.random.Generator,
        room: Room | None = None,
    ) -> Explored:
        """At most ``k`` different items of ``ranked`` (best first) and ``pools`` (by arm; an item may be in several).

        All must be allowed in the slate: no rule looks at it again but the limits, for which there must be ``room``.
        """
        if unknown := sorted(set(pools).difference(self.arms)):
            raise ValueError(f"pools: expected names among {', '.join(self.arms)}, got {', '.join(unknown)}")
        left = {arm: dict.fromkeys(pools[arm]) for arm in self.arms if pools.get(arm)}
        shown: dict[int, None] = {}
        propensities: list[float] = []
        arms: list[str | None] = []
        best = iter(ranked)
        following = next(best, None)
        while len(shown) < k:
            while following is not None and (following in shown or not (room is None or room.fits(following))):
                following = next(best, None)
            if room is not None:
                left = {arm: dict.fromkeys(filter(room.fits, pool)) for arm, pool in left.items()}
            left = {arm: pool for arm, pool in left.items() if pool}
            if following is None and not left:
                break
            share = 0.0 if not left else 1.0 if following is None else self.share
            wants = self.shares(list(left)) if left else {}
            arm: str | None = None
            if following is None or random.random() < share:
                arm = list(left)[_drawn(list(wants.values()), random)]
                item = list(left[arm])[int(random.integers(len(left[arm])))]
            else:
                item = following
            propensity = sum(share * wants[name] / len(pool) for name, pool in left.items() if item in pool)
            if item == following:
                arm = None
                propensity += 1.0 - share
            shown[item] = None
            if room is not None:
                room.take(item)
            propensities.append(min(1.0, propensity))
            arms.append(arm)
            for pool in left.values():
                pool.pop(item, None)
        return Explored(list(shown), propensities, arms)


def best_of(betas: Sequence[tuple[float, float]]) -> list[float]:
    """The probability that each of independent Beta(α, β) variables is the greatest: ∫ f_a Π_{b≠a} F_b, on a grid."""
    grid = (np.arange(GRID) + 0.5) / GRID
    masses: list[npt.NDArray[np.float64]] = []
    for alpha, beta in betas:
        log_density = (alpha - 1.0) * np.log(grid) + (beta - 1.0) * np.log1p(-grid)
        mass = np.exp(log_density - log_density.max())
        masses.append(mass / mass.sum())
    below = [np.cumsum(mass) - 0.5 * mass for mass in masses]
    wins = np.array(
        [
            float((mass * np.prod([below[b] for b in range(len(masses)) if b != a], axis=0)).sum())
            for a, mass in enumerate(masses)
        ]
    )
    wins = np.maximum(wins, TINY)
    chances: list[float] = (wins / wins.sum()).tolist()
    return chances


def _drawn(shares: Sequence[float], random: np.random.Generator) -> int:
    return min(int(np.searchsorted(np.cumsum(shares), random.random(), side="right")), len(shares) - 1)
