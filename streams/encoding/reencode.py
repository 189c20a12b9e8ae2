"""What makes a new text model the one in use: every item of the catalogue gets its vector, then a marker says so.

This is done by the encode worker that owns the first partition of ``items``, whenever it is given it, behind all that
is live. What is to be done stands in ``catalog`` and ``item-vectors`` and nowhere else, so it may end at any point and
be begun again by another worker.

No newer vector is lost: the live path writes the record of an item before its vector, and every vector says of which
text it was made. If an item changes while its old text is being encoded, the old vector may be written over the new
one; then it does not fit the record, which is found before the marker is written.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from aiokafka.errors import KafkaError

from divrec.config import Config
from divrec.events import ModelReady
from streams.batches import fail
from streams.codec import Message, Record, encode, now_ms
from streams.encoding.backlog import Backlog, Vector, Work
from streams.encoding.ledger import Ledger, text_hash, text_of, vector_record
from streams.kafka.log_reader import Followed, followed
from streams.topics import Topics

log = logging.getLogger(__name__)

CHUNK_TEXTS = 32
"""Encoded at once: what is live waits no longer than for these."""
PATIENCE_S = 5.0
"""A chunk waits until nothing live waits, but no longer: a backlog of days would keep the old model for days."""
SETTLE_S = 0.2
"""The vector of an item follows its record within this time, mostly."""
RETIRE_AFTER_S = 60.0
"""For so long after the marker the vectors of other models stay: every replica has changed over by then."""
RETRY_S = 5.0
REPORT_S = 60.0
_TURN = 50
"""Records read before other tasks of the event loop get their turn."""
_SENT_AT_ONCE = 500


class Reencoding:
    """``start`` begins it in the background, ``stop`` ends it. ``send`` returns when everything is acknowledged."""

    def __init__(
        self, config: Config, model: str, backlog: Backlog, send: Callable[[list[Record]], Awaitable[None]]
    ) -> None:
        self._config, self._model, self._backlog, self._send = config, model, backlog, send
        self._topics = Topics(config)
        self._ledger = Ledger(model)
        self._refused: set[bytes | None] = set()
        """Hashes of texts that the model refused."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._unfailing())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _unfailing(self) -> None:
        try:
            while True:
                try:
                    return await self.run()
                except KafkaError as error:
                    log.warning("model %s: reading the catalogue failed (%s), again", self._model, type(error).__name__)
                    await asyncio.sleep(RETRY_S)
        except Exception as error:
            fail(f"encoding the catalogue raised {type(error).__name__}")

    async def run(self) -> None:
        """Encode what lacks a vector, write the marker if another model's is newer, delete what others left."""
        self._ledger = ledger = Ledger(self._model)
        async with (
            followed(self._config, self._topics.item_vectors) as vectors,
            followed(self._config, self._topics.catalog) as catalog,
        ):
            while lacking := await self._lacking(vectors, catalog):
                log.info("model %s: %d of %d items lack their vector", self._model, len(lacking), len(ledger.texts))
                await self._encode(lacking, catalog)
            partitions = len(vectors.partitions)
            model, ts = ledger.markers.newest(partitions)
            if model != self._model:
                ts = max(now_ms(), ts + 1)
                await self._mark(partitions, ts)
            await self._retire(vectors, ts)
        self._ledger = Ledger(self._model)  # it is large

    async def _lacking(self, vectors: Followed, catalog: Followed) -> set[str]:
        """Items without the right vector as of now. What was still on its way at the first look is not missing."""
        ledger = self._ledger
        await self._take(vectors, ledger.take_vector)
        await self._take(catalog, ledger.take_item)  # after the vectors: so it knows the text of each of them
        lacking = {item for item, text in ledger.texts.items() if ledger.lacks(item) and text not in self._refused}
        if lacking:
            await asyncio.sleep(SETTLE_S)
            await self._take(vectors, ledger.take_vector)
        return {item for item in lacking if ledger.lacks(item)}

    async def _take(self, topic: Followed, take: Callable[[Message], None]) -> None:
        async for messages in topic.news():
            await _each(messages, take)

    async def _encode(self, lacking: set[str], catalog: Followed) -> None:
        """Give items the vectors of their present texts, and delete those of items that have none."""
        total, report_at = len(lacking), time.monotonic() + REPORT_S
        chunk: dict[str, Work] = {}

        def choose(message: Message) -> None:
            item_id, text = text_of(message)
            if item_id in lacking and self._is_present(item_id, text):
                lacking.discard(item_id)
                chunk[item_id] = self._work(message, item_id, text)

        async with followed(self._config, self._topics.catalog) as again:
            async for messages in again.news():
                for at in range(0, len(messages), CHUNK_TEXTS):
                    await _each(messages[at : at + CHUNK_TEXTS], choose)
                    if len(chunk) >= CHUNK_TEXTS:
                        await self._put(chunk, catalog)
                        chunk.clear()
                if time.monotonic() > report_at:
                    log.info("model %s: %d of %d items encoded", self._model, total - len(lacking), total)
                    report_at += REPORT_S
            await self._put(chunk, catalog)

    def _is_present(self, item_id: str, text: str | None) -> bool:
        return self._ledger.texts.get(item_id) == (None if text is None else text_hash(text))

    def _work(self, message: Message, item_id: str, text: str | None) -> Work:
        def records(vector: Vector | None) -> list[Record]:
            return [vector_record(self._topics.item_vectors, self._model, item_id, text, vector)]

        def refused(_: Exception) -> list[Record]:
            self._refused.add(text_hash(text or ""))
            return []

        return Work(message, None, text, records, refused)

    async def _put(self, chunk: dict[str, Work], catalog: Followed) -> None:
        patient_until = time.monotonic() + PATIENCE_S
        while len(self._backlog) and time.monotonic() < patient_until:
            await asyncio.sleep(0.02)
        await self._backlog.encode([work for work in chunk.values() if work.waits])
        await _each(await catalog.glance(), self._ledger.take_item)
        present = [work for item_id, work in chunk.items() if self._is_present(item_id, work.text)]
        await self._send([record for work in present for record in work.output()])

    async def _mark(self, partitions: int, ts: int) -> None:
        items = len(self._ledger.made_of)
        value = encode(ModelReady(model=self._model, items=items, ts=ts))
        key = f"{self._model}|".encode()
        await self._send([Record(self._topics.item_vectors, p, key, value) for p in range(partitions)])
        log.info("model %s: the catalogue is encoded, %d items", self._model, items)

    async def _retire(self, vectors: Followed, ts: int) -> None:
        """Delete what is there of other models, once it is no longer used."""
        if not self._ledger.others:
            return
        await asyncio.sleep(min(RETIRE_AFTER_S, max(0.0, RETIRE_AFTER_S - (now_ms() - ts) / 1_000)))
        await self._take(vectors, self._ledger.take_vector)
        if self._ledger.markers.newest(len(vectors.partitions)) != (self._model, ts):
            return  # another worker has made another model the newest
        gone = [Record(self._topics.item_vectors, p, key, None) for p, key in self._ledger.others]
        for at in range(0, len(gone), _SENT_AT_ONCE):
            await self._send(gone[at : at + _SENT_AT_ONCE])
        log.info("model %s: %d records of other models deleted", self._model, len(gone))


async def _each(messages: Sequence[Message], take: Callable[[Message], None]) -> None:
    for at in range(0, len(messages), _TURN):
        for message in messages[at : at + _TURN]:
            with suppress(ValueError, RecursionError):  # not ours: a replica logs it
                take(message)
        await asyncio.sleep(0)
