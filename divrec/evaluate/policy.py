"""What another policy would have earned, from slates that were shown with known propensities.

Each shown item n has a reward r_n, the propensity p_n with which the logging policy put it at its position given what
stood before it, and the probability q_n with which the policy in question would have put it there.

    IPS   = Σ r_n q_n / p_n / N           unbiased, but of high variance (Horvitz & Thompson, 1952)
    SNIPS = Σ r_n q_n / p_n / Σ q_n / p_n   slightly biased, steadier (Swaminathan & Joachims, 2015)

Both are the mean reward of a shown item, the higher the better. Positions count on their own (Li et al., 2018): what a
policy earns at a position is asked for given the items that were in fact above it. The estimates hold only where the
logging policy could have shown whatever the other one shows: ``effective`` and ``weight`` tell how well it did.
Intervals are bootstraps over groups of shown items that hang together: of one slate, or of one user.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

DRAWS = 2_000
LEVEL = 0.95

Floats = npt.NDArray[np.float64]
T = TypeVar("T")


class Estimate(NamedTuple):
    value: float
    low: float
    high: float
    """The interval that holds the truth in 95 of 100 cases."""


@dataclass(frozen=True)
class Outcome:
    """What was earned, and what would have been."""

    logged: Estimate
    """Mean reward of the logging policy itself."""
    ips: Estimate
    snips: Estimate
    effective: float
    """Effective number of shown items, (Σ w)² / Σ w² with w = q / p: far below N the estimates rest on few of them."""
    weight: Estimate
    """Mean w: near 1 if the logging policy could show all that the other one would; below, it could show that part."""

    @property
    def supported(self) -> bool:
        """Nothing speaks against it that the logging policy could show all that the other one would."""
        return self.weight.low <= 1.0 <= self.weight.high


class ShownSlate(NamedTuple):
    """A published slate. ``propensities`` has one for each of ``items``."""

    user_id: str
    ts: int
    items: Sequence[str]
    propensities: Sequence[float]


class Turn(NamedTuple):
    """A user turned to an item: what earns a slate its reward."""

    user_id: str
    item_id: str
    ts: int


def rewards(slates: Sequence[ShownSlate], turns: Iterable[Turn], within_ms: int) -> list[list[float]]:
    """1 for each shown item that its user turned to within ``within_ms`` of the slate, else 0.

    A turn counts for the latest slate before it that showed the item; one at the same time may be what the slate was
    made for.
    """
    shown: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    for n, slate in enumerate(slates):
        for position, item_id in enumerate(slate.items):
            shown[slate.user_id, item_id].append((slate.ts, n, position))
    found = [[0.0] * len(slate.items) for slate in slates]
    for turn in turns:
        places = [place for place in shown.get((turn.user_id, turn.item_id), ()) if place[0] < turn.ts]
        if places and turn.ts - (latest := max(places))[0] <= within_ms:
            found[latest[1]][latest[2]] = 1.0
    return found


def targets(shown: Sequence[T], ranked: Iterable[T]) -> list[float]:
    """q of each of ``shown`` if the policy in question always shows the best of ``ranked`` that is not shown yet."""
    found = []
    above: set[T] = set()
    best = iter(ranked)
    following = next(best, None)
    for item in shown:
        while following in above:
            following = next(best, None)
        found.append(float(item == following))
        above.add(item)
    return found


def estimate(
    group: npt.NDArray[np.int64], reward: Floats, propensity: Floats, target: Floats, *, seed: int = 0
) -> Outcome:
    """IPS and SNIPS of a policy that shows each item with probability ``target``.

    All arrays have one entry for each shown item, [n]; ``group`` tells which group it was in. Raises ValueError unless
    propensities are in (0, 1], targets in [0, 1] and rewards finite.
    """
    lengths = {len(column) for column in (group, reward, propensity, target)}
    if lengths == {0} or len(lengths) != 1:
        raise ValueError(f"shown items: expected columns of one length above 0, got lengths {sorted(lengths)}")
    if not (np.isfinite(propensity).all() and (propensity > 0).all() and (propensity <= 1 + 1e-9).all()):
        raise ValueError("propensities must be in (0, 1]: an item that could not be shown says nothing")
    if not (np.isfinite(target).all() and (target >= 0).all() and (target <= 1 + 1e-9).all()):
        raise ValueError("target probabilities must be in [0, 1]")
    if not np.isfinite(reward).all():
        raise ValueError("rewards must be finite")
    _, cluster = np.unique(group, return_inverse=True)
    weight = target / propensity
    columns = (np.ones(len(reward)), reward, weight, weight * reward)
    size, earned, weights, weighted = (np.bincount(cluster, column) for column in columns)
    random = np.random.default_rng(seed)
    sums = np.empty((DRAWS, 4))
    stacked = np.stack((size, earned, weights, weighted), axis=1)
    for draw in range(DRAWS):
        sums[draw] = stacked[random.integers(0, len(size), len(size))].sum(axis=0)
    total = stacked.sum(axis=0)
    squares = float((weight**2).sum())
    return Outcome(
        _interval(total[1] / total[0], sums[:, 1] / sums[:, 0]),
        _interval(total[3] / total[0], sums[:, 3] / sums[:, 0]),
        _interval(_ratio(total[3], total[2]), _ratio(sums[:, 3], sums[:, 2])),
        float(weight.sum()) ** 2 / squares if squares else 0.0,
        _interval(total[2] / total[0], sums[:, 2] / sums[:, 0]),
    )


def _ratio(above: Floats, below: Floats) -> Floats:
    """NaN where the other policy would never have shown any of it."""
    return np.divide(above, below, out=np.full_like(np.asarray(below, np.float64), np.nan), where=np.asarray(below) > 0)


def _interval(value: float | Floats, draws: Floats) -> Estimate:
    known = draws[~np.isnan(draws)]
    if not len(known):
        return Estimate(float("nan"), float("nan"), float("nan"))
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(known, (tail, 1.0 - tail))
    return Estimate(float(value), float(low), float(high))
