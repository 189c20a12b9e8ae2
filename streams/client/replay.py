"""A historical log, or what a topic holds, sent to the input topics in the order of its time."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import TypeVar

from msgspec.structs import replace

from divrec.config import Config
from divrec.data.decode import decode_event, own_decoder
from divrec.data.log import Log
from divrec.data.mapping import Mapping
from divrec.data.naming import named
from divrec.errors import EventError
from divrec.events import Click, Event, Item, Request, Review
from streams.client.dump import in_arrival_order, line_of, message_of
from streams.codec import REPLAY, Header, event_id, event_time, value_of
from streams.kafka.reading import Start, read_topic
from streams.kafka.sending import Inputs, Sender

E = TypeVar("E", bound=Event | Item)

CHUNK = 1_000
"""Events sent at once."""


def replay(
    config: Config,
    log: Log,
    *,
    speed: float | None = None,
    limit: int | None = None,
    slates: bool = False,
    sent: Callable[[Counter[str]], None] = lambda _: None,
) -> Counter[str]:
    """Send the items of ``log``, then its events by time (the first ``limit`` of them); the counts by kind.

    ``speed`` N: N times as fast as it happened; None: as fast as possible. The events carry the header
    ``divrec-replay`` and make no slates, unless ``slates``. Each has an event id, so that a second replay of the same
    log changes nothing. ``sent`` is told the counts so far. Memory is bounded. Raises ConfigError, SendError.
    """
    inputs = Inputs(config)
    headers: tuple[Header, ...] = () if slates else ((REPLAY, b"1"),)
    counts: Counter[str] = Counter()
    with Sender(config) as sender:
        items = log.items()
        while chunk := list(islice(items, CHUNK)):
            sender.send([inputs.record(item) for item in chunk])
            counts["items"] += len(chunk)
            sent(counts)
        for due in _due(named(islice(log.events(), limit)), speed, sender.pause):
            sender.send([inputs.record(event, headers) for event in due])
            counts.update(f"{type(event).__name__.lower()}s" for event in due)
            sent(counts)
    return counts


def replay_topic(
    config: Config,
    topic: str,
    start: Start,
    *,
    columns: dict[str, str] | None = None,
    speed: float | None = None,
    limit: int | None = None,
    slates: bool = False,
    sent: Callable[[Counter[str]], None] = lambda _: None,
) -> tuple[Counter[str], Counter[str]]:
    """Send what ``topic`` holds from ``start`` on, as it came; the counts by kind, and of what is no event by reason.

    The topic carries our own events and items, or, with ``columns``, JSON objects that they map to clicks and reviews.
    An event keeps its id: one that its user's profile remembers changes nothing. Otherwise as ``replay``.
    """
    inputs = Inputs(config)
    mapping = Mapping(columns, config.feedback) if columns else None
    if mapping is not None:
        mapping.require("click")
    own = own_decoder(Click | Review | Request | Item, config.feedback)
    headers: tuple[Header, ...] = () if slates else ((REPLAY, b"1"),)
    counts: Counter[str] = Counter()
    refused: Counter[str] = Counter()

    def events() -> Iterator[Event | Item]:
        for line in in_arrival_order(map(line_of, chain.from_iterable(read_topic(config, topic, start)))):
            message = message_of(line)
            try:
                data = value_of(message)
                event: Event | Item = own(data) if mapping is None else mapping.event(decode_event(data, dict))
            except EventError as error:
                refused[error.reason] += 1
                continue
            yield replace(event, event_id=event_id(event.event_id, message), ts=event_time(event.ts, message))

    with Sender(config) as sender:
        for due in _due(islice(events(), limit), speed, sender.pause):
            sender.send([inputs.record(event, headers) for event in due])
            counts.update(f"{type(event).__name__.lower()}s" for event in due)
            sent(counts)
    return counts, refused


def _due(events: Iterator[E], speed: float | None, pause: Callable[[float], None]) -> Iterator[list[E]]:
    """``events`` in lists of at most ``CHUNK``, each when it is due; those without a time are due at once."""
    if speed is None:
        while chunk := list(islice(events, CHUNK)):
            yield chunk
        return
    held: list[E] = []
    began: tuple[int, float] | None = None
    for event in events:
        if event.ts:
            began = began or (event.ts, time.monotonic())
            wait = began[1] + (event.ts - began[0]) / (1_000 * speed) - time.monotonic()
            if wait > 0.0:
                if held:
                    yield held
                    held = []
                pause(max(0.0, wait))
        held.append(event)
        if len(held) >= CHUNK:
            yield held
            held = []
    if held:
        yield held
