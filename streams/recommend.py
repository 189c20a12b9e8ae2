"""The recommend worker: events in; profiles, deltas and recommendations out, each effect once.

A batch goes through its steps in this order, because a profile that holds an offset says that the delta and the
recommendation of that event are out:

    decode → load profiles → observe and recommend → send outputs, acknowledged → save profiles → acknowledge the batch

While one batch is written (the steps from sending on) the next one is computed ahead, on the profiles as the first
leaves them. It is written only when the first is durable, and computed anew if the first had to be.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple, TypeVar

from aiokafka.errors import KafkaError, KafkaTimeoutError

from divrec.config import Config
from divrec.errors import ConfigError, EventError, StoreError, StoreRefused, StoreUnavailable
from divrec.profile import Profile, decode_profile, encode_profile
from divrec.state.redis import RedisStore
from divrec.state.store import NOTHING, Advance, Store, Write
from divrec.warm_up import warm_up
from streams.batches import Acks, fail, intake
from streams.codec import Message, Record, dead_letter, decode_event, event_id, event_time, send_all, value_of
from streams.computation import STAGE, Arrived, Computation, Outcome
from streams.health.gauges import of_consumer, of_profiles, of_replica
from streams.kafka.log_reader import begin_of, holds, read_range
from streams.memory import quiet_collector, return_large_blocks
from streams.quality import SlateQuality
from streams.replica import Replica
from streams.topics import Topics, partition_of
from streams.worker import Worker, run_worker

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_S = 0.5
"""Between two attempts to reach a store or a broker that is away."""
REMIND_EVERY = 60
"""Attempts between two lines about it."""

_generation: ContextVar[int] = ContextVar("generation")
"""The consumer group's generation that the batch at hand was taken in."""


class Interrupted(Exception):
    """Partitions are being taken away while the batch waits or reads again: their next owner takes it."""


class Batch(NamedTuple):
    """A computed batch: nothing of it is written yet."""

    messages: Sequence[Message]
    records: list[Record]
    writes: list[Write]
    outcome: Outcome

    def ends(self) -> dict[int, int]:
        """Last offset by partition."""
        return {message.partition: message.offset for message in self.messages}


