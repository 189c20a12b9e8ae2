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

from divrec.cf.factors import Factors, learn_factors
from divrec.cf.item_item import DAMPING, KINDS, learn_pairs
from divrec.cf.leaders import Leaders
from divrec.cf.linear import Linear
from divrec.cf.neighbours import Ids, NeighbourTable, Weights, drop_items
from divrec.cf.popularity import Popularity, Values
from divrec.cf.users import UserArrays, UserTable, learn_visit
from divrec.compiled import compiled
from divrec.config import ModelConfig
from divrec.deltas import Delta, ModelLogRecord, RatedReview
from divrec.errors import SnapshotError
from divrec.interest.lift import WordCounts
from divrec.items import ItemIndex, grown, hash64
from divrec.rank.strength import Strengths
from divrec.rank.weights import BlendWeights
from divrec.text.review_head import MAX_SPACES, ReviewHead

DAY_MS = 86_400_000
EVICTED_SHARE = 16
"""When the model is full, at least one in this many items goes: the least popular."""
POPULAR = 200
"""Items in the list of those popular now; a quarter as many each are added of those trending and popular ever."""
TREND_HALF_LIFE = 1_000
"""Of trends, in interactions: it fits any stream, however fast."""
REVIEW = "review_"
"""What the names of the review head's arrays begin with in a snapshot."""
Flags = npt.NDArray[np.bool_]


