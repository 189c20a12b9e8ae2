"""Reading topics outside of a consumer group: from a position, to an end or for ever."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from divrec.config import Config
from streams.codec import Message, now_ms
from streams.kafka.clients import client_arguments
from streams.kafka.header_names import accept_any

accept_any()

POLL_MS = 1_000
LOOK_MS = 2_000
POLL_RECORDS = 2_000
SURPLUS_READS = 10


def make_consumer(config: Config, group: str | None = None) -> AIOKafkaConsumer:
    """A consumer that joins no group; not started. With ``group`` it can be asked what that has committed."""
    return AIOKafkaConsumer(
        **client_arguments(config.kafka),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        fetch_max_wait_ms=config.kafka.fetch_wait_ms,
        max_partition_fetch_bytes=4 * 1_048_576,
    )


async def partitions_of(consumer: AIOKafkaConsumer, topics: Iterable[str]) -> list[TopicPartition]:
    """All partitions of ``topics``."""
    await consumer._client.force_metadata_update()
    wanted = list(topics)
    return [TopicPartition(t, p) for t in wanted for p in sorted(await _known(consumer, t))]


def ends_of(consumer: AIOKafkaConsumer) -> Iterator[tuple[TopicPartition, int, int | None]]:
    """The end and the position in each assigned partition, as the last fetch told them; asks no broker."""
    subscription = consumer._subscription.subscription
    if subscription is None or subscription.assignment is None:
        return
    for tp in subscription.assignment.tps:
        state = subscription.assignment.state_value(tp)
        if state is not None and state.highwater is not None:
            yield tp, state.highwater, state.position if state.has_valid_position else None


async def _known(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    await consumer._client.add_topic(topic)
    return set(consumer._client.cluster.partitions_for_topic(topic) or ())


async def polled(consumer: AIOKafkaConsumer, timeout_ms: int = POLL_MS) -> list[Message]:
    """What is there, in order per partition."""
    found = await consumer.getmany(timeout_ms=timeout_ms, max_records=POLL_RECORDS)
    return [
        Message(
            tp.topic,
            tp.partition,
            record.offset,
            record.timestamp if record.timestamp and record.timestamp > 0 else now_ms(),
            record.key,
            record.value,
            record.headers or (),
        )
        for tp, records in found.items()
        for record in records
    ]


async def read_range(config: Config, topic: str, partition: int, start: int, end: int) -> AsyncIterator[list[Message]]:
    """The messages of ``[start, end)`` in batches; begins later if the log no longer reaches back to ``start``."""
    consumer = make_consumer(config)
    await consumer.start()
    try:
        tp = TopicPartition(topic, partition)
        consumer.assign([tp])
        position = max(start, (await consumer.beginning_offsets([tp]))[tp])
        consumer.seek(tp, position)
        while position < end:
            messages = [message for message in await polled(consumer) if message.offset < end]
            position = await consumer.position(tp)
            if messages:
                yield messages
    finally:
        await consumer.stop()


async def begin_of(config: Config, topic: str, partition: int) -> int:
    """The first offset that a partition still holds."""
    consumer = make_consumer(config)
    await consumer.start()
    try:
        tp = TopicPartition(topic, partition)
        return int((await consumer.beginning_offsets([tp]))[tp])
    finally:
        await consumer.stop()


async def holds(config: Config, topic: str, partition: int, offset: int) -> bool:
    """Whether ``offset`` lies before the end of a partition.

    The embedded broker tells an end that is too low, so what it says no to is looked for.
    """
    consumer = make_consumer(config)
    await consumer.start()
    try:
        tp = TopicPartition(topic, partition)
        if offset < (await consumer.end_offsets([tp]))[tp]:
            return True
        consumer.assign([tp])
        consumer.seek(tp, offset)
        try:
            return any(message.offset >= offset for message in await polled(consumer, LOOK_MS))
        except OffsetOutOfRangeError:
            return False
    finally:
        await consumer.stop()


class Followed:
    """A topic from its start on, read to its present end as often as ``news`` is called."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        self._consumer = consumer
        self.partitions = partitions

    async def news(self) -> AsyncIterator[list[Message]]:
        """What has not been read yet."""
        ends = await self._consumer.end_offsets(self.partitions)
        surplus = 0  # reads past what the broker told as the end: the embedded one tells one that is too low
        while surplus < SURPLUS_READS:
            behind = [tp for tp, end in ends.items() if await self._consumer.position(tp) < end]
            messages = await self.glance(100)
            if messages:
                yield messages
            elif not behind:
                return
            surplus += not behind

    async def glance(self, timeout_ms: int = 0) -> list[Message]:
        """Of it what has already been fetched, maybe nothing."""
        return await polled(self._consumer, timeout_ms)


@asynccontextmanager
async def followed(config: Config, topic: str) -> AsyncIterator[Followed]:
    consumer = make_consumer(config)
    try:
        await consumer.start()
        partitions = await partitions_of(consumer, [topic])
        first = await consumer.beginning_offsets(partitions)
        consumer.assign(partitions)
        for tp in partitions:
            consumer.seek(tp, first[tp])
        yield Followed(consumer, partitions)
    finally:
        await consumer.stop()