class Recommend:
    """Takes batches of ``events`` through the steps."""

    def __init__(self, worker: Worker, replica: Replica, store: Store) -> None:
        self._config, self._app = worker.config, worker.app
        self._topics = Topics(worker.config)
        self._producer = worker.producer
        self._metrics = worker.metrics
        self.quality = SlateQuality(worker.config, replica.engine)
        self._computation = Computation(worker.config, replica, self.quality.popular)
        self._store = store
        self._profiles: OrderedDict[str, Profile] = OrderedDict()
        """As the last computed batch leaves them."""
        self._watermarks: dict[int, int] = {}
        """Where the store stood last, for the partitions that this worker has begun."""
        self._writing: asyncio.Task[bool] | None = None
        self._written_ends: dict[int, int] = {}
        """The last offsets of the batch that is being written."""
        self._computing = asyncio.Lock()
        """Held while a batch is computed ahead, and while the one before is computed anew: never both at once."""
        self._waits = 0
        """Batches that wait for the store or read events again: they may be given up."""
        self._leaving = -1
        """The generation whose partitions are being taken away."""
        self.acks: Acks = intake(worker.app, [self._topics.events], self._take, worker.config.worker.batch)

    async def _take(self, messages: list[Message]) -> None:
        """One batch from Kafka: it is acknowledged when all its effects are durable, maybe after this returns."""
        self._metrics.taken(messages)
        _generation.set(self._app.consumer_generation_id)
        try:
            async with self._computing:
                batch = await self._computed_at_once(messages, publish=True)
            if not await self.settled():
                self._check_interrupted()  # if the batch before was given up, this one must not close the gap
                self._drop(batch)
                batch = None
            if batch is None:
                batch = await self._computed(messages)
        except Interrupted:
            self._give_up()
            return
        self._written_ends = batch.ends()
        self._writing = asyncio.create_task(self._written(batch))
        self._evict()

    async def settled(self) -> bool:
        """Wait until the batch before is durable. False: not as it was computed, what builds on it is void."""
        writing, self._writing = self._writing, None
        settled = await writing if writing is not None else True
        self._written_ends = {}
        return settled

    async def _written(self, batch: Batch) -> bool:
        """Make all effects of ``batch`` durable; whether it could be done as computed."""
        try:
            with self._metrics.timed("write"):
                await self._send(batch)
                as_computed = await self._save(batch)
            if as_computed:
                self._told(batch.outcome)
            else:
                async with self._computing:
                    self.forget(batch.ends())
                    await self._process(batch.messages)
            self.acks.done(batch.messages)
        except Interrupted:
            self._give_up()
            return False
        except Exception:
            fail("writing a batch")
        return as_computed

    def _give_up(self) -> None:
        log.info("a batch is given up: partitions go")
        self.acks.abandon()
        self.forget(list(self._watermarks))  # also what came too late for the revocation to clear it

    async def _process(self, messages: Sequence[Message]) -> None:
        """Compute and write, while no other batch is under way, until all effects of ``messages`` are durable."""
        # Another worker was faster, or the store went back: look again, skip what is applied, observe the rest.
        while not await self._effected(await self._computed(messages)):
            pass

    async def _effected(self, batch: Batch) -> bool:
        """Send and save, while no other batch is under way; False: the store was not as expected."""
        await self._send(batch)
        if not await self._save(batch):
            self.forget(batch.ends())
            return False
        self._told(batch.outcome)
        self._evict()
        return True

    def _told(self, outcome: Outcome) -> None:
        self.quality.note(outcome.told)
        self._metrics.rules(outcome.ruled, outcome.removed)

    async def _send(self, batch: Batch) -> None:
        """Send the outputs and wait for their acknowledgement."""
        await send_all(self._producer, batch.records)
        topics = self._topics
        self._metrics.sent(batch.records, dead_letters=topics.dead_letters, recommendations=topics.recommendations)
        self._metrics.arrived(STAGE, batch.outcome.answered)
        self._metrics.arrived("whole", batch.outcome.answered_whole)

    async def _computed(self, messages: Sequence[Message]) -> Batch:
        """Everything up to the first write. The offsets of ``messages`` rise within each partition."""
        while (batch := await self._computed_at_once(messages, publish=True, mend=True)) is None:
            pass
        return batch

    async def _computed_at_once(
        self, messages: Sequence[Message], *, publish: bool, mend: bool = False
    ) -> Batch | None:
        """The same, maybe while the batch before is being written; None if the store does not stand as expected."""
        arrived, dead = self._decoded(messages)
        if not await self._loaded(arrived, messages, mend=mend):
            return None
        return await self._observed(messages, arrived, dead, publish=publish)

    async def _observed(
        self, messages: Sequence[Message], arrived: Sequence[Arrived], dead: Sequence[Record], *, publish: bool
    ) -> Batch:
        before = {one.event.user_id: self._profiles.get(one.event.user_id) for one in arrived}
        with self._metrics.timed("compute"):
            outcome = await self._computation.outcome(arrived, self._profiles, publish=publish)
        writes = []
        for user_id, stands in before.items():
            # One that is ahead of its events is written as it is: its compare-and-set says that it is still there.
            after = outcome.profiles.get(user_id) or stands
            assert after is not None
            expected = NOTHING if stands is None else stands.offset
            writes.append(Write(user_id, expected, after.offset, encode_profile(after), outcome.slates.get(user_id)))
        for profile in outcome.profiles.values():
            self._keep(profile)
        return Batch(messages, [*dead, *outcome.records], writes, outcome)

    def _drop(self, batch: Batch | None) -> None:
        """Forget the profiles of a batch that will not be written."""
        for write in batch.writes if batch is not None else ():
            self._profiles.pop(write.user_id, None)

    def _evict(self) -> None:
        # What is being written must stay: the next batch builds on it.
        bound = max(self._config.worker.cached_profiles, self._config.worker.batch)
        while len(self._profiles) > bound:
            self._profiles.popitem(last=False)

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

    async def _loaded(self, arrived: Sequence[Arrived], messages: Sequence[Message], *, mend: bool) -> bool:
        """Have the profiles of all users in the cache, at least as new as the watermarks, in one round trip.

        False: the store does not stand where this worker left it, or leaves it with the batch that is being written.
        With ``mend`` (no batch is under way then) that has been seen to: look again. All known partitions are looked
        at: what the store forgot must not wait for the next event of its partition.
        """
        users = {one.event.user_id: one.message.partition for one in arrived}
        firsts = {message.partition: message.offset for message in reversed(messages)}
        missing = [user_id for user_id in users if user_id not in self._profiles]
        known, ends = dict(self._watermarks), dict(self._written_ends)
        loaded = await self._reached(partial(self._store.load, missing, list(known | firsts)))
        if _agree(loaded.watermarks, known, ends, firsts):
            self._metrics.profiles(len(users), len(missing))
            for user_id, data in loaded.profiles.items():
                self._keep(decode_profile(data, users[user_id]))
            return True
        if mend:
            try:
                await self._follow_store(loaded.watermarks, firsts)
            except KafkaError as error:
                if not (error.retriable or isinstance(error, KafkaTimeoutError)):
                    raise
                log.warning("cannot read %s (%s); the batch waits", self._topics.events, type(error).__name__)
                self._check_interrupted()
                await asyncio.sleep(RETRY_S)
        return False

    async def _follow_store(self, marks: Mapping[int, int], firsts: Mapping[int, int]) -> None:
        """Take the first watermark that is not as expected for what it is.

        One that stands before the batch means that the store has forgotten what Kafka counts as done, or is new: the
        events in between are read again, without publishing, for their recommendations are out.
        """
        for partition, mark in marks.items():
            known = self._watermarks.get(partition)
            first = firsts.get(partition, mark + 1 if known is None else known + 1)
            if mark != known:
                if known is not None:
                    log.warning("partition %d: expected the store at %d, it stands at %d", partition, known, mark)
                if known is None or mark > known:
                    await self._check_mark(partition, mark, first)
                # A cached profile may lack what another worker applied, or hold what the store has forgotten.
                self.forget([partition])
                self._watermarks[partition] = mark
            if mark + 1 < first:
                await self._read_again(partition, mark + 1, first)
                return

    async def _check_mark(self, partition: int, mark: int, first: int) -> None:
        if mark < first or await holds(self._config, self._topics.events, partition, mark):
            return
        raise StoreError(
            f"watermark of partition {partition}: expected the offset of an event in {self._topics.events}, "
            f"got {mark}, which lies beyond its end: the store belongs to another log; start a new generation"
        )

    async def _read_again(self, partition: int, start: int, end: int) -> None:
        """Apply what the log still holds of ``[start, end)``, until the store is not as expected."""
        begins = await begin_of(self._config, self._topics.events, partition)
        if begins > start:
            log.error("partition %d: events %d to %d are no longer in the log: lost", partition, start, begins - 1)
        log.warning("partition %d: reading events %d to %d again, publishing nothing", partition, start, end - 1)
        self._waits += 1
        try:
            async for messages in read_range(self._config, self._topics.events, partition, max(start, begins), end):
                for at in range(0, len(messages), self._config.worker.batch):
                    self._check_interrupted()
                    part = messages[at : at + self._config.worker.batch]
                    batch = await self._computed_at_once(part, publish=False)
                    if batch is None or not await self._effected(batch):
                        return  # whoever called looks where the store stands now
        finally:
            self._waits -= 1
        mark = self._watermarks.get(partition, end)
        if mark < end - 1:  # the range ends with offsets that hold no event
            passed = {partition: Advance(mark, end - 1)}
            if (await self._reached(partial(self._store.save, [], passed))).advanced:
                self._watermarks[partition] = end - 1

    def _keep(self, profile: Profile) -> None:
        self._profiles[profile.user_id] = profile
        self._profiles.move_to_end(profile.user_id)

    async def _save(self, batch: Batch) -> bool:
        """Write profiles and slates, in one round trip; whether all were as expected."""
        advances = {}
        for partition, end in batch.ends().items():
            mark = self._watermarks.get(partition)
            if mark is None:  # forgotten meanwhile
                return False
            advances[partition] = Advance(mark, max(mark, end))
        saved = await self._reached(partial(self._store.save, batch.writes, advances))
        if saved.advanced:
            self._watermarks.update({partition: advance.offset for partition, advance in advances.items()})
        else:
            self._metrics.store_conflicts.inc()
            log.warning("the store was changed by another worker or went back: %d conflicts", len(saved.conflicts))
        return saved.advanced

    async def _reached(self, call: Callable[[], Awaitable[T]]) -> T:
        """The store's answer; while it is away this waits, and says so."""
        attempts = 0
        try:
            while True:
                try:
                    answer = await call()
                except StoreUnavailable as error:
                    self._metrics.store_waits.inc()
                    if attempts % REMIND_EVERY == 0:
                        log.warning("%s; the batch waits", error)
                    if attempts == 0:
                        self._waits += 1
                    attempts += 1
                    self._check_interrupted()
                    await asyncio.sleep(RETRY_S)
                else:
                    if attempts:
                        log.info("the store answers")
                        self._check_interrupted()
                    return answer
        finally:
            self._waits -= attempts > 0

    def _check_interrupted(self) -> None:
        generation = _generation.get()
        if generation == self._leaving or generation != self._app.consumer_generation_id:
            raise Interrupted

    async def release(self) -> None:
        """Partitions are about to go: a batch that waits is given up, any other is about to be done."""
        self._leaving = self._app.consumer_generation_id
        if self._waits:
            self.acks.abandon()

    async def close(self) -> None:
        await self.settled()

    def cached_profiles(self) -> int:
        return len(self._profiles)

    def forget(self, partitions: Iterable[int]) -> None:
        """Forget what is known of ``partitions``: another worker may have them."""
        gone = set(partitions)
        for partition in gone:
            self._watermarks.pop(partition, None)
            self._written_ends.pop(partition, None)
        for user_id in [user_id for user_id, profile in self._profiles.items() if profile.partition in gone]:
            del self._profiles[user_id]


