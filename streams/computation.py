"""The pure part of a batch: events and profiles in, changed profiles and records out. No input or output here."""

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import NamedTuple, TypeVar

from divrec.config import Config
from divrec.deltas import Delta, ModelLogRecord, encode_record
from divrec.engine import Ask, Observed
from divrec.errors import EventError
from divrec.events import Event, Recommendation, Request, SlateItem, Trigger
from divrec.profile import Profile
from streams.codec import MAX_RECORD_BYTES, REPLAY, Message, Record, arrived_at, dead_letter, encode, now_ms
from streams.quality import Shown, Turned
from streams.replica import Replica
from streams.topics import Topics

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

STAGE = "recommend"

IN_THREAD = 8
"""From this many events on slates and lessons are made in a thread: below it the way takes longer than the work."""


class Arrived(NamedTuple):
    """An event and the message that brought it."""

    message: Message
    event: Event
    event_id: str


class Outcome:
    """What a batch changes, collected before anything is written."""

    def __init__(self) -> None:
        self.profiles: dict[str, Profile] = {}
        self.slates: dict[str, bytes] = {}
        self.deltas: dict[int, list[Delta]] = {}
        self.choices: list[tuple[Profile, list[Delta], int]] = []
        """The deltas, by list and place, that are to have a lesson, each with the profile before it."""
        self.answered: list[int] = []
        """Kafka's timestamps of the events that got a slate."""
        self.answered_whole: list[int] = []
        """The same of the inputs they came from, where they tell."""
        self.records: list[Record] = []
        """Recommendations, dead letters and the model-log records."""
        self.ruled = Counter[str]()
        """What rules put or moved: items of slates by the rule's name."""
        self.removed = Counter[str]()
        """What they took out."""
        self.told: list[Shown | Turned] = []
        """What tells how good slates are."""


