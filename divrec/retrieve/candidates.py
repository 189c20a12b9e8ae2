"""Candidates and their signals, one column per source, by sparse accumulation over bounded lists.

The cost depends on the lengths of lists, not on the size of the catalogue (the scan of codes in ``nearest`` aside).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.catalog import NEWEST, CatalogArrays
from divrec.cf.item_item import DAMPING, QUERY_HISTORY, RECENCY
from divrec.cf.neighbours import Ids, Weights
from divrec.cf.transitions import DECAY, STEPS
from divrec.compiled import compiled
from divrec.config import ModelConfig
from divrec.interest.vectors import Vectors
from divrec.items import ItemIndex, grown
from divrec.model import POPULAR, ModelArrays
from divrec.retrieve.nearest import nearest

SIGNALS = ("item_neighbour", "transition", "content", "popular_now", "fresh")
ITEM_ITEM, TRANSITION, CONTENT, POPULAR_NOW, FRESH = range(len(SIGNALS))

NEAREST = 64
"""Items taken from the neighbourhood of the interest vector."""


class Candidates(NamedTuple):
    """Space for the candidates of one recommendation, used again for the next."""

    slots: npt.NDArray[np.int32]
    """By item: its position among the candidates plus one, 0 for none (all 0 between two recommendations)."""
    rows: Ids
    """Item indices, int32[n]."""
    signals: Weights
    """Score of each source, float32[n, len(SIGNALS)], 0 where it has nothing to say."""
    referents: Ids
    """The past item that gave most of the signal, int32[n, len(SIGNALS)], -1 for none."""
    best: Weights
    """What that item gave, float32[n, 2]."""


class CandidateSpace:
    """Keeps ``Candidates`` that are large enough."""

    def __init__(self, items: ItemIndex, config: ModelConfig) -> None:
        bound = QUERY_HISTORY * config.neighbours + STEPS * config.transitions + NEAREST + NEWEST + POPULAR
        self.space = Candidates(
            np.zeros(0, np.int32),
            np.empty(bound, np.int32),
            np.empty((bound, len(SIGNALS)), np.float32),
            np.empty((bound, len(SIGNALS)), np.int32),
            np.empty((bound, 2), np.float32),
        )
        items.attach(self)

    def resize(self, capacity: int) -> None:
        self.space = self.space._replace(slots=grown(self.space.slots, capacity))

    def clear(self, index: int) -> None:
        """Nothing outlives a recommendation."""

    def entered(self, index: int, item_id: str) -> None:
        """Nothing outlives a recommendation."""

    def holds(self, index: int) -> bool:  # noqa: ARG002
        return False


@compiled
def _slot(space: Candidates, item: int, count: int) -> int:
    """The candidate position of ``item``, which becomes a candidate if it is none."""
    if space.slots[item] == 0:
        space.rows[count] = item
        space.slots[item] = count + 1
        for source in range(len(SIGNALS)):
            space.signals[count, source] = 0.0
            space.referents[count, source] = -1
        space.best[count, ITEM_ITEM] = space.best[count, TRANSITION] = 0.0
        return count
    return int(space.slots[item]) - 1


@compiled
def _add_neighbours(
    space: Candidates,
    source: int,
    past: int,
    strength: np.float32,
    ids: Ids,
    weights: Weights,
    damped: Weights,
    count: int,
) -> int:
    """Add strength · weight · damped(j) for every neighbour j of ``past``."""
    for n in range(ids.shape[1]):
        item = ids[past, n]
        if item < 0:
            break
        at = _slot(space, item, count)
        count = max(count, at + 1)
        score = strength * weights[past, n] * damped[item]
        space.signals[at, source] += score
        if score > space.best[at, source]:
            space.best[at, source] = score
            space.referents[at, source] = past
    return count


@compiled
def retrieve(
    space: Candidates,
    history: Ids,
    feedback: Weights,
    interest: Vectors,
    now: int,
    fresh_ms: float,
    model: ModelArrays,
    catalog: CatalogArrays,
) -> int:
    """Fill ``space`` with the candidates of all sources; how many there are.

    ``history`` are the user's last items, newest first, -1 where unknown; those with negative ``feedback`` speak less
    for their neighbours. ``interest`` is a centred unit vector or zero, ``now`` the stream time. What may not be shown
    is still among the candidates: ``rules`` takes it out.
    """
    count = 0
    step = 1.0
    for q in range(len(history)):
        past = history[q]
        weight = min(np.float32(1), np.float32(1) + feedback[q])
        if past >= 0 and weight > 0:
            if q < QUERY_HISTORY:
                strength = np.float32(weight * np.exp(-q / RECENCY) * model.damped[past])
                ids, weights = model.item_item_ids, model.item_item_weights
                count = _add_neighbours(space, ITEM_ITEM, past, strength, ids, weights, model.damped, count)
            if q < STEPS:
                strength = np.float32(step / np.sqrt(model.out[past] + DAMPING))
                ids, weights = model.transition_ids, model.transition_weights
                count = _add_neighbours(space, TRANSITION, past, strength, ids, weights, model.damped, count)
        step *= DECAY
    near, cosine = nearest(catalog.space, interest, NEAREST)
    for n in range(len(near)):
        at = _slot(space, near[n], count)
        count = max(count, at + 1)
        space.signals[at, CONTENT] = max(np.float32(0), cosine[n])
    for item in model.popular:
        count = max(count, _slot(space, item, count) + 1)
    for item in catalog.newest:  # also those that are not fresh: before the first interaction there may be nothing else
        at = _slot(space, item, count)
        count = max(count, at + 1)
        age = now - catalog.ts[item]
        if 0 <= age <= fresh_ms:
            space.signals[at, FRESH] = 2.0 ** (-3.0 * age / fresh_ms)
    peak = 0.0  # popularities outgrow float32; their ratios do not
    for at in range(count):
        peak = max(peak, model.popularity[space.rows[at]])
    for at in range(count):
        if peak > 0.0:
            space.signals[at, POPULAR_NOW] = model.popularity[space.rows[at]] / peak
        space.slots[space.rows[at]] = 0
    return count