def _agree(
    marks: Mapping[int, int], known: Mapping[int, int], ends: Mapping[int, int], firsts: Mapping[int, int]
) -> bool:
    """Whether the watermarks are as known, or as one up to ``ends`` makes them, and nothing lacks below ``firsts``."""
    for partition, mark in marks.items():
        if mark != known.get(partition) and mark != ends.get(partition):
            return False
        if max(mark, ends.get(partition, NOTHING)) + 1 < firsts.get(partition, 0):
            return False
    return True


def run(config: Config) -> int:
    """Run the recommend worker until it is told to stop; returns its exit code."""
    return run_worker(config, "recommend", set_up)


async def let_in(store: Store) -> None:
    """Raises ConfigError if the store refuses us; one that is away is waited for by the first batch."""
    try:
        await store.load([], [0])
    except StoreRefused as error:
        raise ConfigError(str(error)) from None
    except StoreUnavailable as error:
        log.warning("%s; batches will wait for it", error)


async def set_up(worker: Worker) -> None:
    """Be a caught-up replica, then take part."""
    return_large_blocks()
    store = RedisStore(worker.config.redis, f"{worker.config.kafka.prefix}{worker.config.generation}")
    worker.closers.append(store.close)
    await let_in(store)
    await asyncio.to_thread(warm_up, worker.config)
    replica = Replica(worker.config)
    worker.closers.append(replica.stop)
    await replica.start()
    quiet_collector()
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
    metrics, health = worker.metrics, worker.health
    metrics.watch(lambda: of_consumer(worker.app, [recommend.acks]))
    metrics.watch(lambda: of_replica(worker.config, replica))
    metrics.watch(lambda: of_profiles(worker.config, recommend.cached_profiles()))
    metrics.watch(recommend.quality.samples)
    health.turns["following the model log"] = lambda: replica.stepped_at
    health.reached["store"] = partial(store.load, [], [0])

    publishing = asyncio.create_task(recommend.quality.publish(partial(send_all, worker.producer)))

    async def stop_following() -> None:
        for task in (following, publishing):
            task.cancel()
        await asyncio.wait([following, publishing])

    worker.closers.append(stop_following)
    worker.app.on_partitions_revoked.connect(revoked, weak=False)
