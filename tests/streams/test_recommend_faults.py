"""The steps of the recommend worker, in memory, against a store that goes back, goes away and has other writers."""

import asyncio
import copy
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from divrec.config import Config
from divrec.deltas import Delta, decode_record
from divrec.engine import Engine
from divrec.errors import StoreError, StoreUnavailable
from divrec.events import Click
from divrec.profile import Profile, decode_profile, encode_profile
from divrec.state.memory import MemoryStore
from divrec.state.store import NOTHING
from streams import recommend as module
from streams.codec import Message, Record, decode_recommendation, encode
from streams.health.metrics import Metrics
from streams.recommend import Recommend
from streams.topics import Topics, partition_of

CONFIG = Config(kafka={"partitions": 2}, model={"neighbours": 8}, worker={"batch": 4, "cached_profiles": 5})
TOPICS = Topics(CONFIG)
USERS = [f"u{n}" for n in range(8)]
EVENTS = 50


class World:
    """The log, what was sent, and a store; ``random`` decides what else happens to the store."""

    def __init__(self, seed: int, unrest: float) -> None:
        self.random = np.random.default_rng(seed)
        self.unrest = unrest
        self.log: dict[int, list[Message]] = {0: [], 1: []}
        for n in range(EVENTS):
            user = USERS[int(self.random.integers(len(USERS)))]
            self.append(user, f"i{self.random.integers(12)}", f"e{n}")
        self.truth = Truth(self.log)
        self.store = Store(self)
        self.deltas: dict[tuple[int, int], Delta] = {}
        self.delta_order: dict[int, list[int]] = defaultdict(list)
        self.slates: set[tuple[int, int]] = set()
        self.committed = {0: 0, 1: 0}

    def append(self, user: str, item: str, event_id: str) -> None:
        lane = self.log[partition_of(user, 2)]
        value = encode(Click(user_id=user, item_id=item, ts=1_000 + len(lane), event_id=event_id))
        lane.append(Message(TOPICS.events, partition_of(user, 2), len(lane), 2_000_000, user.encode(), value))

    async def send_all(self, _producer: Any, records: Sequence[Record]) -> None:
        await self.breathe()
        for record in records:
            if record.topic == TOPICS.recommendations:
                trigger = decode_recommendation(record.value or b"").trigger
                self.slates.add((trigger.partition, trigger.offset))
            elif record.topic == TOPICS.model_log:
                logged = decode_record(record.value or b"")
                for delta in logged.deltas:
                    self.learn(logged.partition, delta)
        await self.breathe()

    def learn(self, partition: int, delta: Delta) -> None:
        """As a replica does."""
        order = self.delta_order[partition]
        if not order or delta.offset > order[-1]:
            order.append(delta.offset)
            self.deltas[partition, delta.offset] = delta

    async def breathe(self) -> None:
        for _ in range(int(self.random.integers(4))):
            await asyncio.sleep(0)

    async def read_range(
        self, _config: Config, _topic: str, partition: int, start: int, end: int
    ) -> AsyncIterator[list[Message]]:
        while start < end:
            await self.breathe()
            size = int(self.random.integers(1, 8))
            yield self.log[partition][start : min(end, start + size)]
            start += size

    async def begin_of(self, *_: Any) -> int:
        return 0

    async def holds(self, _config: Config, _topic: str, partition: int, offset: int) -> bool:
        return offset < len(self.log[partition])


class Truth:
    """What each event leads to."""

    def __init__(self, log: dict[int, list[Message]]) -> None:
        engine = Engine(CONFIG)
        self.profiles: dict[str, dict[int, Profile]] = defaultdict(dict)
        self.deltas: dict[tuple[int, int], Delta] = {}
        for message in itertools.chain.from_iterable(log.values()):
            event = module.decode_event(message.value or b"")
            states = self.profiles[event.user_id]
            before = states[max(states)] if states else Profile(event.user_id, message.partition)
            observed = engine.observe(before, event, event.event_id or "", message.offset)
            observed.profile.slate_ts = event.ts
            states[message.offset] = observed.profile
            assert observed.delta is not None
            self.deltas[message.partition, message.offset] = observed.delta


