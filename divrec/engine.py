"""The engine: where observe, apply and recommend come together. ``streams`` and ``backfill`` are its callers.

It does no input or output and reads no clock.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.catalog import Catalog
from divrec.cf.item_item import QUERY_HISTORY
from divrec.config import Config, FeedbackConfig
from divrec.deltas import Delta, ModelLogRecord
from divrec.diversify.mmr import pick
from divrec.errors import EventError
from divrec.events import Click, Event, Item, ItemVector, Request, Review, SlateItem, pack_vector, unpack_vector
from divrec.explain.reasons import Explainer
from divrec.interest.keywords import TERMS_PER_EVENT, decay, learn_keywords
from divrec.interest.vectors import INTEREST_HISTORY, REVIEW_DECAY, Vectors, interest_vector
from divrec.items import ItemIndex
from divrec.model import DAY_MS, Model
from divrec.profile import Profile, newest_rows
from divrec.rank.blend import FIXED_WEIGHTS, blend, top
from divrec.retrieve.candidates import Query, Scratch, retrieve
from divrec.rules.filter import allowed
from divrec.rules.publish import makes_slate


class Observed(NamedTuple):
    """What an event did: the profile after it, what the model learns, and its feedback in [-1, 1]."""

    profile: Profile
    delta: Delta | None
    feedback: float
    repeat: bool = False
    """The event id was applied before: nothing changed but the offset."""


NO_ROWS = np.zeros(0, np.int32)
NO_REVIEW = np.zeros(0, np.float32)


class Engine:
    """One replica of model and catalogue, and what it does with profiles.

    ``encoder_model`` is the text model whose vectors are used; others are ignored.
    """

    def __init__(self, config: Config, encoder_model: str = "") -> None:
        self.config = config
        self.items = ItemIndex()
        self.model = Model(config.model, self.items)
        self.catalog = Catalog(self.items, config.model.max_items)
        self.catalog.model = encoder_model
        self._scratch = Scratch(self.items)
        self._fresh_ms = config.slate.fresh_days * DAY_MS

    # -- learning ------------------------------------------------------------------------------------------------

    def observe(self, profile: Profile, event: Event, event_id: str, offset: int) -> Observed:
        """Take ``event``, which stands at ``offset`` of its partition, into a copy of ``profile``."""
        after = profile.copy()
        after.offset = offset
        if after.saw(event_id):
            return Observed(after, None, 0.0, repeat=True)
        after.remember(event_id, self.config.profile.event_ids)
        after.events += 1
        match event:
            case Request():
                return Observed(after, None, 0.0)
            case Click():
                action: str = event.action
                terms: Sequence[str] = ()
            case Review():
                action = "review"
                terms = event.terms
                self._learn_review_vector(after, event)
        feedback, weight = feedback_of(self.config.feedback, action, event.rating)
        if action in self.config.slate.consumed_actions:
            after.consumed = after.consumed.added(event.item_id, self.config.profile.consumed)
        if feedback != 0.0:
            self._learn_keywords(after, event, terms, feedback)
        delta = None
        if weight > 0.0:
            recent = [item for item in profile.recent(self.config.model.history + 1) if item != event.item_id]
            delta = Delta(offset, event.item_id, weight, event.ts, recent[: self.config.model.history])
            after.append(event.item_id, action, feedback, event.ts, self.config.profile.history)
        elif feedback < 0.0:
            after.reject(event.item_id, feedback)
        return Observed(after, delta, feedback)

    def _learn_keywords(self, profile: Profile, event: Click | Review, terms: Sequence[str], feedback: float) -> None:
        row = self.items.get(event.item_id)
        described = self.catalog.descriptions[row] if row >= 0 else None
        words = list(terms[:TERMS_PER_EVENT])
        if described is not None:
            words += described.terms[:TERMS_PER_EVENT]
            words += [category.casefold() for category in described.categories[:TERMS_PER_EVENT]]
        if not words:
            return
        half_life = self.config.profile.keyword_half_life_days * DAY_MS
        decay(profile.keywords, event.ts - profile.keywords_ts, half_life)
        profile.keywords_ts = max(profile.keywords_ts, event.ts)
        learn_keywords(profile.keywords, dict.fromkeys(words), feedback, self.config.profile.keywords)

    def _learn_review_vector(self, profile: Profile, review: Review) -> None:
        if review.vector is None or review.model is None:
            return
        vector = unpack_vector(review.vector, self.catalog.dimensions or len(review.vector) // 2)
        if profile.review_vector and profile.review_model == review.model:
            old = np.frombuffer(profile.review_vector, "<f2").astype(np.float32)
            vector = np.float32(REVIEW_DECAY) * old + np.float32(1 - REVIEW_DECAY) * vector
        profile.review_vector, profile.review_model = pack_vector(vector), review.model

    def apply(self, record: ModelLogRecord, version: int) -> int:
        """Learn ``record``, which stands at ``version`` of the model log; how many deltas were new."""
        applied = self.model.apply(record)
        self.model.version = version + 1
        return applied

    def put_item(self, item: Item) -> None:
        self.catalog.put(item)

    def put_vector(self, value: ItemVector) -> None:
        """Raises EventError for a vector of another size than the others of its model."""
        if value.model != self.catalog.model:
            return
        dimensions = self.catalog.dimensions or len(value.vector) // 2
        self.catalog.put_vector(value.item_id, unpack_vector(value.vector, dimensions))

    # -- recommending --------------------------------------------------------------------------------------------

    def wants_slate(self, observed: Observed, event: Event, *, replayed: bool) -> bool:
        if observed.repeat:
            return False
        return makes_slate(event, observed.feedback, observed.profile, self.config.slate, replayed=replayed)

    def recommend(
        self,
        profile: Profile,
        now: int,
        *,
        k: int | None = None,
        diversity: float | None = None,
        exclude: Sequence[str] = (),
    ) -> list[SlateItem]:
        """The slate for ``profile`` at stream time ``now``: at most ``k`` items, best first.

        ``diversity`` in [0, 1], 0 = by relevance alone. ``exclude`` are items that must not be in it.
        """
        slate = self.config.slate
        k = slate.k if k is None else k
        diversity = slate.diversity if diversity is None else diversity
        history, feedback = newest_rows(self.items, profile.items, profile.feedback, QUERY_HISTORY)
        review = self._review_vector(profile)
        query = Query(
            history,
            np.minimum(feedback + np.float32(1), np.float32(1)),
            self._interest(profile, history, feedback, review),
            now,
        )
        found = retrieve(query, self.model, self.catalog, self._scratch, self._fresh_ms)

        excluded = np.array([row for row in map(self.items.get, exclude) if row >= 0], np.int32) if exclude else NO_ROWS
        may = self._allowed(profile, found.rows, excluded)
        parts = blend(found.signals, may, FIXED_WEIGHTS)
        relevance = parts.sum(axis=1)
        pool = top(relevance, max(slate.pool, k))
        if not len(pool):
            return []
        chosen = pick(relevance[pool], self.catalog.vectors[found.rows[pool]], k, np.float32(diversity))
        kept = self._allowed(profile, found.rows[pool[chosen]], excluded)  # the last word, whatever came before
        chosen = chosen[kept]

        liked = history[feedback > 0] if len(history) else history
        explainer = Explainer(self.catalog, profile.keywords, liked, review)
        similarity = self._similarity_above(found.rows[pool[chosen]])
        return [
            SlateItem(
                item_id=self.items.id(row),
                position=position + 1,
                relevance=round(value, 5),
                relevance_rank=rank + 1,
                similarity=round(near, 4),
                reasons=explainer.reasons(row, part, referents),
            )
            for position, (rank, row, value, near, part, referents) in enumerate(
                zip(
                    chosen.tolist(),
                    found.rows[pool[chosen]].tolist(),
                    relevance[pool[chosen]].tolist(),
                    similarity.tolist(),
                    parts[pool[chosen]].tolist(),
                    found.referents[pool[chosen]].tolist(),
                    strict=True,
                )
            )
        ]

    def _allowed(
        self, profile: Profile, rows: npt.NDArray[np.int32], excluded: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.bool_]:
        consumed = EMPTY if self.config.slate.allow_repeats else profile.consumed
        return allowed(rows, self.catalog.hidden, self.items.fingerprints, consumed, excluded)

    def _review_vector(self, profile: Profile) -> Vectors:
        if not profile.review_vector or profile.review_model != self.catalog.model:
            return NO_REVIEW
        vector = np.frombuffer(profile.review_vector, "<f2").astype(np.float32)
        return self.catalog.centred(vector) if len(vector) == self.catalog.dimensions else NO_REVIEW

    def _interest(
        self, profile: Profile, history: npt.NDArray[np.int32], feedback: Vectors, review: Vectors
    ) -> Vectors:
        rejected, rejected_feedback = newest_rows(
            self.items, profile.rejected, profile.rejected_feedback, INTEREST_HISTORY
        )
        return interest_vector(self.catalog.vectors, history, feedback, rejected, rejected_feedback, review)

    def _similarity_above(self, rows: npt.NDArray[np.int32]) -> Vectors:
        """Largest cosine of each item to the ones before it: float32[n], 0 for the first."""
        vectors = self.catalog.vectors[rows]
        cosine = np.tril(vectors @ vectors.T, -1)
        cosine[np.triu_indices(len(rows))] = -2.0
        above = cosine.max(axis=1, initial=-2.0)
        return np.where(above > -2.0, above, np.float32(0))

    def sizes(self) -> dict[str, int]:
        return self.model.sizes() | self.catalog.sizes()


EMPTY = Profile("", 0).consumed


def feedback_of(config: FeedbackConfig, action: str, rating: float | None) -> tuple[float, float]:
    """Feedback in [-1, 1] and learning weight in [0, 1] of an act.

    A rating on the configured scale replaces the feedback, and whoever rated interacted: weight 1. Raises EventError
    for a rating outside the scale.
    """
    feedback = float(getattr(config, action))
    if rating is None:
        return feedback, max(0.0, feedback)
    low, high = config.rating_min, config.rating_max
    if not low <= rating <= high:
        raise EventError("bad-rating", f"rating: expected a number in [{low}, {high}], got {rating}")
    if feedback < 0.0:
        return feedback, 0.0
    return 2.0 * (rating - low) / (high - low) - 1.0, 1.0
