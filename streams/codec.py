"""Bytes on the wire: messages in, records out, headers, event ids and times, dead letters, and sending in batches."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError
from aiokafka.partitioner import DefaultPartitioner

from divrec.errors import DivrecError, EventError
from divrec.events import MAX_MESSAGE_BYTES, Click, Event, Item, ItemVector, ModelReady, Recommendation, Request, Review

log = logging.getLogger(__name__)

Header = tuple[str, bytes]

EVENT_ID = "divrec-event-id"
"""Header of an event's id, set by redrive; on a dead letter the id of the event in it."""
REPLAY = "divrec-replay"
"""Header of events from a historical log: they trigger no slate unless asked."""
REASON, DETAIL, STAGE = "divrec-reason", "divrec-detail", "divrec-stage"
TOPIC, PARTITION, OFFSET = "divrec-topic", "divrec-partition", "divrec-offset"
ARRIVED = "divrec-arrived"
"""Header of the first event of an ingest batch: Kafka's timestamp of its input, for the delay of the whole path."""
OF_TEXT = "divrec-text"
"""Header of an item's vector: hash of the text that it was made of."""
TIMESTAMP = "divrec-timestamp"
"""Header of what was made of another message, a dead letter and what redrive sends: Kafka's timestamp of that one."""
REDRIVEN = "divrec-redriven"
"""Header of a marker in ``dead-letters``, which is no letter: ``partition:offset`` of the letter that was sent back."""
DEAD_LETTER_HEADERS = frozenset({REASON, DETAIL, STAGE, TOPIC, PARTITION, OFFSET, EVENT_ID, TIMESTAMP})
LEFT_OUT = "is too large to be kept here)"
"""How the detail of a dead letter ends whose value was left out."""

MAX_RECORD_BYTES = 4_000_000
"""Largest record that a producer sends. ``dead-letters`` and ``model-log`` must accept it."""
BATCH_BYTES = 512_000
"""Records of one produce batch: below the one mebibyte that Kafka accepts by default."""
_OVERHEAD = 1_000
"""Bytes of a record beside its key, value and headers: generous."""
_DETAIL_CHARS = 4_000
_DAY_MS = 86_400_000
MAX_ID_CHARS = 256
"""Longest id of an event, a user or an item."""

encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
"""A Struct of ``divrec.events`` to JSON bytes."""
decode_event: Callable[[bytes], Event] = msgspec.json.Decoder(Event).decode
decode_click: Callable[[bytes], Click] = msgspec.json.Decoder(Click).decode
decode_review: Callable[[bytes], Review] = msgspec.json.Decoder(Review).decode
decode_request: Callable[[bytes], Request] = msgspec.json.Decoder(Request).decode
decode_item: Callable[[bytes], Item] = msgspec.json.Decoder(Item).decode
decode_vector_record: Callable[[bytes], ItemVector | ModelReady] = msgspec.json.Decoder(ItemVector | ModelReady).decode
decode_recommendation: Callable[[bytes], Recommendation] = msgspec.json.Decoder(Recommendation).decode


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message as it came from Kafka. ``timestamp``: epoch milliseconds, Kafka's."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[Header] = ()

    def header(self, name: str) -> bytes | None:
        """The last header called ``name``."""
        for key, value in reversed(self.headers):
            if key == name:
                return value
        return None


