"""A producer for code that waits for files and terminals, not for an event loop: Ctrl-C ends it at any moment."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from aiokafka.errors import KafkaError

from divrec.config import Config
from divrec.errors import ConfigError, DivrecError
from divrec.events import Click, Event, Item, Request, Review
from streams.codec import Header, Record, encode, send_all
from streams.kafka.wiring import make_producer
from streams.topics import Topics, check_topics


class SendError(DivrecError):
    """The broker does not take what was sent."""


class Sender:
    """Sends records and waits for their acknowledgement, as a context manager. Raises ConfigError if topics lack."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._runner.__enter__()
        try:
            self._runner.run(self._start())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._runner.run(self._producer.stop())
        finally:
            self._runner.__exit__(kind, error, at)

    async def _start(self) -> None:
        await check_topics(self._config)
        self._producer = make_producer(self._config)
        await self._producer.start()

    def send(self, records: Sequence[Record]) -> None:
        """Returns when all are acknowledged; waits for a broker that is away. Raises SendError."""
        try:
            self._runner.run(send_all(self._producer, records))
        except KafkaError as error:
            raise SendError(f"Kafka: expected it to take the events, got {type(error).__name__}: {error}") from error

    def pause(self, seconds: float) -> None:
        self._runner.run(asyncio.sleep(seconds))


class Inputs:
    """Makes records of the input topics from events of our own shape.

    Raises ConfigError if one of ``kinds`` has a mapping: its topic carries another shape.
    """

    def __init__(self, config: Config, kinds: Sequence[str] = ("items", "clicks", "reviews", "requests")) -> None:
        for kind in kinds:
            if getattr(config.topics, kind).map:
                raise ConfigError(
                    f"topics.{kind}.map: the topic carries another shape than the events that would be sent: expected "
                    f"no mapping; name another topic (topics.{kind}.name) or send your own lines to it"
                )
        topics = Topics(config)
        self._topic: dict[type, str] = {
            Item: topics.items,
            Click: topics.clicks,
            Review: topics.reviews,
            Request: topics.requests,
        }

    def record(self, event: Event | Item, headers: Sequence[Header] = (), timestamp: int | None = None) -> Record:
        key = event.item_id if isinstance(event, Item) else event.user_id
        return Record(self._topic[type(event)], None, key.encode(), encode(event), headers, timestamp)
