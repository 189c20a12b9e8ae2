"""The pure part of a batch: events and profiles in, changed profiles and records out. No input or output here."""

import logging
import traceback
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from divrec.config import Config
from divrec.deltas import Delta, ModelLogRecord, encode_record
from divrec.engine import Engine
from divrec.errors import EventError
from divrec.events import Event, Recommendation, Request, Trigger
from divrec.profile import Profile
from streams.codec import REPLAY, Message, Record, dead_letter, encode, now_ms
from streams.topics import Topics

log = logging.getLogger(__name__)

STAGE = "recommend"


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
        self.records: list[Record] = []
        """Recommendations, dead letters and the model-log records."""


class Computation:
    """Observes and recommends with one engine."""

    def __init__(self, config: Config, engine: Engine) -> None:
        self._config = config
        self._topics = Topics(config)
        self._engine = engine

    def outcome(self, arrived: Iterable[Arrived], profiles: Mapping[str, Profile], *, publish: bool) -> Outcome:
        """What follows from the events ahead of their user's profile. ``profiles`` stay as they are.

        An event that raises becomes a dead letter and counts as applied: it must not stop its partition.
        """
        outcome = Outcome()
        deltas: dict[int, list[Delta]] = {}
        for one in arrived:
            user_id, message = one.event.user_id, one.message
            before = outcome.profiles.get(user_id) or profiles.get(user_id) or Profile(user_id, message.partition)
            if message.offset <= before.offset:
                continue
            try:
                delta = self._take(one, before, outcome, publish=publish)
            except Exception as error:
                outcome.records.append(self._poisoned(one, error))
                after = before.copy()
                after.offset = message.offset
                outcome.profiles[user_id] = after
            else:
                if delta is not None:
                    deltas.setdefault(message.partition, []).append(delta)
        outcome.records += [
            Record(self._topics.model_log, 0, None, encode_record(ModelLogRecord(partition, found)))
            for partition, found in deltas.items()
        ]
        return outcome

    def _take(self, one: Arrived, before: Profile, outcome: Outcome, *, publish: bool) -> Delta | None:
        message, event, event_id = one
        observed = self._engine.observe(before, event, event_id, message.offset)
        after = observed.profile
        replayed = message.header(REPLAY) is not None
        if publish and self._engine.wants_slate(observed, event, replayed=replayed):
            value = encode(self._recommendation(after, one))
            after.slate_ts = event.ts
            outcome.slates[after.user_id] = value
            outcome.records.append(
                Record(self._topics.recommendations, message.partition, after.user_id.encode(), value)
            )
        outcome.profiles[after.user_id] = after
        return observed.delta

    def _recommendation(self, profile: Profile, one: Arrived) -> Recommendation:
        message, event, event_id = one
        request = event if isinstance(event, Request) else None
        diversity = self._config.slate.diversity
        if request is not None and request.diversity is not None:
            diversity = request.diversity
        items = self._engine.recommend(
            profile,
            event.ts,
            k=request.k if request else None,
            diversity=diversity,
            exclude=request.exclude if request else (),
        )
        return Recommendation(
            recommendation_id=f"{self._config.generation}:{message.partition}:{message.offset}",
            user_id=profile.user_id,
            trigger=Trigger(
                partition=message.partition,
                offset=message.offset,
                event_id=event_id,
                request_id=(request.request_id or event_id) if request else None,
            ),
            ts=event.ts,
            made_at=now_ms(),
            generation=self._config.generation,
            version=self._engine.model.version,
            model=self._engine.catalog.model,
            diversity=diversity,
            items=items,
        )

    def _poisoned(self, one: Arrived, error: Exception) -> Record:
        expected = isinstance(error, EventError)
        reason = error.reason if isinstance(error, EventError) else "poisoned"
        log.error("event %s: %s (%s): dead letter", one.event_id, reason, type(error).__name__)
        detail = str(error) if expected else traceback.format_exc()
        return dead_letter(self._topics.dead_letters, one.message, reason, detail, STAGE, known_id=one.event_id)
