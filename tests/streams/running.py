"""Workers as processes, and topics read to their end."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from divrec.config import Config
from streams.codec import Message, Record, send_all
from streams.health.ready import is_ready
from streams.kafka.log_reader import make_consumer, partitions_of, polled
from streams.kafka.wiring import make_producer
from streams.topics import create_topics

RUN = "import json, sys; from divrec.config import Config; from {module} import run; "
RUN += "sys.exit(run(Config(**json.loads(sys.argv[1]))))"


class Worker:
    """``run(config)`` of a module in a process of its own; ``lines`` is what it logged so far."""

    def __init__(self, config: Config, module: str, script: str = RUN) -> None:
        values = json.loads(config.model_dump_json(exclude={"redis"}))
        self.config, self.name = config, module.rpartition(".")[2]
        self.process = subprocess.Popen(
            [sys.executable, "-c", script.format(module=module), json.dumps(values)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"DIVREC_REDIS__URL": config.redis.url.get_secret_value()},
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    @property
    def ready(self) -> bool:
        return is_ready(self.config, self.name, self.process.pid)

    def said(self, text: str) -> bool:
        return any(text in line for line in list(self.lines))

    def wait_until(self, condition: Callable[[], bool], timeout: float = 40.0) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert self.process.poll() is None, "".join(self.lines)
            assert time.monotonic() < deadline, "".join(self.lines)
            time.sleep(0.02)

    def end(self, timeout: float = 12.0) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.exit_code(timeout)

    def exit_code(self, timeout: float = 30.0) -> int:
        code = self.process.wait(timeout)
        self._reader.join()
        return code

    def kill(self) -> None:
        self.process.kill()
        self.exit_code()


@contextmanager
def worker(config: Config, module: str, script: str = RUN, ready: bool = True) -> Iterator[Worker]:
    running = Worker(config, module, script)
    try:
        if ready:
            running.wait_until(lambda: running.ready)
        yield running
    finally:
        running.kill()


def prepared(config: Config) -> Config:
    """``config``, when its topics are there."""
    asyncio.run(create_topics(config))
    return config


@asynccontextmanager
async def producing(config: Config) -> AsyncIterator[AIOKafkaProducer]:
    producer = make_producer(config)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def send(config: Config, records: Sequence[Record]) -> None:
    async def sending() -> None:
        async with producing(config) as producer:
            await send_all(producer, records)

    asyncio.run(sending())


def read(config: Config, topic: str, enough: Callable[[list[Message]], bool], timeout: float = 30.0) -> list[Message]:
    """The messages of ``topic`` from the start, as soon as there are ``enough``."""

    async def reading() -> list[Message]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=config.kafka.brokers, auto_offset_reset="earliest", fetch_max_wait_ms=50
        )
        try:
            await consumer.start()
            await consumer._client.force_metadata_update()
            known = (await consumer._client.fetch_all_metadata()).partitions_for_topic(topic)
            consumer.assign([TopicPartition(topic, partition) for partition in known])
            messages: list[Message] = []
            deadline = time.monotonic() + timeout
            while not enough(messages):
                assert time.monotonic() < deadline, f"{topic}: {len(messages)} messages"
                for tp, records in (await consumer.getmany(timeout_ms=50)).items():
                    messages += [
                        Message(topic, tp.partition, r.offset, r.timestamp, r.key, r.value, r.headers) for r in records
                    ]
            return messages
        finally:
            await consumer.stop()

    return asyncio.run(reading())


def read_all(config: Config, *topics: str) -> dict[str, list[Message]]:
    """All messages of ``topics`` up to their present ends, in order per partition."""

    async def reading() -> dict[str, list[Message]]:
        consumer = make_consumer(config)
        found: dict[str, list[Message]] = {topic: [] for topic in topics}
        try:
            await consumer.start()
            partitions = await partitions_of(consumer, topics)
            first, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
            consumer.assign(partitions)
            for tp in partitions:
                consumer.seek(tp, first[tp])
            while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
                for message in await polled(consumer):
                    found[message.topic].append(message)
        finally:
            await consumer.stop()
        return found

    return asyncio.run(reading())


def body(message: Message) -> Any:
    assert message.value is not None
    return json.loads(message.value)


def headers(message: Message) -> dict[str, str]:
    return {name: value.decode() for name, value in message.headers}