class Record(NamedTuple):
    """A record to send. ``partition`` None: by the key. ``timestamp`` None: now; else epoch milliseconds."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header] = ()
    timestamp: int | None = None

    def size(self) -> int:
        """Bytes on the wire, rounded up."""
        headers = sum(len(name) * 4 + len(value or b"") for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers + _OVERHEAD


class RecordTooLarge(DivrecError):
    """Records that no topic accepts; every other record of the call was acknowledged."""

    def __init__(self, records: list[Record]) -> None:
        sizes = ", ".join(f"{record.size()} to {record.topic}" for record in records[:3])
        super().__init__(f"records: expected at most {MAX_RECORD_BYTES} bytes, got {sizes}")
        self.records = records


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def value_of(message: Message) -> bytes:
    """The value, if there is one and it is of an accepted size. Raises EventError (``empty``, ``too-large``)."""
    value = message.value
    if not value:
        raise EventError("empty", "expected a JSON object, got no value")
    if len(value) > MAX_MESSAGE_BYTES:
        raise EventError("too-large", f"expected at most {MAX_MESSAGE_BYTES} bytes, got {len(value)}")
    return value


def position_id(message: Message) -> str:
    """The id of an event that has none: ``topic:partition:offset``."""
    # Kafka allows topic names that would make it longer than an id may be.
    return f"{message.topic[-200:]}:{message.partition}:{message.offset}"


def event_id(given: str | None, message: Message) -> str:
    """The id of an event: ``given`` in its payload, else the header ``divrec-event-id``, else its position."""
    return given or _header_id(message) or position_id(message)


def _header_id(message: Message) -> str | None:
    raw = message.header(EVENT_ID)
    if raw is None:
        return None
    try:
        named = raw.decode()
    except UnicodeDecodeError:
        return None
    return named if 0 < len(named) <= MAX_ID_CHARS else None


def event_time(ts: int, message: Message) -> int:
    """The time of an event: ``ts``, or Kafka's where it is not given (0) or lies in the future.

    Kafka's comes from the producer too: where its clock is more than a day ahead, ours counts.
    """
    known = kafka_time(message)
    if known > (now := now_ms()) + _DAY_MS:
        known = now
    return min(ts, known) if ts else known


def kafka_time(message: Message) -> int:
    """Kafka's timestamp of a message, epoch milliseconds; of one that redrive sent, that of the original.

    A topic may replace what a producer gives by the broker's clock, so a header tells it. It can only lead back.
    """
    told = message.header(TIMESTAMP) if message.headers else None
    return min(int(told), message.timestamp) if told and len(told) <= 15 and told.isdigit() else message.timestamp


def time_header(message: Message) -> Header:
    return TIMESTAMP, str(kafka_time(message)).encode()


def replay_headers(message: Message) -> Sequence[Header]:
    """The headers that an event keeps on its way through divrec."""
    mark = message.header(REPLAY)
    return () if mark is None else ((REPLAY, mark),)


def arrived_header(message: Message) -> Header:
    return ARRIVED, str(message.timestamp).encode()


def arrived_at(message: Message) -> int | None:
    """Kafka's timestamp of the input that this event came from, where its headers tell it; not of history."""
    told = message.header(ARRIVED) or b""
    return int(told) if len(told) <= 15 and told.isdigit() and message.header(REPLAY) is None else None


def dead_letter(
    topic: str, message: Message, reason: str, detail: str, stage: str, known_id: str | None = None
) -> Record:
    """The record for the dead-letter ``topic``: the original key, bytes and headers, and where and why it failed.

    ``reason`` is a short stable code, ``detail`` is for people (cut at the front: the end of a traceback tells most).
    ``known_id`` is the event's id where it could be decoded. A value that would not fit is left out, and said so: the
    headers name the position where it can still be read.
    """
    kept = [header for header in message.headers if header[0] not in DEAD_LETTER_HEADERS and header[0] != ARRIVED]
    about = {
        REASON: reason,
        DETAIL: detail[-_DETAIL_CHARS:],
        STAGE: stage,
        TOPIC: message.topic,
        PARTITION: str(message.partition),
        OFFSET: str(message.offset),
        EVENT_ID: event_id(known_id, message),
        TIMESTAMP: str(kafka_time(message)),
    }
    record = Record(topic, None, message.key, message.value, _headers(kept, about))
    if record.size() <= MAX_RECORD_BYTES:
        return record
    about[DETAIL] = f"{about[DETAIL]} (the value of {len(message.value or b'')} bytes {LEFT_OUT}"
    return Record(topic, None, None, None, _headers([], about))


