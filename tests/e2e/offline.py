"""What must have come of the events in the log: the same engine, without faults, in order."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from divrec.config import Config
from divrec.deltas import Delta
from divrec.engine import Engine
from divrec.errors import EventError
from divrec.profile import Profile
from streams.codec import REPLAY, Message, decode_event, event_id, event_time, value_of
from streams.topics import partition_of
from tests.e2e.faulty_worker import POISON

Position = tuple[int, int]
"""Partition and offset in ``events``."""


@dataclass
class Expected:
    profiles: dict[str, Profile] = field(default_factory=dict)
    deltas: dict[Position, Delta] = field(default_factory=dict)
    slates: dict[Position, Profile] = field(default_factory=dict)
    """The profile that each slate was made for."""
    dead: dict[Position, str] = field(default_factory=dict)
    """Reasons of dead letters."""
    event_ids: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By user, of all events but the poisonous."""
    ends: Counter[int] = field(default_factory=Counter)
    """Offset after the last event, by partition."""


def expected(config: Config, engine: Engine, events: Iterable[Message]) -> Expected:
    """``engine`` holds the catalogue. Partitions are independent of each other."""
    found = Expected()
    for message in sorted(events, key=lambda m: (m.partition, m.offset)):
        position = (message.partition, message.offset)
        found.ends[message.partition] = message.offset + 1
        try:
            event = decode_event(value_of(message))
        except (EventError, ValueError, RecursionError) as error:
            found.dead[position] = error.reason if isinstance(error, EventError) else "invalid"
            continue
        user = event.user_id
        if message.partition != partition_of(user, config.kafka.partitions):
            found.dead[position] = "wrong-partition"
            continue
        event.ts = event_time(event.ts, message)
        before = found.profiles.get(user) or Profile(user, message.partition)
        if getattr(event, "item_id", None) == POISON:
            found.dead[position] = "poisoned"
            found.profiles[user] = after = before.copy()
            after.offset = message.offset
            continue
        known = event_id(event.event_id, message)
        found.event_ids[user].add(known)
        observed = engine.observe(before, event, known, message.offset, teach=False)
        found.profiles[user] = observed.profile
        if observed.delta is not None:
            found.deltas[position] = observed.delta
        if engine.wants_slate(observed, event, replayed=message.header(REPLAY) is not None):
            observed.profile.slate_ts = event.ts
            found.slates[position] = observed.profile
    return found


def pair_counts(deltas: Iterable[Delta]) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Interactions by item and co-counts by pair of items: sums of weights that fade, counted by hand."""
    items: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for delta in deltas:
        items[delta.item_id] += delta.weight  # type: ignore[assignment]
        for distance, other in enumerate(delta.recent):
            faded = delta.weight * math.exp(-distance / 30.0)
            pairs[delta.item_id, other] += faded  # type: ignore[assignment]
            pairs[other, delta.item_id] += faded  # type: ignore[assignment]
    return items, pairs
