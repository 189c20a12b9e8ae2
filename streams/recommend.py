"""The recommend worker: events in; profiles, deltas and recommendations out, each effect once.

A batch goes through its steps in this order, because a profile that holds an offset says that the delta and the
recommendation of that event are out:

    decode → load profiles → observe and recommend → send outputs, acknowledged → save profiles → acknowledge the batch

While the effects of one batch are made durable the next one is computed, on the profiles as the first leaves them. It
is written only when the first is done, and computed anew if the first had to be.
"""

import asyncio
import gc
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from divrec.config import Config
from divrec.errors import EventError, StoreError, StoreUnavailable
from divrec.profile import Profile, decode_profile, encode_profile
from divrec.state.redis import RedisStore
from divrec.state.store import NOTHING, Advance, Loaded, Store, Write
from divrec.warm_up import warm_up
from streams.batches import Acks, fail, intake
from streams.codec import Message, Record, dead_letter, decode_event, event_id, event_time, send_all, value_of
from streams.computation import STAGE, Arrived, Computation, Outcome
from streams.log_reader import begin_of, holds, read_range
from streams.replica import Replica
from streams.topics import Topics, partition_of
from streams.worker import Worker, run_worker

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_S = 0.5
"""Between two attempts to reach a store that is away."""


class Interrupted(Exception):
    """Partitions are being taken away while the batch waits: their next owner takes it."""


class Batch(NamedTuple):
    """A computed batch: nothing of it is written yet."""

    messages: Sequence[Message]
    unsent: list[Record]
    """Dead letters of what could not be decoded."""
    outcome: Outcome
    writes: list[Write]