def _headers(kept: list[Header], about: dict[str, str]) -> list[Header]:
    return [*kept, *((name, text.encode(errors="replace")) for name, text in about.items())]


_partitioner = DefaultPartitioner()


async def send_all(producer: AIOKafkaProducer, records: Iterable[Record]) -> None:
    """Send ``records``, in order per partition, and return when all are acknowledged.

    While the broker is away this waits and tries again, for ever: what was sent may then be there twice, never not at
    all. Raises RecordTooLarge, after everything else was acknowledged; any other error is one that trying again does
    not mend, and nothing may be taken as sent.
    """
    lanes: dict[tuple[str, int], list[Record]] = {}
    too_large: list[Record] = []
    for record in records:
        if record.size() > MAX_RECORD_BYTES:
            too_large.append(record)
            continue
        partition = record.partition
        if partition is None:
            partition = await _partition(producer, record)
        lanes.setdefault((record.topic, partition), []).append(record)
    if len(lanes) == 1:
        ((lane, queue),) = lanes.items()
        await _send_lane(producer, *lane, queue)
    elif lanes:
        sending = (_send_lane(producer, *lane, queue) for lane, queue in lanes.items())
        for result in await asyncio.gather(*sending, return_exceptions=True):
            if result is not None:
                raise result
    if too_large:
        raise RecordTooLarge(too_large)


async def _partition(producer: AIOKafkaProducer, record: Record) -> int:
    known = producer.client.cluster.partitions_for_topic(record.topic)  # cached; partitions_for() costs a task switch
    if known is None:
        retry = _Retry(record.topic)
        while known is None:
            try:
                known = await producer.partitions_for(record.topic)
            except KafkaError as error:
                await retry.wait(error)
    every = sorted(known)
    return int(_partitioner(record.key, every, every))


async def _send_lane(producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Record]) -> None:
    """Send ``records`` to one partition in as few batches as they need, each batch in one piece."""
    start = 0
    retry = _Retry(topic)
    while start < len(records):
        sent: list[tuple[int, asyncio.Future[Any]]] = []
        failure: KafkaError | None = None
        first = start
        try:
            while first < len(records):
                batch, end = _fill(producer, records, first)
                sent.append((end, await producer.send_batch(batch, topic, partition=partition)))
                first = end
        except KafkaError as error:
            failure = error
        # All are waited for, also after a failure: what follows it is sent again behind it, so that order holds.
        for (end, _), result in zip(sent, await _results(sent), strict=True):
            if isinstance(result, BaseException):
                if not isinstance(result, KafkaError):
                    raise result
                failure = result
                break
            start = end
        if failure is not None:
            await retry.wait(failure)


async def _results(sent: list[tuple[int, asyncio.Future[Any]]]) -> list[Any]:
    if len(sent) == 1:
        try:
            return [await sent[0][1]]
        except KafkaError as error:
            return [error]
    return await asyncio.gather(*(future for _, future in sent), return_exceptions=True)


def _fill(producer: AIOKafkaProducer, records: Sequence[Record], start: int) -> tuple[Any, int]:
    """A batch of the records from ``start`` on, and where the next one begins."""
    batch = producer.create_batch()
    end = start
    for record in records[start:] if start else records:
        # The first record of a batch is always accepted, however large it is.
        if (
            batch.append(key=record.key, value=record.value, timestamp=record.timestamp, headers=list(record.headers))
            is None
        ):
            break
        end += 1
    batch.close()
    return batch, end


class _Retry:
    """Waits longer after each failure (0.1 to 5 s), and says so once in a while."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._pause = 0.1
        self._next_line = 0.0

    async def wait(self, error: KafkaError) -> None:
        """Raises ``error`` if trying again does not mend it."""
        if not (error.retriable or isinstance(error, KafkaTimeoutError)):
            raise error
        now = time.monotonic()
        if now >= self._next_line:
            log.warning("topic %s: cannot send (%s), trying again", self._topic, type(error).__name__)
            self._next_line = now + 30.0
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, 5.0)
