"""Work that may wait for the text model, without holding up work that need not, in order per key."""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from streams.codec import Message, Record

log = logging.getLogger(__name__)

CHUNK_TEXTS = 64
CHUNK_CHARACTERS = 16_000
"""Texts encoded at once: what arrives waits no longer than for these (a second or two), and so does a rebalance."""
_LONGEST = 1_000
"""Characters of a text that count: the model cuts longer ones."""

T = TypeVar("T")
Vector = NDArray[np.float32]


class VectorSource(Protocol):
    """An encoder that knows some vectors already (``divrec.text.cache.CachedEncoder``)."""

    def encode(self, texts: Sequence[str]) -> Vector: ...
    def lookup(self, texts: Sequence[str]) -> list[Vector | None]: ...


@dataclass(slots=True, eq=False)
class Work:
    """One message and what comes of it.

    ``key``: works of one key are sent in the order they came in; None: in any order. ``text``: what the model must
    read first; None: nothing. ``records`` makes what is sent from the vector, ``refused`` if the model refused.
    """

    message: Message
    key: str | None
    text: str | None
    records: Callable[[Vector | None], list[Record]]
    refused: Callable[[Exception], list[Record]]
    vector: Vector | None = None
    error: Exception | None = None

    @property
    def waits(self) -> bool:
        return self.text is not None and self.vector is None and self.error is None

    def output(self) -> list[Record]:
        return self.records(self.vector) if self.error is None else self.refused(self.error)


class Backlog:
    """Sends works whose vector is known or not needed at once, the others when the model has read them.

    The others wait in one line, with every later work of the same key, and are sent in the order they came in,
    although the encoder sorts texts by length. While ``limit`` works from one topic wait, ``add`` waits too, so that
    reviews never keep items out. ``send`` returns when everything is acknowledged, then ``done`` is called. ``models``
    and ``lookups`` are where the encoder runs: one thread each, so that a look-up never waits for the model.
    """

    def __init__(
        self,
        encoder: VectorSource,
        send: Callable[[list[Record]], Awaitable[None]],
        done: Callable[[Sequence[Message]], None],
        limit: int,
        models: Executor,
        lookups: Executor,
    ) -> None:
        self._encoder, self._send, self._done, self._limit = encoder, send, done, limit
        self._models, self._lookups = models, lookups
        self._line: deque[Work] = deque()
        self._keys: Counter[str] = Counter()
        self._topics: Counter[str] = Counter()
        self._grown, self._shrunk = asyncio.Event(), asyncio.Event()
        self._sending = asyncio.Lock()
        self._turn = 0

    def __len__(self) -> int:
        return len(self._line)

    def pending(self, topic: str) -> int:
        """Works of ``topic`` that wait in line."""
        return self._topics[topic]

    async def add(self, topic: str, works: Sequence[Work]) -> None:
        """Take ``works`` of ``topic`` over; returns when there is room for more of it.

        Not to be called again for a topic before it has returned. A key belongs to one topic.
        """
        turn = self._turn
        await self._look_up(works)
        ready: list[Work] = []
        waiting: list[Work] = []
        held: set[str | None] = set()
        for work in works:
            if work.waits or (work.key is not None and (work.key in self._keys or work.key in held)):
                waiting.append(work)
                held.add(work.key)
            else:
                ready.append(work)
        # First out, then in line: a work that waits must not overtake an earlier one of its key.
        if not await self._finish(ready, turn) or not waiting:
            return
        self._line.extend(waiting)
        self._keys.update(work.key for work in waiting if work.key is not None)
        self._topics[topic] += len(waiting)
        self._grown.set()
        while self._topics[topic] >= self._limit and self._turn == turn:
            self._shrunk.clear()
            await self._shrunk.wait()

    async def run(self) -> None:
        """Encode what waits, until cancelled. Raises what the model raises if it refuses every text."""
        while True:
            while not self._line:
                self._grown.clear()
                await self._grown.wait()
            chunk, turn = self._chunk(), self._turn
            await self.encode([work for work in chunk if work.waits])
            await self._finish(chunk, turn, in_line=True)

    async def release(self) -> None:
        """Forget what waits, once nothing is being sent: from now on ``done`` is not called for it."""
        async with self._sending:
            self._turn += 1
            self._line.clear()
            self._keys.clear()
            self._topics.clear()
            self._shrunk.set()

    def _chunk(self) -> list[Work]:
        chunk: list[Work] = []
        texts = characters = 0
        for work in self._line:
            if work.waits:
                texts += 1
                characters += min(len(work.text or ""), _LONGEST)
                if chunk and (texts > CHUNK_TEXTS or characters > CHUNK_CHARACTERS):
                    break
            chunk.append(work)
        return chunk

    async def _finish(self, works: Sequence[Work], turn: int, in_line: bool = False) -> bool:
        """Send, and say done; False if the works were released meanwhile."""
        async with self._sending:
            if self._turn != turn:
                return False
            if works:
                await self._send([record for work in works for record in work.output()])
                self._done([work.message for work in works])
            if in_line:
                self._leave_line(len(works))
        return True

    def _leave_line(self, count: int) -> None:
        for _ in range(count):
            work = self._line.popleft()
            self._topics[work.message.topic] -= 1
            key = work.key
            if key is not None:
                self._keys[key] -= 1
                if not self._keys[key]:
                    del self._keys[key]
        self._shrunk.set()

    async def _look_up(self, works: Sequence[Work]) -> None:
        asked = [work for work in works if work.waits]
        if asked:
            vectors = await self._in(self._lookups, self._encoder.lookup, asked)
            for work, vector in zip(asked, vectors, strict=True):
                work.vector = vector

    async def encode(self, works: Sequence[Work]) -> None:
        """Give each work its vector, or the error that its text alone causes. Raises what the model raises if it
        refuses every text."""
        if not works:
            return
        try:
            vectors = await self._in(self._models, self._encoder.encode, works)
            for work, vector in zip(works, vectors, strict=True):
                work.vector = vector
        except Exception as error:
            if len(works) > 1:
                for work in works:
                    await self.encode([work])
                return
            await self._in(self._models, self._encoder.encode, [_probe(works[0])])  # is it the text, or the model?
            log.warning("the text model refused a text (%s)", type(error).__name__)
            works[0].error = error

    async def _in(self, executor: Executor, call: Callable[[list[str]], T], works: Sequence[Work]) -> T:
        texts = [work.text or "" for work in works]
        return await asyncio.get_running_loop().run_in_executor(executor, call, texts)


def _probe(work: Work) -> Work:
    """A text that no cache knows."""
    return replace(work, text=f"probe {time.time_ns()}")