class Computation:
    """Observes and recommends with one engine."""

    def __init__(self, config: Config, replica: Replica, popular: Callable[[], tuple[str, ...]] = tuple) -> None:
        """``popular`` tells the most popular items, to measure slates by."""
        self._config = config
        self._popular = popular
        self._topics = Topics(config)
        self._replica = replica
        self._engine = replica.engine

    async def outcome(self, arrived: Iterable[Arrived], profiles: Mapping[str, Profile], *, publish: bool) -> Outcome:
        """What follows from the events ahead of their user's profile. ``profiles`` stay as they are.

        An event that raises becomes a dead letter and counts as applied: it must not stop its partition.
        """
        outcome = Outcome()
        wanted: list[tuple[Arrived, Ask]] = []
        for one in arrived:
            user_id, message = one.event.user_id, one.message
            before = outcome.profiles.get(user_id) or profiles.get(user_id) or Profile(user_id, message.partition)
            if message.offset <= before.offset:
                continue
            try:
                after, wants_slate = self._observe(one, before, outcome)
                if wants_slate:  # told by the profile also if it was published before
                    if publish:
                        wanted.append((one, self._ask(one, after)))
                    after.slate_ts = one.event.ts
            except Exception as error:
                reason = error.reason if isinstance(error, EventError) else "poisoned"
                outcome.records.append(self._refused(one, error, reason))
                after = before.copy()
                after.offset = message.offset
            outcome.profiles[user_id] = after
        await self._recommend(wanted, outcome)
        await self._teach(outcome.choices)
        for partition, deltas in outcome.deltas.items():
            outcome.records += self._model_log_records(partition, deltas)
        return outcome

    async def _teach(self, choices: list[tuple[Profile, list[Delta], int]]) -> None:
        """Put the lessons of the batch, all from the same state of the model, into its deltas.

        If that raises the deltas go without: what an event teaches the model does not depend on it.
        """
        if not choices:
            return
        try:
            async with self._replica.still:
                taught = await _aside(
                    len(choices), self._engine.teach, [(before, deltas[at]) for before, deltas, at in choices]
                )
        except Exception:
            log.exception("no lessons from %d events", len(choices))
            return
        for (_, deltas, at), delta in zip(choices, taught, strict=True):
            deltas[at] = delta

    def _model_log_records(self, partition: int, deltas: list[Delta]) -> list[Record]:
        """One record, or more if it would be too large: long ids in a long history."""
        record = Record(self._topics.model_log, 0, None, encode_record(ModelLogRecord(partition, deltas)))
        if record.size() <= MAX_RECORD_BYTES or len(deltas) == 1:
            return [record]
        half = len(deltas) // 2
        return self._model_log_records(partition, deltas[:half]) + self._model_log_records(partition, deltas[half:])

    def _observe(self, one: Arrived, before: Profile, outcome: Outcome) -> tuple[Profile, bool]:
        message, event, event_id = one
        observed = self._engine.observe(before, event, event_id, message.offset, teach=False)
        wants_slate = self._engine.wants_slate(observed, event, replayed=message.header(REPLAY) is not None)
        if observed.delta is not None:
            deltas = outcome.deltas.setdefault(message.partition, [])
            if self._engine.teaches(observed.delta):
                outcome.choices.append((before, deltas, len(deltas)))
            deltas.append(observed.delta)
            self._turned(before, observed, outcome)
        return observed.profile, wants_slate

    def _turned(self, before: Profile, observed: Observed, outcome: Outcome) -> None:
        assert observed.delta is not None
        item_id = observed.delta.item_id
        hidden = (before.hidden if self._config.slate.allow_repeats else before.consumed).__contains__
        if observed.profile.feedback[-1] > 0.0 and not hidden(item_id):
            outcome.told.append(Turned(before.user_id, item_id, hidden))

    def _ask(self, one: Arrived, profile: Profile) -> Ask:
        request = one.event if isinstance(one.event, Request) else None
        if request is None:
            return Ask(profile, one.event.ts, self._config.slate.k)
        return Ask(
            profile,
            request.ts,
            self._config.slate.k if request.k is None else request.k,
            request.diversity,
            request.exclude,
        )

    async def _recommend(self, wanted: list[tuple[Arrived, Ask]], outcome: Outcome) -> None:
        """The slates of the batch, all from the same state of the model.

        If that raises they are made one by one, to find the event that is to blame: it has been observed, and gets a
        dead letter in place of its slate.
        """
        if not wanted:
            return
        try:
            values = await self._slates(wanted)
        except Exception as error:
            if len(wanted) == 1:
                outcome.records.append(self._refused(wanted[0][0], error, "no-slate"))
            else:
                for alone in wanted:
                    await self._recommend([alone], outcome)
            return
        for (one, ask), (value, shown, slate) in zip(wanted, values, strict=True):
            user_id = ask.profile.user_id
            outcome.ruled.update(chain.from_iterable(item.rules for item in slate.items if item.rules))
            outcome.removed.update(slate.removed)
            outcome.told.append(shown)
            outcome.slates[user_id] = value
            outcome.answered.append(one.message.timestamp)
            if one.message.headers and (arrived := arrived_at(one.message)) is not None:
                outcome.answered_whole.append(arrived)
            outcome.records.append(Record(self._topics.recommendations, one.message.partition, user_id.encode(), value))

    async def _slates(self, wanted: list[tuple[Arrived, Ask]]) -> list[tuple[bytes, Shown, Recommendation]]:
        asks = [ask for _, ask in wanted]
        async with self._replica.still:
            version, model = self._replica.version, self._engine.catalog.model
            packed = self._engine.pack(asks)
            made = await _aside(len(asks), self._engine.make, packed)
            slates, popular = self._engine.explain(asks, made), self._popular()
            pending = [self._engine.text_pending(ask.profile) for ask in asks]
        removed = self._engine.removed(made)
        return [
            (
                encode(slate := self._recommendation(one, items, diversity, out, version, model, waits)),
                Shown(ask.profile.user_id, [item.item_id for item in items], popular),
                slate,
            )
            for (one, ask), items, diversity, out, waits in zip(
                wanted, slates, packed.diversity.tolist(), removed, pending, strict=True
            )
        ]

    def _recommendation(
        self,
        one: Arrived,
        items: list[SlateItem],
        diversity: float,
        removed: dict[str, int],
        version: int,
        model: str,
        text_pending: bool,
    ) -> Recommendation:
        message, event, event_id = one
        request_id = (event.request_id or event_id) if isinstance(event, Request) else None
        return Recommendation(
            recommendation_id=f"{self._config.generation}:{message.partition}:{message.offset}",
            user_id=event.user_id,
            trigger=Trigger(
                partition=message.partition, offset=message.offset, event_id=event_id, request_id=request_id
            ),
            ts=event.ts,
            made_at=now_ms(),
            generation=self._config.generation,
            version=version,
            model=model,
            diversity=round(diversity, 5),
            items=items,
            removed=removed,
            text_pending=text_pending,
        )

    def _refused(self, one: Arrived, error: Exception, reason: str) -> Record:
        position = {"event_id": one.event_id, "partition": one.message.partition, "offset": one.message.offset}
        log.error("event %s: %s (%s): dead letter", one.event_id, reason, type(error).__name__, extra=position)
        detail = str(error) if isinstance(error, EventError) else traceback.format_exc()
        return dead_letter(self._topics.dead_letters, one.message, reason, detail, STAGE, known_id=one.event_id)


async def _aside(count: int, call: Callable[[T], R], argument: T) -> R:
    """``call`` with ``argument``: for ``count`` events in a thread, where the event loop would wait too long for it."""
    return call(argument) if count < IN_THREAD else await asyncio.to_thread(call, argument)
