"""The engine: where observe, apply and recommend come together. ``streams`` and ``backfill`` are its callers.

It does no input or output and reads no clock.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from divrec.asks import EXCLUDED, HABITUAL, HISTORY, LISTS, OLDER, REJECTED, SHOWN, Asks, Floats, Ids
from divrec.catalog import Catalog
from divrec.cf.item_item import QUERY_HISTORY
from divrec.config import Config, FeedbackConfig, SlateConfig
from divrec.deltas import Delta, ModelLogRecord, RatedReview
from divrec.errors import EventError
from divrec.events import Click, Event, Item, ItemVector, Request, Review, SlateItem, pack_vector, unpack_vector
from divrec.explain.reasons import reasons
from divrec.interest.categories import CATEGORY_HISTORY
from divrec.interest.keywords import TERMS_PER_EVENT, faded, learn_keywords
from divrec.interest.lift import Lifts, lifts_of, packed_words
from divrec.interest.vectors import INTEREST_HISTORY, REVIEW_DECAY
from divrec.items import ItemIndex, hash64
from divrec.model import DAY_MS, Model
from divrec.profile import Profile
from divrec.rank.lesson import lessons
from divrec.rank.strength import PROBE, pack_verdict
from divrec.rank.weights import CONTEXTS, FEATURES, context_of, pack_lesson
from divrec.retrieve.candidates import REPEATED
from divrec.retrieve.side_by_side import SideBySide
from divrec.retrieve.signals import SIGNALS
from divrec.rules.config import FIXED
from divrec.rules.items import mark_of
from divrec.rules.publish import makes_slate
from divrec.rules.rests import answered, logged
from divrec.slate import Slates, empty_slates, make_slates
from divrec.staging import Markers, Staging
from divrec.text.encoder import names_model
from divrec.text.review_head import ReviewPrediction, ReviewSample, sample_of

if TYPE_CHECKING:
    from divrec.exploring import Exploring

LIKED = 0.5
"""Feedback of a rating from which on the item was liked: 4 of 5, 8 of 10."""
RATED_FIRST = 20
"""Rated reviews from which on the rating of others is predicted: by then it misses by less than that of ``feedback``,
and tells truly by how much."""
LESSONS_FROM_ALL = 20_000
"""Interactions of which each teaches the blend; then one in ``LESSONS_LATER``."""
LESSONS_LATER = 4
JUDGED = 128
"""One in so many interactions judges what diversity costs, which takes two slates; in a backfill fewer."""
T = TypeVar("T", bound=np.generic)
V = TypeVar("V")


class Observed(NamedTuple):
    """What an event did: the profile after it, and what the model learns."""

    profile: Profile
    delta: Delta | None
    interaction: bool = False
    """The user acted on an item: it taught something, or its feedback is not 0. An impression is none."""
    repeat: bool = False
    """The event id was applied before: nothing changed but the offset."""


class Ask(NamedTuple):
    """A slate that is wanted: None stands for the configured value, of diversity for the learned one."""

    profile: Profile
    now: int
    k: int | None = None
    diversity: float | None = None
    exclude: Sequence[str] = ()
    explore: bool = True
    """False: the slate does not explore, whatever is configured."""


class Engine:
    """One replica of model and catalogue, and what it does with profiles.

    The vectors of one text model are used: those of the newest marker (``change_over``), and before there is any,
    those of the first model that fits ``config.encoder.model``.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.items = ItemIndex()
        self.model = Model(config.model, self.items)
        self.catalog = Catalog(self.items, config.model.max_items, config.rules)
        self.staging = Staging(config.model.max_items)
        self.markers = Markers()
        self.side_by_side = SideBySide(self.items, config.model, config.worker.threads)
        self._fresh_ms = config.slate.fresh_days * DAY_MS
        self._exploring = exploring(config.slate.explore) if config.slate.explore else None
        self._unrated = config.feedback.model_dump()
        self._keyword_half_life = config.profile.keyword_half_life_days * DAY_MS
        floor, ceiling = config.slate.diversity_range
        self._learns_diversity = floor < ceiling

    # -- learning ------------------------------------------------------------------------------------------------

    def observe(self, profile: Profile, event: Event, event_id: str, offset: int, *, teach: bool = True) -> Observed:
        """Take ``event``, which stands at ``offset`` of its partition, into a copy of ``profile``.

        With ``teach`` the delta brings its lesson, if it is one that ``teaches``; without it the caller has several
        taught at once.
        """
        after = profile.copy()
        after.offset = offset
        if not after.remember(event_id, self.config.profile.event_ids):
            return Observed(after, None, repeat=True)
        after.events += 1
        match event:
            case Request():
                return Observed(after, None)
            case Click():
                action: str = event.action
                terms: Sequence[str] = ()
                sample: ReviewSample | None = None
            case Review():
                action = "review"
                terms, sample = event.terms, sample_of(event)
                self._learn_review_vector(after, event)
                after.text_pending = bool(sample.words and not sample.vector)
        feedback, weight = feedback_of(self.config.feedback, action, event.rating)
        liked, rated = event.rating is None or feedback >= LIKED, None
        if sample is not None and sample.words and self.config.feedback.review >= 0.0:
            if event.rating is not None:
                rated = RatedReview(sample, feedback)
            elif (predicted := self._predicted(sample)) is not None:
                feedback, weight = predicted.rating, predicted.weight
                liked = feedback >= LIKED
        if action == "impression" and event.rating is None:
            after.show(event.item_id)
            if self.config.rules.rests:
                after.impressions = logged(after.impressions, event.item_id, event.ts)
        else:
            after.answer(event.item_id)
            after.impressions = answered(after.impressions, event.item_id)
        if action == "hide":
            after.hidden = after.hidden.added(event.item_id, self.config.profile.consumed)
        if action in self.config.slate.consumed_actions:
            after.consumed = after.consumed.added(event.item_id, self.config.profile.consumed)
        words = self._words(event, terms) if feedback > 0.0 else ()
        if words:
            half_life, bound = self._keyword_half_life, self.config.profile.keywords
            after.keywords_ts = learn_keywords(
                after.keywords, after.keywords_ts, words, feedback, event.ts, half_life, bound
            )
        delta = None
        if weight > 0.0:
            delta = self._delta(profile, event, offset, weight, liked=liked, rated=rated, words=packed_words(words))
            if teach and self.teaches(delta):
                [delta] = self.teach([(profile, delta)])
            if self.config.slate.allow_repeats:
                after.count(event.item_id)
            after.append(event.item_id, action, feedback, event.ts, self.config.profile.history)
        elif feedback < 0.0:
            after.reject(event.item_id, feedback)
        return Observed(after, delta, interaction=weight > 0.0 or feedback != 0.0)

    def _predicted(self, sample: ReviewSample) -> ReviewPrediction | None:
        """The feedback that a review without a rating likely means, once there was enough to learn from."""
        head = self.model.reviews
        return None if head is None or head.learned < RATED_FIRST else head.predict(sample)

    def _delta(
        self,
        profile: Profile,
        event: Click | Review,
        offset: int,
        weight: float,
        *,
        liked: bool,
        rated: RatedReview | None,
        words: bytes,
    ) -> Delta:
        bound = self.config.model.history
        items, actions, felt = (newest(column, bound) for column in (profile.items, profile.actions, profile.feedback))
        if len({event.item_id, *items}) <= len(items):
            places = _distinct(profile.items, event.item_id, bound)
            items, felt = [profile.items[n] for n in places], [profile.feedback[n] for n in places]
            actions = [profile.actions[n] for n in places]
        unliked = b""
        if felt and min(felt) < LIKED:
            low = [n for n, liked_it in enumerate(self._liked(actions, felt)) if not liked_it]
            bits = sum([1 << n for n in low])
            unliked = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
        user = user_hash(profile.user_id)
        return Delta(offset, event.item_id, weight, event.ts, items, liked, unliked, user, b"", rated, words)

    def _liked(self, actions: Sequence[str], feedback: Sequence[float]) -> list[bool]:
        """Whether each interaction of the history was liked: rated high, or not rated at all."""
        unrated = self._unrated
        return [
            felt >= LIKED or (felt > 0.0 and felt == unrated[action])
            for action, felt in zip(actions, feedback, strict=True)
        ]

    def teaches(self, delta: Delta) -> bool:
        """Whether the blend is to learn from it: from each of the first interactions, later from a sample."""
        return self.model.interactions < LESSONS_FROM_ALL or delta.offset % LESSONS_LATER == 0

    def teach(self, choices: Sequence[tuple[Profile, Delta]]) -> list[Delta]:
        """The deltas with their lessons for the blend: what the model as it now is makes of what each profile chose.

        Random items of a lesson depend on the user and on the number of the event alone. May run in a thread, as
        ``make`` may.
        """
        deltas = [delta for _, delta in choices]
        rows = self.items.rows([delta.item_id for delta in deltas])
        known = [n for n, row in enumerate(rows.tolist()) if row >= 0 and deltas[n].liked and self.model.known[row]]
        if not known:
            return deltas
        befores = [choices[n][0] for n in known]
        asks = self.pack([Ask(before, deltas[n].ts, diversity=0.0) for n, before in zip(known, befores, strict=True)])
        seeds = np.array([before.seed for before in befores], np.uint64)
        gradients = np.zeros((len(known), FEATURES))
        weights, model, catalog = self.model.blend.effective(), self.model.arrays(), self.catalog.arrays()
        prints, chosen, fresh_ms = self.items.fingerprints, rows[known], self._fresh_ms
        self.side_by_side.run(
            lambda space, begin, end: lessons(
                asks, begin, end, chosen, seeds, space, fresh_ms, weights, model, catalog, prints, gradients
            ),
            len(known),
        )
        contexts = asks.contexts.tolist()
        for at in np.flatnonzero(gradients.any(axis=1)).tolist():
            n = known[at]
            deltas[n] = replace(deltas[n], lesson=pack_lesson(contexts[at], gradients[at]))
        every = JUDGED if self.model.interactions < LESSONS_FROM_ALL else JUDGED // LESSONS_LATER
        judged = [n for n, seed in zip(known, seeds.tolist(), strict=True) if seed % every == 0]
        if self._learns_diversity and judged:
            verdicts = self._verdicts([choices[n] for n in judged])
            for n, verdict in zip(judged, verdicts, strict=True):
                deltas[n] = replace(deltas[n], verdict=verdict)
        return deltas

    def _verdicts(self, choices: Sequence[tuple[Profile, Delta]]) -> list[bytes]:
        """What each choice says about diversity."""
        packed = self.pack([Ask(before, delta.ts, diversity=d) for before, delta in choices for d in (0.0, PROBE)])
        slates = self.make(packed, explained=False)
        found = self.items.rows([delta.item_id for _, delta in choices]).repeat(2)[:, None] == slates.rows
        found &= np.arange(found.shape[1]) < slates.sizes[:, None]
        places = np.where(found.any(axis=1), found.argmax(axis=1) + 1, 0).reshape(-1, 2).tolist()
        contexts = packed.contexts[::2].tolist()
        return [pack_verdict(context, *told) for context, told in zip(contexts, places, strict=True)]

    def _words(self, event: Click | Review, terms: Sequence[str]) -> Sequence[str]:
        """What ``event`` says of interests: the words of its own text, and those of its item."""
        row = self.items.get(event.item_id)
        words = self.catalog.words[row] if row >= 0 else ()
        return tuple(dict.fromkeys([*terms[:TERMS_PER_EVENT], *words])) if terms else words

    def _learn_review_vector(self, profile: Profile, review: Review) -> None:
        if review.vector is None or review.model is None:
            return
        # Not the catalogue's dimensions: while it changes over to another text model reviews come from both.
        vector = unpack_vector(review.vector, len(review.vector) // 2)
        if profile.review_model == review.model and len(profile.review_vector) == len(review.vector):
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
        """Use the vector, or stage it for later. Raises EventError for one of another size than its model's others."""
        if not self.catalog.model and names_model(value.model, self.config.encoder.model):
            self.catalog.model = value.model
        if value.model != self.catalog.model:
            self.staging.put(value)
            return
        dimensions = self.catalog.dimensions or len(value.vector) // 2
        self.catalog.put_vector(value.item_id, unpack_vector(value.vector, dimensions))

    def drop_vector(self, model: str, item_id: str) -> None:
        if model == self.catalog.model:
            self.catalog.drop_vector(item_id)
        else:
            self.staging.drop(model, item_id)

    def change_over(self, model: str) -> None:
        """Use the vectors of ``model``, all at once, and none of any other from now on."""
        self.staging.forget(self.catalog.model)
        self.catalog.change_over(model, self.staging.take(model))

    # -- recommending --------------------------------------------------------------------------------------------

    def wants_slate(self, observed: Observed, event: Event, *, replayed: bool) -> bool:
        if observed.repeat:
            return False
        return makes_slate(
            event, observed.profile, self.config.slate, interaction=observed.interaction, replayed=replayed
        )

    def text_pending(self, profile: Profile) -> bool:
        """Whether there is text that slates for ``profile`` do not yet take into account: the latest review had no
        vector, or vectors of another text model are here and wait for it to have encoded the whole catalogue."""
        return profile.text_pending or len(self.staging) > 0

    def diversity(self, ask: Ask) -> float:
        """What ``ask`` wants, or what has been learned for a context like its own."""
        return ask.diversity if ask.diversity is not None else self._learned_diversity()[_context(ask)]

    def _learned_diversity(self) -> list[float]:
        slate = self.config.slate
        return self.model.strengths.effective(slate.diversity, *slate.diversity_range)

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
        return self.recommend_all([Ask(profile, now, k, diversity, exclude)])[0]

    def recommend_all(self, asks: Sequence[Ask]) -> list[list[SlateItem]]:
        """The slates for ``asks``, in their order."""
        return self.recommend_ruled(asks)[0]

    def recommend_ruled(self, asks: Sequence[Ask]) -> tuple[list[list[SlateItem]], list[dict[str, int]]]:
        """The slates for ``asks``, and what rules took out of the candidates of each (``removed``)."""
        if not asks:
            return [], []
        made = self.make(self.pack(asks))
        return self.explain(asks, made), self.removed(made)

    def make(self, asks: Asks, weights: Floats | None = None, *, explained: bool = True) -> Slates:
        """The slates for packed asks. May run in a thread, while nothing is learned and no other call is under way.

        Without ``explained`` they have no sources: for who wants the ranking alone.

        ``weights`` of the signals, float32[len(SIGNALS)], instead of the blend's are for evaluation: the relevance is
        then the weighted sum of the signals, each scaled to [0, 1].
        """
        explore = self._exploring is not None and weights is None
        slates = empty_slates(len(asks.k), int(asks.k.max()), len(self.catalog.rules.names), explore=explore)
        used = self.model.blend.effective()
        if weights is not None:
            used = np.zeros((CONTEXTS, FEATURES), np.float32)
            used[:, : len(SIGNALS)] = weights
        model, catalog, prints = self.model.arrays(), self.catalog.arrays(), self.items.fingerprints
        plain, pool, fresh_ms = weights is not None, self.config.slate.pool, self._fresh_ms
        rules = self.catalog.rule_arrays()
        self.side_by_side.run(
            lambda space, begin, end: make_slates(
                asks,
                begin,
                end,
                model,
                catalog,
                prints,
                space,
                used,
                plain,
                pool,
                fresh_ms,
                explore,
                explained,
                rules,
                slates,
            ),
            len(asks.k),
        )
        return slates

    def explain(self, asks: Sequence[Ask], slates: Slates) -> list[list[SlateItem]]:
        """The made slates as events, with reasons; those that explore are drawn here."""
        if self._exploring is None:
            return self._events(asks, slates)
        profiles = [ask.profile if ask.explore else None for ask in asks]
        sizes = [_k(ask, self.config.slate) for ask in asks]
        rooms = [self.catalog.room(ask.now) for ask in asks]
        drawn = self._exploring.draw(profiles, slates, sizes, self.catalog.vectors, rooms)
        found = self._events(asks, drawn.slates)
        drawn.mark(found)
        return found

    def _events(self, asks: Sequence[Ask], slates: Slates) -> list[list[SlateItem]]:
        sizes, _, _, *columns = (column.tolist() for column in slates)
        return [
            self._explained(self._lifts(ask), size, *made)
            for ask, size, *made in zip(asks, sizes, *columns, strict=True)
        ]

    def _lifts(self, ask: Ask) -> Lifts:
        profile = ask.profile
        return Lifts(profile.keywords, faded(profile.keywords_ts, ask.now, self._keyword_half_life), self.model.words)

    def _explained(
        self,
        lifts: Lifts,
        size: int,
        rows: list[int],
        ranks: list[int],
        instead: list[int],
        impressions: list[int],
        relevance: list[float],
        similarity: list[float],
        sources: list[list[int]],
        shares: list[list[float]],
        referents: list[list[int]],
        marks: list[int],
        kept: list[bool],  # noqa: ARG002
    ) -> list[SlateItem]:
        ids, catalog = self.items.ids, self.catalog
        return [
            SlateItem(
                item_id=ids[rows[at]] or "",
                position=at + 1,
                relevance=relevance[at],
                relevance_rank=ranks[at] + 1,
                preferred_to=ids[instead[at]] if instead[at] >= 0 else None,
                impressions=impressions[at],
                similarity=similarity[at],
                reasons=reasons(catalog, lifts, rows[at], sources[at], shares[at], referents[at]),
                sponsored=catalog.rules.sponsors(marks[at]),
                rules=catalog.rules.named(marks[at]),
            )
            for at in range(size)
        ]

    def removed(self, slates: Slates) -> list[dict[str, int]]:
        """How many candidates of each slate each rule took out, by its name."""
        names = (*FIXED, *self.catalog.rules.names)
        told: list[dict[str, int]] = [{} for _ in slates.sizes]
        for ask, rule in zip(*np.nonzero(slates.removed), strict=True):
            told[ask][names[rule]] = int(slates.removed[ask, rule])
        return told

    def pack(self, asks: Sequence[Ask]) -> Asks:
        """The asks as arrays."""
        slate, get = self.config.slate, self.items.get
        items: list[list[int]] = [[] for _ in LISTS]
        history, older, shown, habits, rejected, excluded = items
        values: list[list[float]] = [[] for _ in LISTS]
        starts = [[0] for _ in LISTS]
        liked: list[bool] = []
        looked_at = REPEATED if slate.allow_repeats else QUERY_HISTORY
        consumed: list[bytes] = []
        own_items = self.config.rules.own_items
        contexts = [_context(ask) for ask in asks]
        learned = self._learned_diversity() if any(ask.diversity is None for ask in asks) else []
        diversity = [
            learned[context] if ask.diversity is None else ask.diversity
            for ask, context in zip(asks, contexts, strict=True)
        ]
        reviews = np.zeros((len(asks), self.catalog.dimensions), np.float32)
        for n, ask in enumerate(asks):
            profile = ask.profile
            told = newest(profile.feedback, looked_at)
            history += map(get, newest(profile.items, looked_at))
            values[HISTORY] += told
            liked += self._liked(newest(profile.actions, looked_at), told)
            if diversity[n] > 0.0:
                older += map(get, newest(profile.items, CATEGORY_HISTORY)[looked_at:])
                values[OLDER] += newest(profile.feedback, CATEGORY_HISTORY)[looked_at:]
            shown += map(get, reversed(profile.shown))
            habits += map(get, profile.habits)
            values[HABITUAL] += profile.habits.values()
            rejected += map(get, newest(profile.rejected, INTEREST_HISTORY))
            values[REJECTED] += newest(profile.rejected_feedback, INTEREST_HISTORY)
            if ask.exclude:
                excluded += sorted(row for row in map(get, ask.exclude) if row >= 0)
            for listed, ends in zip(items, starts, strict=True):
                ends.append(len(listed))
            consumed.append(b"" if slate.allow_repeats else profile.consumed.packed)
            if profile.review_vector and profile.review_model == self.catalog.model:
                vector = np.frombuffer(profile.review_vector, "<f2").astype(np.float32)
                if len(vector) == self.catalog.dimensions:
                    reviews[n] = self.catalog.centred(vector)
        values[SHOWN] = [0.0] * len(shown)
        values[EXCLUDED] = [0.0] * len(excluded)
        begins = accumulate(map(len, items[:-1]), initial=0)
        sets, own_hidden = [ask.profile.consumed for ask in asks], [ask.profile.hidden for ask in asks]
        users, contexts, sizes, shifts, filtered, own_hidden_filtered = np.array(
            [
                [self.model.users.number(user_hash(ask.profile.user_id)) for ask in asks],
                contexts,
                [_k(ask, slate) for ask in asks],
                [held.shift for held in sets],
                [held.filtered for held in sets],
                [held.filtered for held in own_hidden],
            ],
            np.int32,
        )
        return Asks(
            np.array(list(chain.from_iterable(items)), np.int32),
            np.array(list(chain.from_iterable(values)), np.float32),
            np.array([[begin + end for end in ends] for begin, ends in zip(begins, starts, strict=True)], np.int32),
            np.array(liked, np.bool_),
            np.frombuffer(b"".join(consumed), np.dtype("<u4")),
            filtered,
            shifts,
            begins_of(consumed),
            np.frombuffer(b"".join(held.packed for held in own_hidden), np.dtype("<u4")),
            own_hidden_filtered,
            begins_of(held.packed for held in own_hidden),
            np.frombuffer(b"".join(ask.profile.impressions for ask in asks), np.dtype("<u4")),
            begins_of(ask.profile.impressions for ask in asks),
            np.array([0 if own_items else mark_of(ask.profile.user_id) for ask in asks], np.uint32),
            reviews,
            users,
            contexts,
            np.array([ask.now for ask in asks], np.int64),
            sizes,
            np.array(diversity, np.float32),
            *self._keyword_lifts(asks),
            slate.allow_repeats,
        )

    def _keyword_lifts(self, asks: Sequence[Ask]) -> tuple[npt.NDArray[np.uint32], Floats, Ids]:
        held = [ask.profile.keywords for ask in asks]
        hashes = np.frombuffer(packed_words(chain.from_iterable(held)), np.uint32)
        weights = np.fromiter(chain.from_iterable(own.values() for own in held), np.float64, len(hashes))
        starts = np.array([0, *accumulate(map(len, held))], np.int32)
        fades = np.array([faded(ask.profile.keywords_ts, ask.now, self._keyword_half_life) for ask in asks])
        return hashes, lifts_of(hashes, weights, starts, fades, self.model.words.counts), starts

    def sizes(self) -> dict[str, int]:
        staged = {
            "staged_vectors": len(self.staging),
            "staged_vectors_bound": self.staging.max_items,
            "vectors_of_other_models": self.staging.ignored,
        }
        return self.model.sizes() | self.catalog.sizes() | staged


def exploring(share: float) -> "Exploring":
    from divrec.exploring import Exploring  # River's bandits take seconds to load

    return Exploring(share)


def begins_of(sets: Iterable[bytes]) -> Ids:
    """Where the words of each set begin, of four bytes each, one set after the other; and the end."""
    return np.array([0, *accumulate(len(words) // 4 for words in sets)], np.int32)


def newest(values: list[V], count: int) -> list[V]:
    """The last ``count`` values, newest first."""
    return values[: -count - 1 : -1]


def _distinct(items: list[str], but: str, count: int) -> list[int]:
    """Where the last ``count`` different items other than ``but`` stand, each at its newest place, newest first."""
    seen, places = {but}, list[int]()
    for n in range(len(items) - 1, -1, -1):
        if items[n] not in seen:
            seen.add(items[n])
            places.append(n)
            if len(places) == count:
                break
    return places


def user_hash(user_id: str) -> int:
    """By what the model tells users apart: 63 bits, never 0."""
    return hash64(user_id) >> 1 or 1


def _k(ask: Ask, config: SlateConfig) -> int:
    return config.k if ask.k is None else ask.k


def _context(ask: Ask) -> int:
    history = ask.profile.ts
    return context_of(len(history), ask.now - history[-1] if history else math.inf)


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
