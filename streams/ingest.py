"""The ingest worker: clicks and requests of any shape become validated events, keyed and partitioned by user.

Stateless, at least once: after a crash a few events come again under the same event id.
"""

import functools
from collections.abc import Callable

from msgspec.structs import replace

from divrec.config import Config
from divrec.data.decode import decoder
from divrec.errors import EventError
from divrec.events import MAX_MESSAGE_BYTES, Click, Request
from streams.batches import batches
from streams.codec import (
    Message,
    Record,
    dead_letter,
    encode,
    event_id,
    event_time,
    replay_headers,
    send_all,
    value_of,
)
from streams.topics import Topics, partition_of
from streams.worker import Worker, run_worker

STAGE = "ingest"


class Ingest:
    """Turns messages of the topics ``clicks`` and ``requests`` into records for ``events`` or ``dead-letters``."""

    def __init__(self, config: Config) -> None:
        topics = Topics(config)
        self._events, self._dead_letters = topics.events, topics.dead_letters
        self._partitions = config.kafka.partitions
        self._decoders: dict[str, Callable[[bytes], Click | Request]] = {
            topics.clicks: decoder("click", config.topics.clicks.map, config.feedback),
            topics.requests: decoder("request", config.topics.requests.map, config.feedback),
        }
        self.topics = tuple(self._decoders)

    def record(self, message: Message) -> Record:
        """The one record that ``message`` becomes."""
        try:
            event = self._decoders[message.topic](value_of(message))
            known = event_id(event.event_id, message)
            value = encode(self._completed(event, known, message))
            if len(value) > MAX_MESSAGE_BYTES:
                raise EventError(
                    "too-large", f"expected an event of at most {MAX_MESSAGE_BYTES} bytes, got {len(value)}"
                )
        except EventError as error:
            return dead_letter(self._dead_letters, message, error.reason, str(error), STAGE)
        user = event.user_id
        headers = replay_headers(message)
        return Record(self._events, partition_of(user, self._partitions), user.encode(), value, headers)

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
    async def process(messages: list[Message]) -> None:
        await send_all(worker.producer, map(ingest.record, messages))

    batches(worker.app, ingest.topics, process, worker.config.worker.batch)
