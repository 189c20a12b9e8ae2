"""The ingest worker: clicks and requests of any shape become validated events, keyed and partitioned by user.

Stateless, at least once: after a crash a few events come again under the same event id.
"""

import functools
from collections.abc import Callable, Sequence
from itertools import chain

from msgspec.structs import replace

from divrec.config import Config
from divrec.data.decode import several_decoder
from divrec.errors import EventError
from divrec.events import MAX_MESSAGE_BYTES, Click, Request
from streams.batches import batches
from streams.codec import (
    MAX_ID_CHARS,
    Message,
    Record,
    arrived_header,
    dead_letter,
    encode,
    event_id,
    event_time,
    replay_headers,
    send_all,
    value_of,
)
from streams.health.gauges import of_consumer
from streams.topics import Topics, partition_of
from streams.worker import Worker, run_worker

STAGE = "ingest"


class Ingest:
    """Turns messages of the topics ``clicks`` and ``requests`` into records for ``events`` or ``dead-letters``."""

    def __init__(self, config: Config) -> None:
        topics = Topics(config)
        self._events, self.dead_letters = topics.events, topics.dead_letters
        self._partitions = config.kafka.partitions
        self._decoders: dict[str, Callable[[bytes], list[tuple[str, Click | Request]]]] = {
            topics.clicks: several_decoder("click", config.topics.clicks.map, config.feedback),
            topics.requests: several_decoder("request", config.topics.requests.map, config.feedback),
        }
        self.topics = tuple(self._decoders)

    def batch(self, messages: Sequence[Message]) -> list[Record]:
        """What ``messages`` become; if the first one is an event, and no history, it tells when it arrived."""
        made = [*chain.from_iterable(map(self.records, messages))]
        if made and made[0].topic == self._events and not made[0].headers:
            made[0] = made[0]._replace(headers=[arrived_header(messages[0])])
        return made

    def records(self, message: Message) -> list[Record]:
        """The events that ``message`` holds, mostly one, or the one dead letter that it becomes."""
        try:
            return [
                self._record(event, self._known_id(event, message, which), message)
                for which, event in self._decoders[message.topic](value_of(message))
            ]
        except EventError as error:
            return [dead_letter(self.dead_letters, message, error.reason, str(error), STAGE)]

    def _record(self, event: Click | Request, known_id: str, message: Message) -> Record:
        value = encode(self._completed(event, known_id, message))
        if len(value) > MAX_MESSAGE_BYTES:
            raise EventError("too-large", f"expected an event of at most {MAX_MESSAGE_BYTES} bytes, got {len(value)}")
        user = event.user_id
        return Record(self._events, partition_of(user, self._partitions), user.encode(), value, replay_headers(message))

    @staticmethod
    def _known_id(event: Click | Request, message: Message, which: str) -> str:
        """Its id; where a message holds several, ``which`` makes it one of its own."""
        known = event_id(event.event_id, message) + which
        if len(known) > MAX_ID_CHARS:
            raise EventError(
                "invalid", f"event_id: expected at most {MAX_ID_CHARS} characters with {which!r} behind it"
            )
        return known

    @staticmethod
    def _completed(event: Click | Request, known_id: str, message: Message) -> Click | Request:
        ts = event_time(event.ts, message)
        if isinstance(event, Request):
            return replace(event, event_id=known_id, ts=ts, request_id=event.request_id or known_id)
        return replace(event, event_id=known_id, ts=ts)


def run(config: Config) -> int:
    """Run the ingest worker until it is told to stop; returns its exit code."""
    return run_worker(config, "ingest", functools.partial(set_up, Ingest(config)))


async def set_up(ingest: Ingest, worker: Worker) -> None:
    metrics = worker.metrics

    async def process(messages: list[Message]) -> None:
        metrics.taken(messages)
        with metrics.timed("send"):
            records = ingest.batch(messages)
            await send_all(worker.producer, records)
        metrics.sent(records, dead_letters=ingest.dead_letters)
        metrics.arrived(STAGE, [message.timestamp for message in messages])

    acks = batches(worker.app, ingest.topics, process, worker.config.worker.batch)
    metrics.watch(lambda: of_consumer(worker.app, [acks]))
