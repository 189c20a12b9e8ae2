"""Reading topics outside of a consumer group: from a position, to an end or for ever."""

from collections.abc import AsyncIterator, Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition

from divrec.config import Config
from streams.codec import Message, now_ms

POLL_MS = 1_000
POLL_RECORDS = 2_000


def make_consumer(config: Config) -> AIOKafkaConsumer:
    """A consumer without a group; not started."""
    return AIOKafkaConsumer(
        bootstrap_servers=config.kafka.brokers,
        group_id=None,
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


async def span_of(config: Config, topic: str, partition: int) -> tuple[int, int]:
    """The first offset of a partition and the one after its last."""
    consumer = make_consumer(config)
    await consumer.start()
    try:
        tp = TopicPartition(topic, partition)
        await partitions_of(consumer, [topic])
        first, end = await consumer.beginning_offsets([tp]), await consumer.end_offsets([tp])
        return first[tp], end[tp]
    finally:
        await consumer.stop()