class ModelState(NamedTuple):
    """A copy of the model that does not change: what snapshots and digests are made of.

    In ``arrays`` items have one row each in the order of ``ids``, users one in the order of theirs; where items stand
    in them, they are positions in that order.
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

    pair_ids: Ids
    pair_weights: Weights
    counts: Values
    liked: Values
    damped: Weights
    damped_liked: Weights
    popularity: Values
    trend: Values
    popular: Ids
    core: Ids
    linear: Weights
    factors_past: Weights
    factors_next: Weights
    users: UserArrays
    order: Ids
    """The items of the model in the order of their first interaction."""


class Model:
    """Co-counts, transitions, users, popularity, the blend's weights and what diversity costs, over ``items``."""

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
        self.pairs = NeighbourTable(config.neighbours, KINDS)
        self.users = UserTable(config.users)
        self.counts: Values = np.zeros(0, np.float64)
        """n(i); at 2²⁴ a float32 would stop growing."""
        self.liked: Values = np.zeros(0, np.float64)
        """The part of it that was liked."""
        self.damped: Weights = np.zeros(0, np.float32)
        """1 / √(count + β), derived from ``counts``: square roots are dear where candidates are counted."""
        self.damped_liked: Weights = np.zeros(0, np.float32)
        self.popularity = Popularity(config.popularity_half_life_days * DAY_MS)
        self.trend = Popularity(TREND_HALF_LIFE)
        """Popularity where the time is the number of interactions."""
        self.blend = BlendWeights()
        self.strengths = Strengths()
        self.linear = Linear()
        self.factors = Factors()
        self.words = WordCounts()
        self.reviews: ReviewHead | None = None
        """Predicts the feedback of reviews, in [-1, 1]; None before the first rated one, for it takes 5 MB."""
        self.known: Flags = np.zeros(0, np.bool_)
        self._count = 0
        self._order: Ids = np.zeros(0, np.int32)
        """The items in the order of their first interaction, ``_count`` of them."""
        self._places: Ids = np.zeros(0, np.int32)
        """By item: where it stands in that order."""
        self._popular: Ids = np.zeros(0, np.int32)
        self._popular_until = 0
        self._leaders = Leaders(POPULAR, POPULAR // 4, POPULAR // 4)
        items.attach(self)

    def __len__(self) -> int:
        return self._count

    @property
    def order(self) -> Ids:
        """The items in the order of their first interaction."""
        return self._order[: self._count]

    def resize(self, capacity: int) -> None:
        for held in (self.pairs, self.users, self.linear, self.factors):
            held.resize(capacity)
        self.counts = grown(self.counts, capacity)
        self.liked = grown(self.liked, capacity)
        self.damped = grown(self.damped, capacity, 1.0 / DAMPING**0.5)
        self.damped_liked = grown(self.damped_liked, capacity, 1.0 / DAMPING**0.5)
        for popularity in (self.popularity, self.trend):
            popularity.values = grown(popularity.values, capacity)
        self.known = grown(self.known, capacity)
        self._order = grown(self._order, capacity)
        self._places = grown(self._places, capacity)

    def clear(self, index: int) -> None:
        for held in (self.pairs, self.users, self.linear, self.factors):
            held.clear(index)
        self.counts[index] = self.liked[index] = 0.0
        self.damped[index] = self.damped_liked[index] = 1.0 / DAMPING**0.5
        self.popularity.values[index] = self.trend.values[index] = 0.0
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
        items, recent, starts, known = self._rows(deltas)
        count = len(deltas)
        self._leaders.touch(items)
        numbers = np.array([self.users.enter(delta.user) for delta in deltas], np.int32)  # first: it may grow arrays
        learn(
            items,
            np.array([delta.liked for delta in deltas], np.bool_),
            np.array([delta.weight for delta in deltas], np.float32),
            recent,
            recent_liked(deltas, starts),
            starts,
            numbers,
            self.popularity.shares(np.array([delta.ts for delta in deltas], np.int64)),
            self.trend.shares(np.arange(self.interactions, self.interactions + count)),
            self.pairs.ids,
            self.pairs.weights,
            self.counts,
            self.liked,
            self.damped,
            self.damped_liked,
            self.popularity.values,
            self.trend.values,
            self.users.items,
            self.users.damped,
            self.users.visitors,
            self.users.visits,
            self.users.bound,
            self.factors.past,
            self.factors.next,
            self.factors.squares,
            self._order,
            known,
            self.interactions,
        )
        self.blend.learn([delta.lesson for delta in deltas if delta.lesson])
        self.words.add([delta.words for delta in deltas], [delta.weight for delta in deltas])
        self._learn_reviews([delta.review for delta in deltas if delta.review is not None])
        self.strengths.learn([delta.verdict for delta in deltas if delta.verdict])
        self.interactions += count
        self.now = max(self.now, *(delta.ts for delta in deltas))
        if len(self) > self.config.max_items:
            self._evict()

    def _learn_reviews(self, rated: list[RatedReview]) -> None:
        if rated and self.reviews is None:
            self.reviews = ReviewHead(-1.0, 1.0)
        for review in rated:
            assert self.reviews is not None
            self.reviews.learn(review.sample, review.feedback)

    def _rows(self, deltas: list[Delta]) -> tuple[Ids, Ids, npt.NDArray[np.int32], Ids]:
        """Indices of the items, those of all recent items one after the other, where those of each delta start, and
        how many items are known with it.

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
        before, new = len(self), list[int]()
        for at in np.flatnonzero((rows < 0) | ~self.known[rows]).tolist():
            index = self.items.get(ids[at])
            if index < 0 or not self.known[index]:
                index = self._enter(ids[at])
                new.append(at)
            rows[at] = index
        own = np.array(ends, np.int32)
        starts = np.concatenate(([0], own - np.arange(len(own)))).astype(np.int32)
        known = before + np.searchsorted(np.array(new, np.int32), own, side="right")
        return rows[own], np.delete(rows, own), starts, known.astype(np.int32)

    def _enter(self, item_id: str) -> int:
        index = self.items.add(item_id)
        self.known[index] = True
        self.factors.enter(index, hash64(item_id))
        self._order[self._count] = index
        self._places[index] = self._count
        self._count += 1
        return index

    def _evict(self) -> None:
        """Forget the least popular sixteenth, or as many as are too many (ties: the oldest in the model first)."""
        order = self.order
        value = self.popularity.values[order]
        count = max(len(order) // EVICTED_SHARE, len(order) - self.config.max_items)
        leaving = order[np.argsort(value, kind="stable")[:count]]
        dropped = np.zeros(self.items.capacity, np.bool_)
        dropped[leaving] = True
        staying = order[~dropped[order]]
        self._count = len(staying)
        self._order[: self._count] = staying
        self._places[staying] = np.arange(self._count, dtype=np.int32)
        drop_items(self.pairs.ids, self.pairs.weights, dropped, staying)
        self.users.drop_items(dropped)
        for index in leaving:
            self.clear(int(index))
            self.items.release_if_unused(int(index))
        self._popular_until = 0
        self._leaders.forget()

    def entered(self, index: int, item_id: str) -> None:
        """Nothing is known of an item before its first interaction."""

    def holds(self, index: int) -> bool:
        return bool(self.known[index])

    def popular(self) -> Ids:
        """The items popular now, best first, then those trending and those popular ever that are not among them.

        Renewed as the model grows by a few interactions.
        """
        if self.interactions >= self._popular_until:
            values = (self.popularity.values, self.trend.values, self.liked)
            lists = self._leaders.renewed(values, self.order, self._places)
            self._popular = np.fromiter(dict.fromkeys(np.concatenate(lists).tolist()), np.int32)
            self._popular_until = self.interactions + 1 + min(1_000, len(self) // 50)
        return self._popular

    def renew(self) -> None:
        """Make what is derived anew when it is read next, as after ``restore``."""
        self._popular_until = 0
        self._leaders.forget()
        self.linear.renew()

    def arrays(self) -> ModelArrays:
        """What recommending reads, with what is derived up to date."""
        popular = self.popular()
        self.linear.fit(self.pairs, self.counts, self.order, self.interactions)
        return ModelArrays(
            self.pairs.ids,
            self.pairs.weights,
            self.counts,
            self.liked,
            self.damped,
            self.damped_liked,
            self.popularity.values,
            self.trend.values,
            popular,
            self.linear.core,
            self.linear.weights,
            self.factors.past,
            self.factors.next,
            self.users.arrays(),
            self.order,
        )

    def state(self) -> ModelState:
        """A copy of everything that replicas share, in their common order."""
        order = self.order
        position = np.append(self._places, np.int32(-1))  # one more: the empty slot -1 maps to -1
        users = self.users.rows()
        reviews: dict[str, npt.NDArray[Any]] = {} if self.reviews is None else self.reviews.state()
        return ModelState(
            version=self.version,
            applied=dict(self.applied),
            interactions=self.interactions,
            now=self.now,
            popularity_base=self.popularity.base,
            ids=[self.items.id(index) for index in order.tolist()],
            arrays={
                "pair_ids": position[self.pairs.ids[order]],
                "pair_weights": self.pairs.weights[order],
                "counts": self.counts[order],
                "liked": self.liked[order],
                "popularity": self.popularity.values[order],
                "trend": self.trend.values[order],
                "trend_base": np.array([] if self.trend.base is None else [self.trend.base]),
                "visitors": self.users.visitors[order],
                "visits": self.users.visits[order],
                "users_seen": np.array([self.users.seen]),
                "user_hashes": self.users.hashes[:users].copy(),
                "user_items": position[self.users.items[:users]],
                "factors_past": self.factors.past[order],
                "factors_next": self.factors.next[order],
                "factors_squares": self.factors.squares[order],
                "blend_values": self.blend.values.copy(),
                "blend_spread": self.blend.spread.copy(),
                "strength_sums": self.strengths.sums.copy(),
                **({"words": self.words.counts.copy()} if len(self.words.counts) else {}),
                **{f"{REVIEW}{name}": array for name, array in reviews.items()},
            },
            settings=self.settings(),
        )

    def settings(self) -> dict[str, float]:
        """What the state depends on: a snapshot fits only a model with the same."""
        return {key: float(value) for key, value in self.config.model_dump().items()}

    def restore(self, state: ModelState) -> None:
        """Take ``state`` into this model, which must be empty."""
        assert not len(self), "restore expects an empty model"
        if state.settings != self.settings():
            differing = sorted(key for key, value in self.settings().items() if state.settings.get(key) != value)
            raise SnapshotError(
                f"snapshot: expected the settings it was made with, got another model.{', model.'.join(differing)}; "
                "set them back or start a new generation"
            )
        for item_id in state.ids:
            self._enter(item_id)
        order = self.order
        index_of = np.append(order, np.int32(-1))
        arrays: dict[str, npt.NDArray[Any]] = state.arrays
        targets: dict[str, npt.NDArray[Any]] = {
            "pair_weights": self.pairs.weights,
            "counts": self.counts,
            "liked": self.liked,
            "popularity": self.popularity.values,
            "trend": self.trend.values,
            "visitors": self.users.visitors,
            "visits": self.users.visits,
            "factors_past": self.factors.past,
            "factors_next": self.factors.next,
            "factors_squares": self.factors.squares,
        }
        for name, target in targets.items():
            target[order] = arrays[name]
        self.damped[order] = 1.0 / np.sqrt(self.counts[order] + DAMPING)
        self.damped_liked[order] = 1.0 / np.sqrt(self.liked[order] + DAMPING)
        self.pairs.ids[order] = index_of[arrays["pair_ids"]]
        self.users.restore(arrays["user_hashes"], index_of[arrays["user_items"]], int(arrays["users_seen"][0]))
        self.blend.values[:] = arrays["blend_values"]
        self.blend.spread[:] = arrays["blend_spread"]
        self.strengths.sums[:] = arrays["strength_sums"]
        self.trend.base = float(arrays["trend_base"][0]) if len(arrays["trend_base"]) else None
        self.words.counts = arrays.get("words", self.words.counts).copy()
        reviews = {name.removeprefix(REVIEW): array for name, array in arrays.items() if name.startswith(REVIEW)}
        if reviews:
            self.reviews = ReviewHead(-1.0, 1.0)
            self.reviews.restore(reviews)
        self.version, self.applied = state.version, dict(state.applied)
        self.interactions, self.now, self.popularity.base = state.interactions, state.now, state.popularity_base

    def sizes(self) -> dict[str, int]:
        """What it holds and how many bytes that takes."""
        arrays: Iterable[npt.NDArray[np.generic]] = (
            self.counts,
            self.liked,
            self.damped,
            self.damped_liked,
            self.popularity.values,
            self.trend.values,
            self.known,
            self.linear.core,
            self.linear.weights,
            self.words.counts,
        )
        reviews = self.reviews
        held = self.pairs.nbytes + self.users.nbytes + self.factors.nbytes + self.blend.nbytes
        held += 0 if reviews is None else reviews.nbytes
        return {
            "model_items": len(self),
            "model_items_bound": self.config.max_items,
            "model_users": self.users.rows(),
            "model_users_bound": self.config.users,
            "model_text_models": 0 if reviews is None else len(reviews.spaces),
            "model_text_models_bound": MAX_SPACES,
            "model_interactions": self.interactions,
            "model_bytes": held + sum(array.nbytes for array in arrays),
        }


def recent_liked(deltas: list[Delta], starts: npt.NDArray[np.int32]) -> Flags:
    """Whether each of the recent items of all deltas was liked, one delta after the other."""
    liked = np.ones(starts[-1], np.bool_)
    for n, delta in enumerate(deltas):
        if delta.unliked:
            own = liked[starts[n] : starts[n + 1]]
            bits = np.unpackbits(np.frombuffer(delta.unliked, np.uint8), bitorder="little")[: len(own)]
            own[: len(bits)] = bits == 0
    return liked


@compiled
def learn(
    items: Ids,
    items_liked: Flags,
    weights: Weights,
    recent: Ids,
    recent_liked: Flags,
    starts: npt.NDArray[np.int32],
    numbers: Ids,
    popularity_shares: Values,
    trend_shares: Values,
    pair_ids: Ids,
    pair_weights: Weights,
    counts: Values,
    liked: Values,
    damped: Weights,
    damped_liked: Weights,
    popularity: Values,
    trend: Values,
    user_items: Ids,
    user_damped: Weights,
    visitors: Ids,
    visits: Ids,
    users_bound: int,
    factors_past: Weights,
    factors_next: Weights,
    factors_squares: Weights,
    order: Ids,
    known: Ids,
    interactions: int,
) -> None:
    """All deltas of a record, in their order."""
    for n in range(len(items)):
        item, weight = items[n], weights[n]
        before = recent[starts[n] : starts[n + 1]]
        before_liked = recent_liked[starts[n] : starts[n + 1]]
        learn_pairs(pair_ids, pair_weights, item, items_liked[n], before, before_liked, weight)
        if numbers[n] >= 0:
            learn_visit(
                user_items,
                user_damped,
                visitors,
                visits,
                numbers[n],
                users_bound,
                item,
                items_liked[n],
                before,
                before_liked,
            )
        counts[item] += weight
        damped[item] = 1.0 / np.sqrt(counts[item] + DAMPING)
        if items_liked[n]:
            seed = np.uint64(interactions + n)
            learn_factors(
                factors_past, factors_next, factors_squares, order, known[n], item, before, before_liked, weight, seed
            )
            liked[item] += weight
            damped_liked[item] = 1.0 / np.sqrt(liked[item] + DAMPING)
            popularity[item] += weight * popularity_shares[n]
            trend[item] += weight * trend_shares[n]
