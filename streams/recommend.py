"""The recommend worker: events in; profiles, deltas and recommendations out, each effect once.

A batch goes through its steps in this order, because a profile that holds an offset says that the delta and the
recommendation of that event are out:

    decode → load profiles → observe and recommend → send outputs, acknowledged → save profiles → acknowledge the batch
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from divrec.config import Config
from divrec.errors import EventError, StoreError, StoreUnavailable
from divrec.profile import Profile, decode_profile, encode_profile
from divrec.state.redis import RedisStore
from divrec.state.store import NOTHING, Advance, Loaded, Store, Write
from divrec.warm_up import warm_up
from streams.batches import Acks, fail, intake
from streams.codec import Message, Record, dead_letter, decode_event, event_id, event_time, send_all, value_of
from streams.computation import STAGE, Arrived, Computation, Outcome
from streams.log_reader import read_range, span_of
from streams.replica import Replica
from streams.topics import Topics, partition_of
from streams.worker import Worker, run_worker

log = logging.getLogger(__name__)

T = TypeVar("T")


class Interrupted(Exception):
    """Partitions are being taken away while the batch waits: their next owner takes it."""


class Recommend:
    """Takes batches of ``events`` through the steps."""

    def __init__(self, worker: Worker, replica: Replica, store: Store) -> None:
        self._config = worker.config
        self._topics = Topics(worker.config)
        self._producer = worker.producer
        self._computation = Computation(worker.config, replica.engine)
        self._store = store
        self._profiles: OrderedDict[str, Profile] = OrderedDict()
        self._watermarks: dict[int, int] = {}
        """Where the store stood last, for the partitions that this worker has begun."""
        self._begins: dict[int, int] = {}
        """Where the log of a partition begins, if it no longer reaches back to what the store has forgotten."""
        self._waiting = False
        self._interrupted = False
        self.acks: Acks = intake(worker.app, [self._topics.events], self._take, worker.config.worker.batch)

    async def _take(self, messages: list[Message]) -> None:
        """One batch from Kafka, acknowledged when it is done."""
        self._interrupted = False
        try:
            await self._process(messages, publish=True)
        except Interrupted:
            log.info("the batch is given up: partitions go")
            return
        self.acks.done(messages)
        while len(self._profiles) > self._config.worker.cached_profiles:
            self._profiles.popitem(last=False)

    async def _process(self, messages: Sequence[Message], *, publish: bool) -> None:
        """Return when all effects of ``messages`` are durable. Their offsets rise within each partition."""
        arrived, unsent = self._decoded(messages)
        ends = {message.partition: message.offset for message in messages}
        while True:
            loaded = await self._load(arrived, {m.partition: m.offset for m in reversed(messages)})
            outcome = self._computation.outcome(arrived, self._profiles, publish=publish)
            await send_all(self._producer, [*unsent, *outcome.records])
            unsent = []
            if await self._save(outcome, loaded, ends):
                return

    def _decoded(self, messages: Sequence[Message]) -> tuple[list[Arrived], list[Record]]:
        """The events, and dead letters for what is none."""
        arrived, dead = [], []
        for message in messages:
            try:
                event = decode_event(value_of(message))
                self._check_partition(event.user_id, message)
            except (EventError, ValueError, RecursionError) as error:
                reason = error.reason if isinstance(error, EventError) else "invalid"
                dead.append(dead_letter(self._topics.dead_letters, message, reason, str(error), STAGE))
            else:
                event.ts = event_time(event.ts, message)
                arrived.append(Arrived(message, event, event_id(event.event_id, message)))
        return arrived, dead

    def _check_partition(self, user_id: str, message: Message) -> None:
        known = self._profiles.get(user_id)
        if known is not None and known.partition == message.partition:
            return
        expected = partition_of(user_id, self._config.kafka.partitions)
        if message.partition != expected:
            raise EventError(
                "wrong-partition",
                f"expected partition {expected} for this user, got {message.partition}: let only ingest and encode "
                f"write to {self._topics.events}",
            )

    async def _load(self, arrived: Sequence[Arrived], firsts: dict[int, int]) -> Loaded:
        """Have the profiles of all users in the cache, at least as new as the watermarks, in one round trip.

        A watermark that stands before the batch means that the store has forgotten what Kafka counts as done, or is
        new: the events in between are read again, without publishing, for their recommendations are out.
        """
        while True:
            users = {one.event.user_id: one.message.partition for one in arrived}
            missing = [user_id for user_id in users if user_id not in self._profiles]
            loaded = await self._reached(partial(self._store.load, missing, list(firsts)))
            complete = True
            for partition, first in firsts.items():
                mark, known = loaded.watermarks[partition], self._watermarks.get(partition)
                if known is None or mark > known:
                    await self._check_mark(partition, mark, first)
                elif mark < known:
                    log.warning("partition %d: the store went back from %d to %d", partition, known, mark)
                    self.forget([partition])
                    complete = False
                self._watermarks[partition] = mark
                if max(mark + 1, self._begins.get(partition, 0)) < first:
                    await self._read_again(partition, mark + 1, first)
                    complete = False
            if complete:
                for user_id, data in loaded.profiles.items():
                    self._keep(decode_profile(data, users[user_id]))
                return loaded

    async def _check_mark(self, partition: int, mark: int, first: int) -> None:
        if mark < first:
            return
        _, end = await span_of(self._config, self._topics.events, partition)
        if mark >= end:
            raise StoreError(
                f"watermark of partition {partition}: expected one before the end of {self._topics.events} at {end}, "
                f"got {mark}: the store belongs to another log; start a new generation"
            )

    async def _read_again(self, partition: int, start: int, end: int) -> None:
        begins, _ = await span_of(self._config, self._topics.events, partition)
        if begins > start:
            log.error("partition %d: events %d to %d are no longer in the log: lost", partition, start, begins - 1)
            self._begins[partition] = begins
        log.warning("partition %d: reading events %d to %d again, publishing nothing", partition, start, end - 1)
        outer, self._waiting = self._waiting, True
        try:
            async for messages in read_range(self._config, self._topics.events, partition, max(start, begins), end):
                for at in range(0, len(messages), self._config.worker.batch):
                    self._check_interrupted()
                    await self._process(messages[at : at + self._config.worker.batch], publish=False)
        finally:
            self._waiting = outer

    def _keep(self, profile: Profile) -> None:
        self._profiles[profile.user_id] = profile
        self._profiles.move_to_end(profile.user_id)

    async def _save(self, outcome: Outcome, loaded: Loaded, ends: dict[int, int]) -> bool:
        """Write profiles and slates, in one round trip. False: look again, skip what is applied, observe the rest."""
        writes = [
            Write(
                user_id,
                self._profiles[user_id].offset if user_id in self._profiles else NOTHING,
                profile.offset,
                encode_profile(profile),
                outcome.slates.get(user_id),
            )
            for user_id, profile in outcome.profiles.items()
        ]
        marks = loaded.watermarks
        advances = {partition: Advance(marks[partition], max(marks[partition], end)) for partition, end in ends.items()}
        saved = await self._reached(partial(self._store.save, writes, advances))
        for user_id, profile in outcome.profiles.items():
            if user_id in saved.conflicts:
                self._profiles.pop(user_id, None)
            else:
                self._keep(profile)
        if saved.advanced:
            self._watermarks.update({partition: advance.offset for partition, advance in advances.items()})
        else:
            log.warning("the store was changed by another worker or went back: %d conflicts", len(saved.conflicts))
        return saved.advanced

    async def _reached(self, call: Callable[[], Awaitable[T]]) -> T:
        """The store's answer; while it is away this waits, and says so."""
        pause, away = 0.1, False
        outer = self._waiting
        try:
            while True:
                try:
                    answer = await call()
                except StoreUnavailable as error:
                    if not away or pause >= 5.0:
                        log.warning("%s; the batch waits", error)
                    away = self._waiting = True
                    self._check_interrupted()
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, 5.0)
                else:
                    if away:
                        log.info("the store answers")
                    return answer
        finally:
            self._waiting = outer

    def _check_interrupted(self) -> None:
        if self._interrupted:
            raise Interrupted

    async def release(self) -> None:
        """Partitions are about to go: a batch that waits is given up, any other is about to be done."""
        if self._waiting:
            self._interrupted = True
            self.acks.abandon()

    def forget(self, partitions: Iterable[int]) -> None:
        """Forget what is known of ``partitions``: another worker may have them."""
        gone = set(partitions)
        for partition in gone:
            self._watermarks.pop(partition, None)
        for user_id in [user_id for user_id, profile in self._profiles.items() if profile.partition in gone]:
            del self._profiles[user_id]


def run(config: Config) -> int:
    """Run the recommend worker until it is told to stop; returns its exit code."""
    return run_worker(config, "recommend", set_up)


async def set_up(worker: Worker) -> None:
    """Be a caught-up replica, then take part."""
    await asyncio.to_thread(warm_up, worker.config)
    replica = Replica(worker.config)
    worker.closers.append(replica.stop)
    await replica.start()
    store = RedisStore(worker.config.redis, f"{worker.config.kafka.prefix}{worker.config.generation}")
    worker.closers.append(store.close)
    recommend = Recommend(worker, replica, store)
    worker.app.releases.append(recommend.release)

    async def follow() -> None:
        try:
            await replica.follow()
        except Exception:
            fail("following the model log")

    async def revoked(_app: Any, revoked: set[Any], **_: Any) -> None:
        recommend.forget(tp.partition for tp in revoked)

    following = asyncio.create_task(follow())

    async def stop_following() -> None:
        following.cancel()
        await asyncio.wait([following])

    worker.closers.append(stop_following)
    worker.app.on_partitions_revoked.connect(revoked, weak=False)
