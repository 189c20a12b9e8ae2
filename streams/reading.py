"""A topic read as an application would: all partitions, no consumer group, nothing committed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from divrec.config import Config
from divrec.errors import ConfigError
from streams.codec import Message
from streams.log_reader import make_consumer, partitions_of, polled

Start = Literal["start", "end"]


class Reader:
    """An open topic. ``read`` gives what has come, in offset order per partition."""

    def __init__(self, consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> None:
        self._consumer = consumer
        self._ends = ends

    async def read(self, wait_s: float = 0.1) -> list[Message]:
        """What is there, or the first to come within ``wait_s``."""
        return await polled(self._consumer, int(1_000 * wait_s))

    async def caught_up(self) -> bool:
        """Whether everything was read that was there when the topic was opened."""
        for partition, end in self._ends.items():
            if await self._consumer.position(partition) < end:
                return False
        return True


@asynccontextmanager
async def reading(config: Config, topic: str, start: Start) -> AsyncIterator[Reader]:
    """``topic`` from its ``start``, or from its present ``end``: then what is produced from now on is read.

    Raises ConfigError if the topic or the broker is not there.
    """
    consumer = make_consumer(config)
    try:
        try:
            await consumer.start()
            partitions = await partitions_of(consumer, [topic])
            if not partitions:
                raise ConfigError(f"topic {topic}: expected it to exist: run `divrec topics create`")
            begins = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
            consumer.assign(partitions)
            for partition in partitions:
                consumer.seek(partition, (begins if start == "start" else ends)[partition])
        except KafkaError as error:
            raise ConfigError(
                f"topic {topic}: expected to read it at {config.kafka.brokers}, got {type(error).__name__}: see what "
                "`divrec topics check` says"
            ) from error
        yield Reader(consumer, {p: end for p, end in ends.items() if end > begins[p]})
    finally:
        await consumer.stop()
