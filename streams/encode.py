"""The encode worker: reviews and items get their vector and their terms.

Reviews become events; items become records of ``catalog`` and ``item-vectors``. Stateless, at least once. BERT runs in
a thread of its own, and what does not need it never waits for it (``Backlog``).
"""

import asyncio
import functools
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NoReturn

from msgspec.structs import replace

from divrec.config import Config
from divrec.data.decode import decoder
from divrec.errors import EventError
from divrec.events import MAX_MESSAGE_BYTES, Item, pack_vector
from divrec.text.cache import CachedEncoder
from divrec.text.content import item_text, review_text
from divrec.text.encoder import load_encoder
from divrec.text.segment import terms
from streams.batches import Acks, fail, intake
from streams.codec import (
    MAX_ID_CHARS,
    Message,
    Record,
    dead_letter,
    encode,
    event_id,
    event_time,
    replay_headers,
    send_all,
    time_header,
    value_of,
)
from streams.encoding.backlog import Backlog, Vector, Work
from streams.encoding.ledger import vector_record
from streams.encoding.reencode import Reencoding
from streams.health.gauges import of_consumer, of_encoder
from streams.health.metrics import Metrics
from streams.leaving import leave
from streams.topics import Topics, partition_of
from streams.worker import Worker, run_worker

log = logging.getLogger(__name__)

STAGE = "encode"


class Encoding:
    """Turns messages of ``reviews`` and ``items`` into works. ``model`` names the vectors."""

    def __init__(self, config: Config, model: str) -> None:
        self._topics = topics = Topics(config)
        self.dead_letters = topics.dead_letters
        self._partitions = config.kafka.partitions
        self._model = model
        self._review = decoder("review", config.topics.reviews.map, config.feedback)
        self._item = decoder("item", config.topics.items.map, config.feedback)
        self._works: dict[str, Callable[[Message], Work]] = {
            topics.reviews: self._of_review,
            topics.items: self._of_item,
        }
        self.topics = tuple(self._works)
        self.items = topics.items

    def work(self, message: Message) -> Work:
        try:
            return self._works[message.topic](message)
        except EventError as error:
            letter = self._refuse(message, error)
            return Work(message, None, None, lambda _: letter, lambda _: letter)

    def _of_review(self, message: Message) -> Work:
        review = self._review(value_of(message))
        known = event_id(review.event_id, message)
        text = review_text(review)
        review = replace(
            review,
            event_id=known,
            ts=event_time(review.ts, message),
            terms=terms(f"{review.title} {review.text}"),
            vector=None,
            model=None,
        )

        def records(vector: Vector | None) -> list[Record]:
            made = review
            if vector is not None:
                made = replace(review, vector=pack_vector(vector), model=self._model)
            value = encode(made)
            if len(value) > MAX_MESSAGE_BYTES:
                return self._refuse(message, _too_large(value), known)
            partition = partition_of(review.user_id, self._partitions)
            headers = replay_headers(message)
            return [Record(self._topics.events, partition, review.user_id.encode(), value, headers)]

        return Work(message, f"u{review.user_id}", text or None, records, lambda e: self._refuse(message, e, known))

    def _of_item(self, message: Message) -> Work:
        if message.value is None:
            return self._withdrawal(message, Item(item_id=_key(message), available=False))
        item = self._item(value_of(message))
        if not item.available:
            return self._withdrawal(message, item)
        item, text = self._completed(item, message), item_text(item)
        return Work(
            message,
            f"i{item.item_id}",
            text or None,
            lambda vector: self._item_records(message, item, text, vector),
            lambda error: self._refuse(message, error, item.event_id),
        )

    def _withdrawal(self, message: Message, item: Item) -> Work:
        """Remembered as an item that is not available: replicas may know it from interactions alone."""
        item = self._completed(item, message)
        records = self._item_records(message, item, None, None)
        return Work(message, f"i{item.item_id}", None, lambda _: records, lambda _: records)

    def _completed(self, item: Item, message: Message) -> Item:
        return replace(
            item,
            event_id=event_id(item.event_id, message),
            ts=event_time(item.ts, message),
            terms=terms(f"{item.title} {item.description}"),
        )

    def _item_records(self, message: Message, item: Item, text: str | None, vector: Vector | None) -> list[Record]:
        value = encode(item)
        if len(value) > MAX_MESSAGE_BYTES:
            return self._refuse(message, _too_large(value), item.event_id)
        return [
            Record(self._topics.catalog, None, item.item_id.encode(), value, (time_header(message),)),
            vector_record(self._topics.item_vectors, self._model, item.item_id, text, vector),
        ]

    def _refuse(self, message: Message, error: Exception, known_id: str | None = None) -> list[Record]:
        if isinstance(error, EventError):
            reason, detail = error.reason, str(error)
        else:
            reason, detail = "encoder", f"the text model refused the text ({type(error).__name__})"
        return [dead_letter(self._topics.dead_letters, message, reason, detail, STAGE, known_id)]


