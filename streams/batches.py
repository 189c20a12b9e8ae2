"""The agent loop of all workers: takes what is there in batches and acknowledges it only when it is done.

An exception ends the process at once, with nothing acknowledged: Faust would restart the agent in place behind the
gap, later offsets would move on, and the gap would be lost for ever.
"""

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

from divrec.errors import DivrecError
from streams.codec import Message, now_ms
from streams.kafka.wiring import App
from streams.leaving import EXIT_CRASHED, leave

log = logging.getLogger(__name__)

_PATIENCE = 16
"""Turns of the event loop without a new message after which a batch goes on as it is."""


class Acks:
    """What was taken from Kafka and is not done yet.

    Messages may be done in any order. Faust is told in offset order per partition: acknowledged out of order it can
    commit past a message that is not done (it takes the first offset it hears of for the first there is).
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._open: dict[tuple[str, int], deque[Any]] = {}
        self._done: dict[tuple[str, int], set[int]] = {}
        self.turn = 0
        """Counts the calls of ``abandon``."""

    def __len__(self) -> int:
        """Messages taken and not yet acknowledged."""
        return sum(map(len, self._open.values()))

    def first_open(self) -> dict[tuple[str, int], int]:
        """The lowest offset that is not done, by topic and partition."""
        return {lane: waiting[0].offset for lane, waiting in self._open.items() if waiting}

    def take(self, raw: Any) -> Message:
        """Note a Faust message as taken, in offset order per partition."""
        lane = (raw.topic, raw.partition)
        self._open.setdefault(lane, deque()).append(raw)
        timestamp = int(raw.timestamp * 1000 + 0.5) if raw.timestamp and raw.timestamp > 0 else now_ms()
        return Message(*lane, raw.offset, timestamp, raw.key, raw.value, raw.headers or ())

    def done(self, messages: Sequence[Message]) -> None:
        """Everything that these messages cause is out and acknowledged. What was abandoned is ignored."""
        for message in messages:
            self._done.setdefault((message.topic, message.partition), set()).add(message.offset)
        for lane in {(message.topic, message.partition) for message in messages}:
            waiting, finished = self._open.get(lane), self._done[lane]
            while waiting and waiting[0].offset in finished:
                raw = waiting.popleft()
                finished.discard(raw.offset)
                self._acknowledge(raw)
            if not waiting:
                finished.clear()

    def _acknowledge(self, raw: Any) -> None:
        if raw.generation_id == self._app.consumer_generation_id:
            raw.ack(self._app.consumer)
        else:
            self._app.consumer.unacked.discard(raw)

    def abandon(self) -> None:
        """Forget all that is not done: the partitions go, and their next owner reads it again."""
        for waiting in self._open.values():
            for raw in waiting:
                self._app.consumer.unacked.discard(raw)
        self._open.clear()
        self._done.clear()
        self.turn += 1


def batches(app: App, topics: Sequence[str], process: Callable[[list[Message]], Awaitable[None]], size: int) -> Acks:
    """Give the messages of ``topics`` to ``process``, at most ``size`` at a time, in offset order per partition.

    ``process`` returns when all its outputs are acknowledged; then the messages are. It is never called twice at once,
    and a rebalance or the end of the worker waits for it.
    """

    async def take(batch: list[Message]) -> None:
        await process(batch)
        acks.done(batch)

    acks = intake(app, topics, take, size)
    return acks


def intake(app: App, topics: Sequence[str], take: Callable[[list[Message]], Awaitable[None]], size: int) -> Acks:
    """Like ``batches``, for work that is done later: call ``done`` of what this returns for messages that are.

    While ``take`` waits, nothing more is read. Whoever keeps messages beyond the call must add a function to
    ``app.releases`` that ends the work on them and calls ``Acks.abandon``: a rebalance waits for it.
    """
    acks = Acks(app)
    channel = app.topic(*topics, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    @app.agent(channel, name=f"{app.conf.id}.{topics[0]}")  # type: ignore[untyped-decorator]
    async def agent(stream: Any) -> None:
        stream.enable_acks = False
        try:
            async for event in stream.events():
                turn = acks.turn
                batch = await _fill(app, acks, stream.channel.queue, event.message, size)
                if turn == acks.turn:
                    await take(batch)
        except asyncio.CancelledError:
            if app.should_stop:
                raise
            fail(f"reading {topics[0]} was cancelled")
        except Exception as error:
            fail(f"processing {', '.join(topics)} raised {type(error).__name__}")

    return acks


def fail(what: str) -> NoReturn:
    """End the process because of the exception that is being handled."""
    error = sys.exception()
    if isinstance(error, DivrecError):  # raised on purpose: its message says what to do
        log.critical("%s: %s; the worker ends, nothing is acknowledged", what, error)
    else:
        log.critical("%s: the worker ends, nothing is acknowledged", what, exc_info=True)
    leave(EXIT_CRASHED)


async def _fill(app: App, acks: Acks, queue: Any, first: Any, size: int) -> list[Message]:
    """``first`` and what else is there, without waiting for more.

    To wait for the next message while some are held would be a deadlock in a rebalance.
    """
    batch, turns = [acks.take(first)], 0
    while len(batch) < size and turns < _PATIENCE:
        if queue.empty():
            turns += 1
            await asyncio.sleep(0)
            continue
        turns = 0
        raw = queue.get_nowait().message
        if raw.generation_id != app.consumer_generation_id or not app.flow_control.is_active():
            continue  # from before a rebalance: its owner reads it again
        raw.tracked = True
        app.consumer.track_message(raw)
        batch.append(acks.take(raw))
    return batch
