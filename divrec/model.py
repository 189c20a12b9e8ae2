"""The model: everything that users share, the same on every replica.

``apply`` depends on the model and the record alone, not on the catalogue or the clock; the digest is taken over ids
in the order of their first interaction, so that replicas with other index values compare equal.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from divrec.cf.item_item import DAMPING, learn_pairs
from divrec.cf.neighbours import Ids, NeighbourTable, Weights, drop_items
from divrec.cf.popularity import Popularity, Values
from divrec.cf.transitions import learn_steps
from divrec.compiled import compiled
from divrec.config import ModelConfig
from divrec.deltas import Delta, ModelLogRecord
from divrec.errors import SnapshotError
from divrec.items import ItemIndex, grown

DAY_MS = 86_400_000
EVICTED_SHARE = 16
"""When the model is full, at least one in this many items goes: the least popular."""
POPULAR = 200
"""Items in the popularity list."""


class ModelState(NamedTuple):
    """A copy of the model that does not change: what snapshots and digests are made of.

    ``arrays`` have one row per item in the order of ``ids``; neighbours are positions in that order.
    """

    version: int
    applied: dict[int, int]
    interactions: int
    now: int
    popularity_base: float | None
    ids: list[str]
    arrays: dict[str, npt.NDArray[np.generic]]
    settings: dict[str, float]

    def digest(self) -> str:
        """Hash of all that replicas must agree on; the version is not part of it but belongs beside it."""
        whole = blake2b(digest_size=16)
        whole.update(
            msgspec.json.encode(
                [sorted(self.applied.items()), self.interactions, self.now, self.popularity_base, self.ids]
            )
        )
        for name in sorted(self.arrays):
            whole.update(name.encode())
            whole.update(np.ascontiguousarray(self.arrays[name]).data)
        return whole.hexdigest()


class ModelArrays(NamedTuple):
    """What compiled code reads of the model, by item index."""

    item_item_ids: Ids
    item_item_weights: Weights
    transition_ids: Ids
    transition_weights: Weights
    damped: Weights
    out: Values
    popularity: Values
    popular: Ids


class Model:
    """Item-item co-counts, transitions and decayed popularity over the items of ``items``."""

    def __init__(self, config: ModelConfig, items: ItemIndex) -> None:
        self.config = config
        self.items = items
        self.version = 0
        """The next model-log offset: every record below it has been applied."""
        self.applied: dict[int, int] = {}
        """Last ``events`` offset applied, by partition."""
        self.interactions = 0
        self.now = 0
        """Latest event time seen, in milliseconds."""
        self.refused = 0
        self.item_item = NeighbourTable(config.neighbours)
        self.transitions = NeighbourTable(config.transitions)
        self.counts: Values = np.zeros(0, np.float64)
        """n(i); at 2²⁴ a float32 would stop growing."""
        self.damped: Weights = np.zeros(0, np.float32)
        """1 / √(count + β), derived from ``counts``: square roots are dear where candidates are counted."""
        self.out: Values = np.zeros(0, np.float64)
        self.popularity = Popularity(config.popularity_half_life_days * DAY_MS)
        self.known: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._order: list[int] = []
        self._popular: Ids = np.zeros(0, np.int32)
        self._popular_until = 0
        items.attach(self)

    def __len__(self) -> int:
        return len(self._order)

    def resize(self, capacity: int) -> None:
        self.item_item.resize(capacity)
        self.transitions.resize(capacity)
        self.counts = grown(self.counts, capacity)
        self.damped = grown(self.damped, capacity, 1.0 / DAMPING**0.5)
        self.out = grown(self.out, capacity)
        self.popularity.values = grown(self.popularity.values, capacity)
        self.known = grown(self.known, capacity)

    def clear(self, index: int) -> None:
        self.item_item.clear(index)
        self.transitions.clear(index)
        self.counts[index] = self.out[index] = 0.0
        self.damped[index] = 1.0 / DAMPING**0.5
        self.popularity.values[index] = 0.0
        self.known[index] = False

    def apply(self, record: ModelLogRecord) -> int:
        """Learn what of ``record`` is ahead of the last offset applied for its partition; how many deltas that was."""
        last = self.applied.get(record.partition, -1)
        fresh = [delta for delta in record.deltas if delta.offset > last]
        if fresh:
            self.learn_all(fresh)
            self.applied[record.partition] = fresh[-1].offset
        return len(fresh)

    def learn_all(self, deltas: list[Delta]) -> None:
        """Learn ``deltas`` (at least one), whatever their offsets.

        Where one list ends and the next begins makes no difference, but that eviction comes after a list.
        """
        items, recent, starts = self._rows(deltas)
        learn(
            items,
            np.array([delta.weight for delta in deltas], np.float32),
            self.popularity.shares(np.array([delta.ts for delta in deltas], np.int64)),
            recent,
            starts,
            self.item_item.ids,
            self.item_item.weights,
            self.transitions.ids,
            self.transitions.weights,
            self.counts,
            self.damped,
            self.out,
            self.popularity.values,
        )
        self.interactions += len(deltas)
        self.now = max(self.now, *(delta.ts for delta in deltas))
        if len(self) > self.config.max_items:
            self._evict()

    def _rows(self, deltas: list[Delta]) -> tuple[Ids, Ids, npt.NDArray[np.int32]]:
        """Indices of the items, those of all recent items one after the other, and where those of each delta start.

        What the model does not know enters in the order of the deltas, recent items first. An item that the model has
        evicted enters again: its user interacted with it.
        """
        bound = self.config.history
        ids: list[str] = []
        ends = []
        for delta in deltas:
            ids += delta.recent[:bound]
            ends.append(len(ids))
            ids.append(delta.item_id)
        rows = self.items.rows(ids)
        for at in np.flatnonzero((rows < 0) | ~self.known[rows]).tolist():
            index = self.items.get(ids[at])
            rows[at] = index if index >= 0 and self.known[index] else self._enter(ids[at])
        own = np.array(ends, np.int32)
        starts = np.concatenate(([0], own - np.arange(len(own)))).astype(np.int32)
        return rows[own], np.delete(rows, own), starts

    def _enter(self, item_id: str) -> int:
        index = self.items.add(item_id)
        self.known[index] = True
        self._order.append(index)
        return index

    def _evict(self) -> None:
        """Forget the least popular sixteenth, or as many as are too many (ties: the oldest in the model first)."""
        order = np.array(self._order, np.int32)
        value = self.popularity.values[order]
        count = max(len(order) // EVICTED_SHARE, len(order) - self.config.max_items)
        leaving = order[np.argsort(value, kind="stable")[:count]]
        dropped = np.zeros(self.items.capacity, np.bool_)
        dropped[leaving] = True
        self._order = [index for index in self._order if not dropped[index]]
        staying = np.array(self._order, np.int32)
        drop_items(self.item_item.ids, self.item_item.weights, dropped, staying)
        drop_items(self.transitions.ids, self.transitions.weights, dropped, staying)
        for index in leaving:
            self.clear(int(index))
            self.items.release_if_unused(int(index))
        self._popular_until = 0

    def entered(self, index: int, item_id: str) -> None:
        """Nothing is known of an item before its first interaction."""

    def holds(self, index: int) -> bool:
        return bool(self.known[index])

    def popular(self) -> Ids:
        """The items that are most popular now, best first; renewed as the model grows by a few interactions."""
        if self.interactions >= self._popular_until:
            order = np.array(self._order, np.int32)
            value = self.popularity.values[order]
            top = np.argpartition(-value, POPULAR)[:POPULAR] if len(order) > POPULAR else np.arange(len(order))
            self._popular = order[top[np.argsort(-value[top], kind="stable")]]
            self._popular_until = self.interactions + 1 + min(1_000, len(order) // 100)
        return self._popular

    def arrays(self) -> ModelArrays:
        return ModelArrays(
            self.item_item.ids,
            self.item_item.weights,
            self.transitions.ids,
            self.transitions.weights,
            self.damped,
            self.out,
            self.popularity.values,
            self.popular(),
        )

    def state(self) -> ModelState:
        """A copy of everything that replicas share, in their common order."""
        order = np.array(self._order, np.int32)
        position = np.full(self.items.capacity + 1, -1, np.int32)  # one more: the empty slot -1 maps to -1
        position[order] = np.arange(len(order), dtype=np.int32)
        return ModelState(
            version=self.version,
            applied=dict(self.applied),
            interactions=self.interactions,
            now=self.now,
            popularity_base=self.popularity.base,
            ids=[self.items.id(index) for index in self._order],
            arrays={
                "item_item_ids": position[self.item_item.ids[order]],
                "item_item_weights": self.item_item.weights[order],
                "transition_ids": position[self.transitions.ids[order]],
                "transition_weights": self.transitions.weights[order],
                "counts": self.counts[order],
                "out": self.out[order],
                "popularity": self.popularity.values[order],
            },
            settings=self.settings(),
        )

    def settings(self) -> dict[str, float]:
        """What the state depends on: a snapshot fits only a model with the same."""
        return {key: float(value) for key, value in self.config.model_dump().items()}

    def restore(self, state: ModelState) -> None:
        """Take ``state`` into this model, which must be empty."""
        assert not self._order, "restore expects an empty model"
        if state.settings != self.settings():
            differing = sorted(key for key, value in self.settings().items() if state.settings.get(key) != value)
            raise SnapshotError(
                f"snapshot: expected the settings it was made with, got another model.{', model.'.join(differing)}; "
                "set them back or start a new generation"
            )
        for item_id in state.ids:
            self._enter(item_id)
        order = np.array(self._order, np.int32)
        index_of = np.append(order, np.int32(-1))
        targets: dict[str, npt.NDArray[Any]] = {
            "item_item_weights": self.item_item.weights,
            "transition_weights": self.transitions.weights,
            "counts": self.counts,
            "out": self.out,
            "popularity": self.popularity.values,
        }
        for name, target in targets.items():
            target[order] = state.arrays[name]
        self.damped[order] = 1.0 / np.sqrt(self.counts[order] + DAMPING)
        self.item_item.ids[order] = index_of[state.arrays["item_item_ids"]]
        self.transitions.ids[order] = index_of[state.arrays["transition_ids"]]
        self.version, self.applied = state.version, dict(state.applied)
        self.interactions, self.now, self.popularity.base = state.interactions, state.now, state.popularity_base

    def sizes(self) -> dict[str, int]:
        """What it holds and how many bytes that takes."""
        arrays: Iterable[npt.NDArray[np.generic]] = (
            self.counts,
            self.damped,
            self.out,
            self.popularity.values,
            self.known,
        )
        return {
            "model_items": len(self),
            "model_items_bound": self.config.max_items,
            "model_interactions": self.interactions,
            "model_bytes": self.item_item.nbytes + self.transitions.nbytes + sum(array.nbytes for array in arrays),
        }


@compiled
def learn(
    items: Ids,
    weights: Weights,
    popularity_shares: Values,
    recent: Ids,
    starts: npt.NDArray[np.int32],
    item_item_ids: Ids,
    item_item_weights: Weights,
    transition_ids: Ids,
    transition_weights: Weights,
    counts: Values,
    damped: Weights,
    out: Values,
    popularity: Values,
) -> None:
    """All deltas of a record, in their order."""
    for n in range(len(items)):
        before = recent[starts[n] : starts[n + 1]]
        learn_pairs(item_item_ids, item_item_weights, items[n], before, weights[n])
        learn_steps(transition_ids, transition_weights, out, items[n], before, weights[n])
        counts[items[n]] += weights[n]
        damped[items[n]] = 1.0 / np.sqrt(counts[items[n]] + DAMPING)
        popularity[items[n]] += weights[n] * popularity_shares[n]
