"""Candidates and their signals, one column per source, by sparse accumulation over bounded lists.

The cost depends on the lengths of lists, not on the size of the catalogue (the scan of codes in ``nearest`` aside).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.catalog import Catalog
from divrec.cf.item_item import DAMPING, QUERY_HISTORY, RECENCY
from divrec.cf.neighbours import Ids, Weights
from divrec.cf.popularity import Values
from divrec.cf.transitions import DECAY, STEPS
from divrec.compiled import compiled
from divrec.interest.vectors import Vectors
from divrec.items import ItemIndex, grown
from divrec.model import Model

SIGNALS = ("item_neighbour", "transition", "content", "popular_now", "fresh")
ITEM_ITEM, TRANSITION, CONTENT, POPULAR_NOW, FRESH = range(len(SIGNALS))

NEAREST = 64
"""Items taken from the neighbourhood of the interest vector."""


class Candidates(NamedTuple):
    """Retrieved items, in the order in which they were found."""

    rows: Ids
    """Item indices, int32[n]."""
    signals: Weights
    """Score of each source, float32[n, len(SIGNALS)], 0 where it has nothing to say."""
    referents: npt.NDArray[np.int32]
    """The past item that gave most of the signal, int32[n, len(SIGNALS)], -1 for none."""


class Scratch:
    """Arrays by item that a retrieval writes and cleans again, kept to spare their allocation."""

    def __init__(self, items: ItemIndex) -> None:
        self.slot: npt.NDArray[np.int32] = np.zeros(0, np.int32)
        """Position among the candidates plus one, 0 for none."""
        items.attach(self)

    def resize(self, capacity: int) -> None:
        self.slot = grown(self.slot, capacity)

    def clear(self, index: int) -> None:
        """Nothing outlives a retrieval."""

    def entered(self, index: int, item_id: str) -> None:
        """Nothing outlives a retrieval."""

    def holds(self, index: int) -> bool:  # noqa: ARG002
        return False


class Query(NamedTuple):
    """What a retrieval asks with."""

    history: Ids
    """The user's last items, newest first, -1 where unknown."""
    weights: Weights
    """How much each of them speaks for its neighbours, in [0, 1]."""
    interest: Vectors
    """Centred unit vector float32[d], zero if there is none."""
    now: int
    """Stream time, epoch milliseconds."""


def retrieve(query: Query, model: Model, catalog: Catalog, scratch: Scratch, fresh_ms: float) -> Candidates:
    """All candidates of all sources; what may not be shown is still among them (``rules`` takes it out)."""
    near, cosine = catalog.nearest(query.interest, NEAREST)
    newest = catalog.newest()
    age = query.now - catalog.ts[newest]
    young = (age >= 0) & (age <= fresh_ms)
    fresh = newest[young]
    freshness = np.exp2(-3.0 * age[young] / fresh_ms).astype(np.float32)
    bound = (QUERY_HISTORY * model.item_item.width + STEPS * model.transitions.width + len(near) + len(fresh)) + len(
        popular := model.popular()
    )
    rows = np.empty(bound, np.int32)
    signals = np.zeros((bound, len(SIGNALS)), np.float32)
    referents = np.full((bound, len(SIGNALS)), -1, np.int32)
    count = accumulate(
        rows,
        signals,
        referents,
        scratch.slot,
        query.history,
        query.weights,
        model.item_item.ids,
        model.item_item.weights,
        model.transitions.ids,
        model.transitions.weights,
        model.counts,
        model.out,
        model.popularity.values,
        popular,
        near,
        cosine,
        fresh,
        freshness,
    )
    return Candidates(rows[:count], signals[:count], referents[:count])


@compiled
def _slot(rows: Ids, slots: Ids, item: int, count: int) -> int:
    """The candidate position of ``item``, which becomes a candidate if it is none."""
    if slots[item] == 0:
        rows[count] = item
        slots[item] = count + 1
    return int(slots[item]) - 1


@compiled
def accumulate(
    rows: Ids,
    signals: Weights,
    referents: Ids,
    slots: Ids,
    history: Ids,
    weights: Weights,
    item_item_ids: Ids,
    item_item_weights: Weights,
    transition_ids: Ids,
    transition_weights: Weights,
    counts: Weights,
    out: Weights,
    popularity: Values,
    popular: Ids,
    near: Ids,
    cosine: Weights,
    fresh: Ids,
    freshness: Weights,
) -> int:
    """Fill the candidate arrays; how many there are. ``slots`` is zero before and after."""
    count = 0
    best = np.zeros((len(rows), 2), np.float32)
    for q in range(min(QUERY_HISTORY, len(history))):
        past = history[q]
        if past < 0 or weights[q] <= 0:
            continue
        strength = np.float32(weights[q] * np.exp(-q / RECENCY) / np.sqrt(counts[past] + DAMPING))
        for n in range(item_item_ids.shape[1]):
            item = item_item_ids[past, n]
            if item < 0:
                break
            at = _slot(rows, slots, item, count)
            count = max(count, at + 1)
            score = np.float32(strength * item_item_weights[past, n] / np.sqrt(counts[item] + DAMPING))
            signals[at, ITEM_ITEM] += score
            if score > best[at, 0]:
                best[at, 0] = score
                referents[at, ITEM_ITEM] = past
    step = np.float32(1)
    for q in range(min(STEPS, len(history))):
        past = history[q]
        if past >= 0 and weights[q] > 0:
            strength = np.float32(step / np.sqrt(out[past] + DAMPING))
            for n in range(transition_ids.shape[1]):
                item = transition_ids[past, n]
                if item < 0:
                    break
                at = _slot(rows, slots, item, count)
                count = max(count, at + 1)
                score = np.float32(strength * transition_weights[past, n] / np.sqrt(counts[item] + DAMPING))
                signals[at, TRANSITION] += score
                if score > best[at, 1]:
                    best[at, 1] = score
                    referents[at, TRANSITION] = past
        step *= np.float32(DECAY)
    for n in range(len(near)):
        at = _slot(rows, slots, near[n], count)
        count = max(count, at + 1)
        signals[at, CONTENT] = max(np.float32(0), cosine[n])
    for item in popular:
        count = max(count, _slot(rows, slots, item, count) + 1)
    for n in range(len(fresh)):
        at = _slot(rows, slots, fresh[n], count)
        count = max(count, at + 1)
        signals[at, FRESH] = freshness[n]
    for at in range(count):
        signals[at, POPULAR_NOW] = np.float32(popularity[rows[at]])
        slots[rows[at]] = 0
    return count
