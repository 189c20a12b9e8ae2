"""Where a generation stands: committed offsets and the store's watermarks beside the log that they speak of."""

from typing import NamedTuple

from aiokafka import TopicPartition

from divrec.config import Config
from divrec.state.redis import RedisStore
from divrec.state.store import NOTHING
from streams.kafka.log_reader import holds, make_consumer, partitions_of
from streams.topics import Topics, group_of


class Position(NamedTuple):
    """One partition of ``events``. ``end`` is the offset of the next event; ``mark`` that of the last one applied."""

    partition: int
    begin: int
    end: int
    committed: int | None
    mark: int

    @property
    def open(self) -> int:
        """Events that are not done."""
        return max(0, self.end - max(self.begin, self.committed or 0, self.mark + 1))


class Extent(NamedTuple):
    begin: int
    end: int


async def event_positions(config: Config) -> list[Position]:
    """By partition. Raises KafkaError and StoreUnavailable."""
    topic = Topics(config).events
    consumer = make_consumer(config, group_of(config, "recommend"))
    store = RedisStore(config.redis, f"{config.kafka.prefix}{config.generation}")
    try:
        await consumer.start()
        partitions = await partitions_of(consumer, [topic])
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        marks = (await store.load([], [tp.partition for tp in partitions])).watermarks
        positions = []
        for tp in partitions:
            committed, mark = await consumer.committed(tp), marks[tp.partition]
            end = await _end(config, tp, ends[tp], max(mark, NOTHING if committed is None else committed - 1))
            positions.append(Position(tp.partition, begins[tp], end, committed, mark))
        return positions
    finally:
        await consumer.stop()
        await store.close()


async def model_log_extent(config: Config, claimed: int) -> Extent:
    """Of the model log, which a snapshot ``claimed`` to be as long as this. Raises KafkaError."""
    tp = TopicPartition(Topics(config).model_log, 0)
    consumer = make_consumer(config)
    try:
        await consumer.start()
        await partitions_of(consumer, [tp.topic])
        begin, end = (await consumer.beginning_offsets([tp]))[tp], (await consumer.end_offsets([tp]))[tp]
        return Extent(begin, await _end(config, tp, end, claimed - 1))
    finally:
        await consumer.stop()


async def _end(config: Config, tp: TopicPartition, told: int, claimed: int) -> int:
    """The embedded broker tells an end that is too low: an offset that is claimed to exist is looked for."""
    if claimed >= told and await holds(config, tp.topic, tp.partition, claimed):
        return claimed + 1
    return told
