"""Baselines: the most popular items, of all times or with decay."""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.evaluate.ranker import Interaction, Learner, Past
from divrec.evaluate.stream import Ids

HALF_LIFE_DAYS = 30.0
_DAY_MS = 86_400_000.0
_HEADROOM = 500.0


class PopularityRanker:
    """Orders the items by Σ 2^((t - now) / half-life) over their interactions; without a half-life by their number.

    The order is kept exactly: an item that gains moves past those it overtakes.
    """

    def __init__(self, past: Past, half_life_days: float | None = None) -> None:
        items = len(past.stream.items)
        self._past = past
        self._half_life = None if half_life_days is None else half_life_days * _DAY_MS
        self._base = float(past.stream.ts[0]) if len(past.stream) else 0.0
        self._values = np.zeros(items)
        self._order: Ids = np.arange(items, dtype=np.int32)
        self._place: Ids = np.arange(items, dtype=np.int32)
        self._mark: Ids = np.full(items, -1, np.int32)
        _gain(np.zeros(1), self._order[:1].copy(), self._place[:1].copy(), 0, 1.0)  # compiled before it is measured
        _first(self._order[:0], self._order[:0], self._mark[:0], 0, 1)

    @property
    def learner(self) -> Learner:
        return self

    def learn(self, event: Interaction) -> None:
        share = 1.0
        if self._half_life is not None:
            lives = (event.ts - self._base) / self._half_life
            if lives > _HEADROOM:
                self._values *= 2.0**-lives
                self._base, lives = float(event.ts), 0.0
            share = 2.0**lives
        _gain(self._values, self._order, self._place, event.item, share)

    def rank(self, user: int, now: int, k: int) -> Ids:  # noqa: ARG002
        past = self._past
        return _first(self._order[: past.seen], past.hidden(user), self._mark, past.events, k)


@compiled
def _gain(values: npt.NDArray[np.float64], order: Ids, place: Ids, item: int, share: float) -> None:
    values[item] += share
    at = place[item]
    while at > 0 and values[order[at - 1]] < values[item]:
        order[at] = order[at - 1]
        place[order[at]] = at
        at -= 1
    order[at] = item
    place[item] = at


@compiled
def _first(order: Ids, hidden: Ids, mark: Ids, stamp: int, k: int) -> Ids:
    """The first ``k`` of ``order`` that are not ``hidden``."""
    for item in hidden:
        mark[item] = stamp
    found = np.empty(k, np.int32)
    count = 0
    for item in order:
        if count == k:
            break
        if mark[item] != stamp:
            found[count] = item
            count += 1
    return found[:count]
