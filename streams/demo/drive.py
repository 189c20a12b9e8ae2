"""The application of the demo: sends clicks and reviews, reads recommendations, and keeps its users in step."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator

from aiokafka import AIOKafkaProducer

from divrec.errors import DivrecError
from divrec.events import Click, Event, Recommendation
from streams.codec import Message, Record, decode_recommendation, now_ms, send_all
from streams.demo.excerpt import Excerpt
from streams.demo.measure import Measures
from streams.kafka.reading import Reader
from streams.kafka.sending import Inputs

IN_FLIGHT = 256
"""Clicks that may be without their recommendation."""
WAITING = 4_000
"""Events read ahead of one that waits for its user: so far the order of the log is loosened."""
LOST_S = 15.0
"""A recommendation that takes longer is not waited for."""
STALL_S = 45.0
"""No recommendation at all for so long: something is broken."""
CHUNK = 500


class Stalled(DivrecError):
    """No recommendation comes any more."""


class Drive:
    """Sends ``excerpt`` in the order of its time.

    A user's next click waits for the slate that their last one makes, so that a hit rate means something: in an
    application users see a slate before they act on it. Users do not wait for each other.
    """

    def __init__(
        self, producer: AIOKafkaProducer, reader: Reader, inputs: Inputs, excerpt: Excerpt, measures: Measures
    ) -> None:
        self._producer, self._reader, self._inputs = producer, reader, inputs
        self._events: Iterator[Event] = iter(excerpt.events)
        self.measures = measures
        self.latest: Recommendation | None = None
        self.unanswered = 0
        """Clicks and reviews whose recommendation did not come in time."""
        self._queues: defaultdict[str, deque[Event]] = defaultdict(deque)
        self._queued = 0
        self._sent_at: dict[str, tuple[int, str, bool]] = {}
        self._busy: set[str] = set()
        """Users with a click that has no recommendation yet."""
        self._offsets: dict[tuple[str, int], int] = {}
        self._heard = time.monotonic()

    async def run(self, turn: Callable[[], None]) -> None:
        """Until everything is sent and answered. ``turn`` is called often. Raises Stalled."""
        self._heard = time.monotonic()
        exhausted = False
        while not exhausted or self._queued or self._sent_at:
            batch: list[Event] = []
            exhausted = self._collect(batch)
            await self._send(batch)
            for message in await self._reader.read(0.002 if batch else 0.05):
                self._receive(message)
            self._give_up()
            turn()

    def _collect(self, batch: list[Event]) -> bool:
        """Move what may be sent into ``batch``; whether the log is at its end."""
        for user in [user for user in self._queues if user not in self._busy]:
            queue = self._queues[user]
            while queue and user not in self._busy and len(self._busy) < IN_FLIGHT:
                self._queued -= 1
                self._note(queue.popleft(), batch)
            if not queue:
                del self._queues[user]
        while self._queued < WAITING and len(batch) < CHUNK and len(self._busy) < IN_FLIGHT:
            event = next(self._events, None)
            if event is None:
                return True
            if event.user_id in self._queues or event.user_id in self._busy:
                self._queues[event.user_id].append(event)
                self._queued += 1
            else:
                self._note(event, batch)
        return False

    def _note(self, event: Event, batch: list[Event]) -> None:
        if isinstance(event, Click):
            self._busy.add(event.user_id)
            self.measures.rated(event)
        self._sent_at[event.event_id or ""] = (now_ms(), event.user_id, isinstance(event, Click))
        batch.append(event)

    async def _send(self, batch: list[Event]) -> None:
        if not batch:
            return
        now = now_ms()
        records: list[Record] = []
        for event in batch:
            _, user, click = self._sent_at[event.event_id or ""]
            self._sent_at[event.event_id or ""] = (now, user, click)
            records.append(self._inputs.record(event, timestamp=now))
        await send_all(self._producer, records)
        self.measures.sent.add(len(batch))

    def _receive(self, message: Message) -> None:
        slate = decode_recommendation(message.value or b"")
        trigger = slate.trigger
        lane = (slate.user_id, trigger.partition)
        if trigger.offset <= self._offsets.get(lane, -1):
            return  # a repeat, by its id
        self._offsets[lane] = trigger.offset
        self._heard = time.monotonic()
        self.latest = slate
        self.measures.received.add(1)
        self.measures.slate(slate)
        answered = self._sent_at.pop(trigger.event_id or "", None)
        if answered is not None:
            at, user, click = answered
            if click:
                self.measures.delayed(time.time() * 1_000 - at)
                self._busy.discard(user)

    def _give_up(self) -> None:
        now = time.monotonic()
        if self._sent_at and now - self._heard > STALL_S:
            raise Stalled(f"no recommendation came for {STALL_S:g} s, {len(self._sent_at):,} are missing")
        too_old = now_ms() - 1_000 * LOST_S
        while self._sent_at:
            event_id, (at, user, click) = next(iter(self._sent_at.items()))
            if at > too_old:
                break
            del self._sent_at[event_id]
            self.unanswered += 1
            if click:
                self._busy.discard(user)


async def answer(reader: Reader, matches: Callable[[Recommendation], bool], timeout_s: float) -> Recommendation:
    """The next recommendation that ``matches``. Raises Stalled."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while loop.time() < deadline:
        for message in await reader.read(0.05):
            slate = decode_recommendation(message.value or b"")
            if matches(slate):
                return slate
    raise Stalled(f"a recommendation that was asked for did not come within {timeout_s:g} s")