class TimedModel:
    """The encoder, with the time of each chunk measured."""

    def __init__(self, encoder: CachedEncoder, metrics: Metrics) -> None:
        self.lookup = encoder.lookup
        self._encoder, self._metrics = encoder, metrics

    def encode(self, texts: Sequence[str]) -> Vector:
        with self._metrics.timed("model"):
            return self._encoder.encode(texts)


def _key(message: Message) -> str:
    """The item that a message without a value withdraws."""
    try:
        key = (message.key or b"").decode()
    except UnicodeDecodeError:
        key = ""
    if not 0 < len(key) <= MAX_ID_CHARS:
        raise EventError("no-key", "a null withdraws the item named by the key: expected 1 to 256 characters of UTF-8")
    return key


def _too_large(value: bytes) -> EventError:
    return EventError("too-large", f"expected an event of at most {MAX_MESSAGE_BYTES} bytes, got {len(value)}")


def run(config: Config) -> NoReturn:
    """Run the encode worker until it is told to stop, and end the process with its exit code.

    Does not return: torch takes seconds to be taken down, and nothing is left to be done.
    """
    leave(run_worker(config, "encode", set_up))


async def set_up(worker: Worker) -> None:
    """Load the model (EncoderError), then register the agents."""
    config, metrics = worker.config.encoder, worker.metrics
    models = ThreadPoolExecutor(1, "model")
    lookups = ThreadPoolExecutor(1, "vectors")
    loop = asyncio.get_running_loop()
    log.info("loading the text model %s", config.model)
    encoder = await loop.run_in_executor(models, load_encoder, config)
    file = config.cache_dir.expanduser() / f"vectors-{encoder.dimensions}.sqlite"
    cached = CachedEncoder(encoder, file, config.cache_bytes)

    encoding = Encoding(worker.config, cached.name)
    acks: dict[str, Acks] = {}

    def done(messages: Sequence[Message]) -> None:
        for topic, its_acks in acks.items():
            its_acks.done([message for message in messages if message.topic == topic])
        metrics.arrived(STAGE, [message.timestamp for message in messages])

    async def take(topic: str, messages: list[Message]) -> None:
        metrics.taken(messages)
        await backlog.add(topic, [encoding.work(message) for message in messages])

    async def release() -> None:
        await reencoding.stop()
        await backlog.release()
        for its_acks in acks.values():
            its_acks.abandon()

    vector_topic = Topics(worker.config).item_vectors

    async def send(records: list[Record]) -> None:
        vectors = [record for record in records if record.topic == vector_topic]
        with metrics.timed("send"):
            if len(vectors) < len(records):
                await send_all(worker.producer, [record for record in records if record.topic != vector_topic])
            if vectors:  # after the items they belong to: so a vector that is there has its item (``reencode``)
                await send_all(worker.producer, vectors)
        metrics.sent(records, dead_letters=encoding.dead_letters)

    backlog = Backlog(TimedModel(cached, metrics), send, done, config.pending, models, lookups)
    reencoding = Reencoding(worker.config, cached.name, backlog, send)
    size = min(worker.config.worker.batch, config.pending)
    for topic in encoding.topics:  # an agent each: one that must pause does not stop the other
        acks[topic] = intake(worker.app, [topic], functools.partial(take, topic), size)
    worker.app.releases.append(release)

    async def assigned(_app: Any, partitions: set[Any], **_: Any) -> None:
        await reencoding.stop()
        if (encoding.items, 0) in partitions:  # of all encode workers one has it
            reencoding.start()

    worker.app.on_partitions_assigned.connect(assigned, weak=False)
    metrics.watch(lambda: of_consumer(worker.app, acks.values()))
    metrics.watch(lambda: of_encoder(worker.config, encoding.topics, backlog, cached, file))
    running = asyncio.create_task(_unfailing(backlog))

    async def close() -> None:
        await reencoding.stop()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        for executor in (models, lookups):
            await asyncio.to_thread(executor.shutdown, cancel_futures=True)
        cached.close()

    worker.closers.append(close)


async def _unfailing(backlog: Backlog) -> None:
    try:
        await backlog.run()
    except Exception as error:
        fail(f"encoding raised {type(error).__name__}")
