"""The contract of profile stores, over ours; and that the contract finds what is wrong."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from divrec.checks.store import check_store
from divrec.config import RedisConfig
from divrec.errors import StoreUnavailable
from divrec.state.memory import MemoryStore
from divrec.state.redis import RedisStore
from divrec.state.store import NOTHING, Advance, Loaded, Saved, Write
from tests.servers import ValkeyServer


def test_memory() -> None:
    asyncio.run(check_store(MemoryStore))


def test_redis(valkey: ValkeyServer) -> None:
    config, numbers = redis_config(valkey), itertools.count()
    asyncio.run(check_store(lambda: RedisStore(config, f"test.{next(numbers)}")))


def redis_config(valkey: ValkeyServer, **settings: float) -> RedisConfig:
    return RedisConfig.model_validate({"url": valkey.url, "timeout_s": 2.0, **settings})


class Overwriting(MemoryStore):
    async def save(self, writes: Sequence[Write], advances: Mapping[int, Advance]) -> Saved:
        current = [write._replace(expected=self.profiles.get(write.user_id, (NOTHING, b""))[0]) for write in writes]
        return await super().save(current, advances)


class AllOrNothing(MemoryStore):
    async def save(self, writes: Sequence[Write], advances: Mapping[int, Advance]) -> Saved:
        for write in writes:
            if self.profiles.get(write.user_id, (NOTHING, b""))[0] != write.expected:
                return Saved(frozenset({write.user_id}), False)
        return await super().save(writes, advances)


class Advancing(MemoryStore):
    async def save(self, writes: Sequence[Write], advances: Mapping[int, Advance]) -> Saved:
        saved = await super().save(writes, advances)
        self.watermarks |= {partition: advance.offset for partition, advance in advances.items()}
        return saved


class Forgetting(MemoryStore):
    async def save(self, writes: Sequence[Write], advances: Mapping[int, Advance]) -> Saved:
        for write in writes:
            self.slates.pop(write.user_id, None)
        return await super().save(writes, advances)


class Stripping(MemoryStore):
    async def load(self, user_ids: Sequence[str], partitions: Sequence[int]) -> Loaded:
        loaded = await super().load([user.strip() for user in user_ids], partitions)
        return loaded._replace(
            profiles={user: loaded.profiles[user.strip()] for user in user_ids if user.strip() in loaded.profiles}
        )


class Racing(MemoryStore):
    """Decides, waits, and then writes."""

    async def save(self, writes: Sequence[Write], advances: Mapping[int, Advance]) -> Saved:
        before, marks = dict(self.profiles), dict(self.watermarks)
        await asyncio.sleep(0)
        now, self.profiles, now_marks, self.watermarks = self.profiles, before, self.watermarks, marks
        saved = await super().save(writes, advances)
        self.profiles, self.watermarks = now | self.profiles, now_marks | self.watermarks
        return saved


@pytest.mark.parametrize(
    ("store", "said"),
    [
        (Overwriting, "where none was expected"),
        (AllOrNothing, "the other profiles are written"),
        (Advancing, "the watermark stay"),
        (Forgetting, "slate after a save without one"),
        (Stripping, "unusual user ids"),
        (Racing, "at once that had no conflict"),
    ],
)
def test_the_contract_finds(store: type[MemoryStore], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        asyncio.run(check_store(store))


def test_two_clients_of_one_redis(valkey: ValkeyServer) -> None:
    async def race() -> None:
        stores = [RedisStore(redis_config(valkey), "test") for _ in range(4)]
        for at in range(20):
            saved = await asyncio.gather(
                *(
                    store.save([Write("a", at - 1, at, b"by %d" % n, None)], {0: Advance(at - 1, at)})
                    for n, store in enumerate(stores)
                )
            )
            (winner,) = [n for n, one in enumerate(saved) if one.advanced]
            assert (await stores[0].load(["a"], [0])) == Loaded({"a": b"by %d" % winner}, {0: at})
        for store in stores:
            await store.close()

    asyncio.run(race())


def test_generations_do_not_meet(valkey: ValkeyServer) -> None:
    async def both() -> None:
        one, other = (RedisStore(redis_config(valkey), f"divrec.{name}") for name in ("g1", "g2"))
        await one.save([Write("a", NOTHING, 1, b"p", b"s")], {0: Advance(NOTHING, 1)})
        assert await other.load(["a"], [0]) == Loaded({}, {0: NOTHING})
        assert await other.latest_slate("a") is None
        await one.close()
        await other.close()

    asyncio.run(both())


def test_profiles_expire_and_watermarks_do_not(valkey: ValkeyServer) -> None:
    async def save(days: float) -> None:
        store = RedisStore(redis_config(valkey, profile_ttl_days=days), "test")
        await store.save([Write(f"for {days}", NOTHING, 1, b"p", None)], {})
        await store.close()

    async def advance() -> None:
        store = RedisStore(redis_config(valkey), "test")
        await store.save([], {0: Advance(NOTHING, 1)})
        await store.close()

    for days in (1e-9, 2.0):
        asyncio.run(save(days))
    asyncio.run(advance())
    with valkey.client() as client:
        assert 0 < client.ttl("test:profile:for 1e-09") <= 1
        assert 172_790 < client.ttl("test:profile:for 2.0") <= 172_800
        assert client.ttl("test:watermark:0") == -1


def test_a_redis_started_anew_or_away(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path / "valkey")
    server.start()

    async def through_a_restart() -> None:
        store = RedisStore(redis_config(server), "test")
        await store.save([Write("a", NOTHING, 1, b"p", None)], {0: Advance(NOTHING, 1)})
        server.stop()
        with pytest.raises(StoreUnavailable, match=r"redis\.url"):
            await store.load(["a"], [0])
        with pytest.raises(StoreUnavailable):
            await store.save([Write("a", 1, 2, b"q", None)], {})
        server.start()
        with server.client() as client:
            client.script_flush()
        assert await store.save([Write("a", 1, 2, b"q", None)], {0: Advance(1, 2)}) == Saved(frozenset(), True)
        assert await store.load(["a"], [0]) == Loaded({"a": b"q"}, {0: 2})
        await store.close()

    try:
        asyncio.run(through_a_restart())
    finally:
        server.stop()


def test_a_redis_that_is_full_is_unavailable(valkey: ValkeyServer) -> None:
    async def save() -> None:
        store = RedisStore(redis_config(valkey), "test")
        try:
            with pytest.raises(StoreUnavailable, match="accept a command") as refused:
                await store.save([Write("secret user", NOTHING, 1, b"p", None)], {})
            assert "secret user" not in str(refused.value)
        finally:
            await store.close()

    with valkey.client() as client:
        client.config_set("maxmemory", "1")
        try:
            asyncio.run(save())
        finally:
            client.config_set("maxmemory", "0")
