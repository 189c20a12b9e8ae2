"""Ids for the events of a log that has none."""

from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from divrec.events import Event

ALIKE = 1_000_000
"""Event ids of one point in time that are remembered."""

_encode = msgspec.json.Encoder().encode


def named(events: Iterable[Event]) -> Iterator[Event]:
    """``events`` by time, each with an event id: its own, else a function of its content.

    Of several events that are the same to the millisecond, each gets an id of its own, the same in every reading.
    """
    at, alike = 0, Counter[bytes]()
    for event in events:
        if event.event_id is not None:
            yield event
            continue
        if event.ts != at or len(alike) >= ALIKE:
            at, alike = event.ts, Counter()
        content = blake2b(_encode(event), digest_size=12)
        number = alike[content.digest()]
        alike[content.digest()] += 1
        yield replace(event, event_id=f"log:{content.hexdigest()}" + (f":{number}" if number else ""))
