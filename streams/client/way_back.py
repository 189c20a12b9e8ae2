"""The record that brings a dead letter back to where it came from, if the worker there would take it."""

from typing import NamedTuple

from divrec.config import Config
from divrec.data.decode import own_decoder
from divrec.errors import EventError
from divrec.events import Event, Review, unpack_vector
from streams.client.dead_letters import Letter
from streams.codec import DETAIL, REASON, Message, Record, value_of
from streams.encode import Encoding
from streams.ingest import Ingest
from streams.topics import Topics, partition_of


class Return(NamedTuple):
    """``state``: of an item, the record for ``catalog`` that it would become."""

    record: Record
    state: Record | None = None


class WayBack:
    """Decodes as the workers do: what would only come back as a dead letter is not sent."""

    def __init__(self, config: Config) -> None:
        self._topics = Topics(config)
        self._partitions = config.kafka.partitions
        self._ingest, self._encoding = Ingest(config), Encoding(config, "")
        self._event = own_decoder(Event, config.feedback)

    def takes(self, topic: str) -> bool:
        """Whether ``topic`` is one that workers read: a letter may name any."""
        return topic == self._topics.events or topic in self._ingest.topics or topic in self._encoding.topics

    def of(self, letter: Letter, value: bytes | None) -> Return:
        """The record of ``letter`` with ``value``. Raises EventError with the reason for which it would come back."""
        message = letter.original(letter.topic, value)
        if letter.topic == self._topics.events:
            return self._to_events(message)
        if letter.topic in self._ingest.topics:
            made = self._ingest.records(message)
        else:
            made = self._encoding.work(message).records(None)
        if made[0].topic == self._topics.dead_letters:
            told = dict(made[0].headers)
            raise EventError(told[REASON].decode(), told[DETAIL].decode())
        state = made[0] if letter.topic == self._encoding.items else None
        return Return(Record(message.topic, None, message.key, value, message.headers), state)

    def _to_events(self, message: Message) -> Return:
        event = self._event(value_of(message))
        if isinstance(event, Review) and event.vector is not None and event.model is not None:
            unpack_vector(event.vector, len(event.vector) // 2)
        partition = partition_of(event.user_id, self._partitions)
        return Return(Record(message.topic, partition, event.user_id.encode(), message.value, message.headers))