class Store(MemoryStore):
    """Before each call it may be put back, be away, or be written by another worker."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._past = [self._state()]
        self._away = 0

    def _state(self) -> Any:
        return copy.deepcopy((self.profiles, self.slates, self.watermarks))

    async def load(self, *arguments: Any) -> Any:
        return await self._disturbed(super().load, *arguments)

    async def save(self, *arguments: Any) -> Any:
        return await self._disturbed(super().save, *arguments)

    async def _disturbed(self, call: Any, *arguments: Any) -> Any:
        await self._world.breathe()
        random = self._world.random
        if self._away:
            self._away -= 1
            raise StoreUnavailable("away")
        if random.random() < self._world.unrest:
            happening = random.integers(4)
            if happening == 0:
                self.profiles, self.slates, self.watermarks = copy.deepcopy(
                    self._past[int(random.integers(len(self._past)))]
                )
            elif happening == 1:
                self._away = int(random.integers(1, 4))
                raise StoreUnavailable("away")
            else:
                self._rival(whole=happening == 2)
        answer = await call(*arguments)
        self._past.append(self._state())
        await self._world.breathe()
        return answer

    def _rival(self, *, whole: bool) -> None:
        """Another worker has a partition: it goes on from the watermark, and may die before it has saved all."""
        world = self._world
        partition = int(world.random.integers(2))
        start = self.watermarks.get(partition, NOTHING) + 1
        events = world.log[partition][start : start + int(world.random.integers(1, 10))]
        for message in events:
            world.learn(partition, world.truth.deltas[partition, message.offset])
            world.slates.add((partition, message.offset))
        for message in events if whole else events[::2]:
            user = (message.key or b"").decode()
            last = max(offset for offset in world.truth.profiles[user] if offset <= events[-1].offset)
            if self.profiles.get(user, (NOTHING, b""))[0] < last:
                self.profiles[user] = last, encode_profile(world.truth.profiles[user][last])
        if whole and events:
            self.watermarks[partition] = events[-1].offset


class Acks:
    def __init__(self, world: World) -> None:
        self._world = world
        self.open: set[tuple[int, int]] = set()
        self._done: set[tuple[int, int]] = set()

    def take(self, messages: Sequence[Message]) -> None:
        self.open |= {(message.partition, message.offset) for message in messages}

    def done(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if (position := (message.partition, message.offset)) in self.open:
                self.open.discard(position)
                self._done.add(position)
        for partition, committed in self._world.committed.items():
            while (partition, committed) in self._done:
                committed += 1
            self._world.committed[partition] = committed

    def abandon(self) -> None:
        self.open.clear()


class Driver:
    """Gives batches to a worker; kills it and takes its partitions away at times."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.app = SimpleNamespace(consumer_generation_id=1)
        self.start()

    def start(self) -> None:
        self.acks = Acks(self.world)
        replica = SimpleNamespace(engine=Engine(CONFIG), still=asyncio.Lock(), version=0)
        worker: Any = SimpleNamespace(config=CONFIG, app=self.app, producer=None, metrics=Metrics())
        with patch.object(module, "intake", lambda *_: self.acks):
            self.worker = Recommend(worker, replica, self.world.store)  # type: ignore[arg-type]
        self.position = dict(self.world.committed)

    def batch(self) -> list[Message]:
        found: list[Message] = []
        for partition in self.world.random.permutation(2).tolist():
            start = self.position[partition]
            part = self.world.log[partition][start : start + int(self.world.random.integers(0, 3))]
            self.position[partition] = start + len(part)
            found += part
        return found

    async def run(self) -> None:
        random = self.world.random
        while any(self.world.committed[p] < len(self.world.log[p]) for p in self.world.log):
            messages = self.batch()
            self.acks.take(messages)
            taking = asyncio.create_task(self.worker._take(messages)) if messages else None
            fate = random.random()
            if fate < 0.6 * self.world.unrest:
                await self.world.breathe()
                await self.revoke()
            if fate > 1 - 0.3 * self.world.unrest:
                await self.world.breathe()
                await self.kill(taking)
            elif taking is not None:
                await taking
            elif not self.acks.open:
                continue
            else:
                await asyncio.sleep(0)
        await self.worker.close()

    async def revoke(self) -> None:
        """What Faust does: wait until nothing is held, forget, go on from what is committed."""
        await self.worker.release()
        while self.acks.open:
            await asyncio.sleep(0)
        self.worker.forget([0, 1])
        self.app.consumer_generation_id += 1
        self.position = dict(self.world.committed)

    async def kill(self, taking: "asyncio.Task[None] | None") -> None:
        tasks = [task for task in (taking, self.worker._writing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.start()


@contextmanager
def inside(world: World) -> Iterator[None]:
    replaced = {name: getattr(world, name) for name in ("send_all", "read_range", "begin_of", "holds")}
    outcome = module.Computation.outcome

    async def computed(*arguments: Any, **named: Any) -> Any:
        found = await outcome(*arguments, **named)
        await world.breathe()  # slates are made in a thread
        return found

    with patch.multiple(module, RETRY_S=0, **replaced), patch.object(module.Computation, "outcome", computed):
        yield


async def live(seed: int, unrest: float) -> World:
    world = World(seed, unrest)
    with inside(world):
        driver = Driver(world)
        await asyncio.wait_for(driver.run(), 20)
        world.unrest = 0.0  # what the store forgot last is noticed with the next event of its partition, at the latest
        for partition in world.log:
            user = next(user for user in USERS if partition_of(user, 2) == partition)
            world.append(user, "last", "last")
        world.truth = Truth(world.log)
        await driver.run()
    return world


def check(world: World) -> None:
    stored = {user: decode_profile(data, partition_of(user, 2)) for user, (_, data) in world.store.profiles.items()}
    assert stored == {user: states[max(states)] for user, states in world.truth.profiles.items()}
    assert world.deltas == world.truth.deltas
    assert world.slates == world.truth.deltas.keys()
    assert world.store.watermarks == {p: len(lane) - 1 for p, lane in world.log.items() if lane}


@settings(max_examples=150, deadline=None)
@example(seed=427, unrest=0.5)  # the batch before is computed anew while the next one is being computed
@given(seed=st.integers(0, 2**32), unrest=st.sampled_from([0.0, 0.1, 0.3]))
def test_each_effect_comes_once_whatever_happens_to_the_store(seed: int, unrest: float) -> None:
    check(asyncio.run(live(seed, unrest)))


def test_a_watermark_beyond_the_end_of_the_log_is_refused() -> None:
    async def taking() -> None:
        world = World(1, 0.0)
        world.store.watermarks[0] = len(world.log[0]) + 5
        with inside(world):
            driver = Driver(world)
            await driver.worker._take(world.log[0][:3])

    with pytest.raises(StoreError, match="another log; start a new generation"):
        asyncio.run(taking())


def test_offsets_that_hold_no_event_are_passed() -> None:
    """A control record, say: reading again finds nothing there, and must not go on for ever."""

    async def taking() -> World:
        world = World(1, 0.0)
        world.committed[0] = world.committed[1] = 3
        lane = world.log[0]
        holes = {1, 2}

        async def sparse(*arguments: Any) -> AsyncIterator[list[Message]]:
            async for messages in world.read_range(*arguments):
                yield [message for message in messages if message.offset not in holes]

        with inside(world), patch.object(module, "read_range", sparse):
            driver = Driver(world)
            await asyncio.wait_for(driver.worker._take(lane[3:6]), 5)
            await driver.worker.close()
        return world

    world = asyncio.run(taking())
    assert world.store.watermarks[0] == 5
    assert world.slates == {(0, 3), (0, 4), (0, 5)}
