"""A topic read as an application would: all partitions, no consumer group, nothing committed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Literal, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from divrec.config import Config
from divrec.errors import ConfigError
from streams.codec import Message
from streams.kafka.log_reader import make_consumer, partitions_of, polled

SURPLUS_READS = 50
"""Reads past what a broker told as the end: the embedded one tells an end that is too low."""


class Since(NamedTuple):
    """The messages with a Kafka timestamp from ``ms`` on, epoch milliseconds."""

    ms: int


Start = Literal["start", "end"] | int | Since
"""Where to begin: an int is an offset, in every partition."""


class Reader:
    """An open topic. ``read`` gives what has come, in offset order per partition."""

    def __init__(self, consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int], start: Start) -> None:
        self._consumer = consumer
        self._ends = ends
        self._start = start
        self._surplus = 0

    async def read(self, wait_s: float = 0.1) -> list[Message]:
        """What is there, or the first to come within ``wait_s``."""
        messages = await polled(self._consumer, int(1_000 * wait_s))
        match self._start:  # the embedded broker begins before what was asked for
            case Since(ms):
                return [message for message in messages if message.timestamp >= ms]
            case int(offset):
                return [message for message in messages if message.offset >= offset]
        return messages

    async def rest(self) -> list[Message] | None:
        """The next of what was there when the topic was opened (and maybe of what came since), None at the end."""
        while not await self.caught_up():
            if messages := await self.read():
                return messages
        self._surplus += 1
        return (await self.read() if self._surplus < SURPLUS_READS else []) or None

    async def caught_up(self) -> bool:
        """Whether everything was read that was there when the topic was opened."""
        for partition, end in self._ends.items():
            if await self._consumer.position(partition) < end:
                return False
        return True


@asynccontextmanager
async def reading(config: Config, topic: str, start: Start) -> AsyncIterator[Reader]:
    """``topic`` from ``start`` on; from its present ``end``: then what is produced from now on is read.

    Raises ConfigError if the topic or the broker is not there.
    """
    consumer = make_consumer(config)
    try:
        try:
            await consumer.start()
            # A broker may create a topic that is asked for by name, so all are asked for.
            if topic not in await consumer.topics():
                raise ConfigError(f"topic {topic}: expected it to exist: run `divrec topics create`")
            partitions = await partitions_of(consumer, [topic])
            begins = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
            firsts = await _firsts(consumer, start, begins, ends)
            consumer.assign(partitions)
            for partition in partitions:
                consumer.seek(partition, firsts[partition])
        except KafkaError as error:
            raise ConfigError(
                f"topic {topic}: expected to read it at {config.kafka.brokers}, got {type(error).__name__}: see what "
                "`divrec topics check` says"
            ) from error
        yield Reader(consumer, {p: end for p, end in ends.items() if end > firsts[p]}, start)
    finally:
        await consumer.stop()


async def _firsts(
    consumer: AIOKafkaConsumer, start: Start, begins: dict[TopicPartition, int], ends: dict[TopicPartition, int]
) -> dict[TopicPartition, int]:
    if isinstance(start, Since):
        found = await consumer.offsets_for_times(dict.fromkeys(ends, start.ms))
        return {p: ends[p] if found.get(p) is None else found[p].offset for p in ends}
    if isinstance(start, int):
        return {p: min(max(start, begins[p]), ends[p]) for p in ends}
    return begins if start == "start" else ends


def read_topic(config: Config, topic: str, start: Start) -> Iterator[list[Message]]:
    """What ``topic`` holds from ``start`` on, for code without an event loop. Raises ConfigError."""
    with asyncio.Runner() as runner:
        opened = reading(config, topic, start)
        reader = runner.run(opened.__aenter__())
        try:
            while (messages := runner.run(reader.rest())) is not None:
                yield messages
        finally:
            runner.run(opened.__aexit__(None, None, None))