class Recommend:
    """Takes batches of ``events`` through the steps."""

    def __init__(self, worker: Worker, replica: Replica, store: Store) -> None:
        self._config = worker.config
        self._topics = Topics(worker.config)
        self._producer = worker.producer
        self._computation = Computation(worker.config, replica)
        self._store = store
        self._profiles: OrderedDict[str, Profile] = OrderedDict()
        """As the last computed batch leaves them."""
        self._watermarks: dict[int, int] = {}
        """Where the store stood last, for the partitions that this worker has begun."""
        self._taken: dict[int, int] = {}
        """The last offset of each partition that was computed."""
        self._begins: dict[int, int] = {}
        """Where the log of a partition begins, if it no longer reaches back to what the store has forgotten."""
        self._writing: asyncio.Task[bool] | None = None
        self._waits = 0
        """Batches that wait for the store or read events again."""
        self._interrupted = False
        self.acks: Acks = intake(worker.app, [self._topics.events], self._take, worker.config.worker.batch)

    async def _take(self, messages: list[Message]) -> None:
        """One batch from Kafka: it is acknowledged when all its effects are durable, maybe after this returns."""
        try:
            self._interrupted = False
            batch = await self._computed(messages, publish=True, alone=False)
            if await self.settled():
                self._drop(batch)
                batch = await self._computed(messages, publish=True)
        except Interrupted:
            log.info("a batch is given up: partitions go")
            return
        self._writing = asyncio.create_task(self._written(batch))
        while len(self._profiles) > self._config.worker.cached_profiles:
            self._profiles.popitem(last=False)

    async def settled(self) -> bool:
        """Wait until the batch before is durable; whether profiles had to be computed anew for that."""
        writing, self._writing = self._writing, None
        return await writing if writing is not None else False

    async def _written(self, batch: Batch) -> bool:
        try:
            redone = await self._write(batch, publish=True)
            self.acks.done(batch.messages)
        except Interrupted:
            log.info("a batch is given up: partitions go")
            self._drop(batch)
            return True
        except Exception:
            fail("writing a batch")
        return redone

    async def _write(self, batch: Batch, *, publish: bool) -> bool:
        """Make all effects of ``batch`` durable; whether it had to be computed anew."""
        await send_all(self._producer, [*batch.unsent, *batch.outcome.records])
        if await self._save(batch):
            return False
        # Another worker was faster, or the store went back: look again, skip what is applied, observe the rest.
        while True:
            batch = await self._computed(batch.messages, publish=publish)
            await send_all(self._producer, batch.outcome.records)
            if await self._save(batch):
                return True

    async def _computed(self, messages: Sequence[Message], *, publish: bool, alone: bool = True) -> Batch:
        """Everything up to the first write. The offsets of ``messages`` rise within each partition.

        Not ``alone``: the batch before may still be being written.
        """
        arrived, unsent = self._decoded(messages)
        await self._load(arrived, {message.partition: message.offset for message in reversed(messages)}, alone)
        outcome = await self._computation.outcome(arrived, self._profiles, publish=publish)
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
        for profile in outcome.profiles.values():
            self._keep(profile)
        self._taken.update({message.partition: message.offset for message in messages})
        return Batch(messages, unsent, outcome, writes)

    def _drop(self, batch: Batch) -> None:
        """Forget profiles that were not written."""
        for user_id in batch.outcome.profiles:
            self._profiles.pop(user_id, None)

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

    async def _load(self, arrived: Sequence[Arrived], firsts: dict[int, int], alone: bool) -> None:
        """Have the profiles of all users in the cache, at least as new as the watermarks, in one round trip.

        A watermark that stands before the batch means that the store has forgotten what Kafka counts as done, or is
        new: the events in between are read again, without publishing, for their recommendations are out.
        """
        users = {one.event.user_id: one.message.partition for one in arrived}
        while True:
            missing = [user_id for user_id in users if user_id not in self._profiles]
            known = dict(self._watermarks)
            loaded = await self._reached(partial(self._store.load, missing, list(firsts)))
            behind = [partition for partition in firsts if self._behind(partition, loaded, known, firsts)]
            if behind and not alone:
                await self.settled()
                alone = True
            elif behind:
                for partition in behind:
                    await self._close_gap(partition, loaded.watermarks[partition], known, firsts[partition])
            else:
                for partition, mark in loaded.watermarks.items():
                    if partition not in known:
                        await self._check_mark(partition, mark, firsts[partition])
                    self._watermarks[partition] = max(mark, self._watermarks.get(partition, NOTHING))
                for user_id, data in loaded.profiles.items():
                    if user_id not in self._profiles:
                        self._keep(decode_profile(data, users[user_id]))
                return

    def _behind(self, partition: int, loaded: Loaded, known: dict[int, int], firsts: dict[int, int]) -> bool:
        """Whether the store went back, or misses events before the first of the batch."""
        mark = loaded.watermarks[partition]
        done = max(mark, self._taken.get(partition, NOTHING), self._begins.get(partition, 0) - 1)
        return mark < known.get(partition, NOTHING) or done + 1 < firsts[partition]

    async def _close_gap(self, partition: int, mark: int, known: dict[int, int], first: int) -> None:
        if mark < known.get(partition, NOTHING):
            log.warning("partition %d: the store went back from %d to %d", partition, known[partition], mark)
        self.forget([partition])
        self._watermarks[partition] = mark
        if mark + 1 < first:
            await self._read_again(partition, mark + 1, first)

    async def _check_mark(self, partition: int, mark: int, first: int) -> None:
        if mark < first or await holds(self._config, self._topics.events, partition, mark):
            return
        raise StoreError(
            f"watermark of partition {partition}: expected the offset of an event in {self._topics.events}, got {mark}, "
            f"which lies beyond its end: the store belongs to another log; start a new generation"
        )

    async def _read_again(self, partition: int, start: int, end: int) -> None:
        begins = await begin_of(self._config, self._topics.events, partition)
        if begins > start:
            log.error("partition %d: events %d to %d are no longer in the log: lost", partition, start, begins - 1)
            self._begins[partition] = begins
        log.warning("partition %d: reading events %d to %d again, publishing nothing", partition, start, end - 1)
        self._waits += 1
        try:
            async for messages in read_range(self._config, self._topics.events, partition, max(start, begins), end):
                for at in range(0, len(messages), self._config.worker.batch):
                    self._check_interrupted()
                    batch = await self._computed(messages[at : at + self._config.worker.batch], publish=False)
                    await self._write(batch, publish=False)
        finally:
            self._waits -= 1

    def _keep(self, profile: Profile) -> None:
        self._profiles[profile.user_id] = profile
        self._profiles.move_to_end(profile.user_id)

    async def _save(self, batch: Batch) -> bool:
        """Write profiles and slates, in one round trip; whether all were as expected."""
        marks = {message.partition: self._watermarks.get(message.partition, NOTHING) for message in batch.messages}
        ends = {message.partition: message.offset for message in batch.messages}
        advances = {partition: Advance(mark, max(mark, ends[partition])) for partition, mark in marks.items()}
        saved = await self._reached(partial(self._store.save, batch.writes, advances))
        if saved.advanced:
            self._watermarks.update({partition: advance.offset for partition, advance in advances.items()})
            return True
        log.warning("the store was changed by another worker or went back: %d conflicts", len(saved.conflicts))
        self._drop(batch)
        return False

    async def _reached(self, call: Callable[[], Awaitable[T]]) -> T:
        """The store's answer; while it is away this waits, and says so."""
        try:
            return await call()
        except StoreUnavailable as error:
            log.warning("%s; the batch waits", error)
        self._waits += 1
        try:
            while True:
                self._check_interrupted()
                await asyncio.sleep(RETRY_S)
                try:
                    answer = await call()
                except StoreUnavailable:
                    continue
                log.info("the store answers")
                return answer
        finally:
            self._waits -= 1

    def _check_interrupted(self) -> None:
        if self._interrupted:
            raise Interrupted

    async def release(self) -> None:
        """Partitions are about to go: a batch that waits is given up, any other is about to be done."""
        if self._waits:
            self._interrupted = True
            self.acks.abandon()

    async def close(self) -> None:
        await self.settled()

    def forget(self, partitions: Iterable[int]) -> None:
        """Forget what is known of ``partitions``: another worker may have them."""
        gone = set(partitions)
        for partition in gone:
            self._watermarks.pop(partition, None)
            self._taken.pop(partition, None)
        for user_id in [user_id for user_id, profile in self._profiles.items() if profile.partition in gone]:
            del self._profiles[user_id]


def run(config: Config) -> int:
    """Run the recommend worker until it is told to stop; returns its exit code."""
    return run_worker(config, "recommend", set_up)


def quiet_collector() -> None:
    """Keep the garbage collector from walking the catalogue and all profiles again and again.

    A slate makes dozens of short-lived objects without cycles; with the default thresholds their collection took more
    time than all the rest of a recommendation.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


async def set_up(worker: Worker) -> None:
    """Be a caught-up replica, then take part."""
    await asyncio.to_thread(warm_up, worker.config)
    replica = Replica(worker.config)
    worker.closers.append(replica.stop)
    await replica.start()
    quiet_collector()
    store = RedisStore(worker.config.redis, f"{worker.config.kafka.prefix}{worker.config.generation}")
    worker.closers.append(store.close)
    recommend = Recommend(worker, replica, store)
    worker.app.releases.append(recommend.release)
    worker.closers.append(recommend.close)

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
