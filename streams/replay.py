"""A historical log sent to the input topics, in the order of its time."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import islice

from msgspec.structs import replace

from divrec.config import Config
from divrec.data.log import Log
from divrec.events import Event
from streams.codec import REPLAY, Header, encode
from streams.sending import Inputs, Sender

CHUNK = 1_000
"""Events sent at once."""
_ALIKE = 1_000_000
"""Event ids of one point in time that are remembered."""


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


def named(events: Iterable[Event]) -> Iterator[Event]:
    """``events`` by time, each with an event id: its own, else a function of its content.

    Of several events that are the same to the millisecond, each gets an id of its own, the same in every reading.
    """
    at, alike = 0, Counter[bytes]()
    for event in events:
        if event.event_id is not None:
            yield event
            continue
        if event.ts != at or len(alike) >= _ALIKE:
            at, alike = event.ts, Counter()
        content = blake2b(encode(event), digest_size=12)
        number = alike[content.digest()]
        alike[content.digest()] += 1
        yield replace(event, event_id=f"log:{content.hexdigest()}" + (f":{number}" if number else ""))


def _due(events: Iterator[Event], speed: float | None, pause: Callable[[float], None]) -> Iterator[list[Event]]:
    """``events`` in lists of at most ``CHUNK``, each when it is due; those without a time are due at once."""
    if speed is None:
        while chunk := list(islice(events, CHUNK)):
            yield chunk
        return
    held: list[Event] = []
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
