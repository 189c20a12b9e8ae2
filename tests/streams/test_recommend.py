"""The recommend worker on a real broker and a real store."""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from divrec.config import Config
from divrec.events import Click, Request
from divrec.profile import Profile, decode_profile, encode_profile
from divrec.state.redis import RedisStore
from divrec.state.store import NOTHING, Write
from streams.codec import REPLAY, Message, Record, encode
from streams.leaving import EXIT_CRASHED, EXIT_OK
from streams.replica import read_replica
from streams.topics import Topics, partition_of
from tests.servers import EmbeddedBroker, KafkaServer, ValkeyServer, config_for
from tests.streams.running import body, headers, prepared, read, send, worker


def event_record(config: Config, event: Click | Request, event_id: str, *, replay: bool = False) -> Record:
    event.event_id = event_id
    partition = partition_of(event.user_id, config.kafka.partitions)
    mark = [(REPLAY, b"1")] if replay else []
    return Record(Topics(config).events, partition, event.user_id.encode(), encode(event), mark)


def clicks(config: Config, count: int, users: int = 7, items: int = 30) -> list[Record]:
    random = np.random.default_rng(1)
    return [
        event_record(
            config,
            Click(user_id=f"u{n % users}", item_id=f"i{random.integers(items)}", ts=1_700_000_000_000 + n),
            f"e{n}",
        )
        for n in range(count)
    ]


def profiles(config: Config, users: list[str]) -> dict[str, Profile]:
    async def loading() -> dict[str, Profile]:
        store = store_of(config)
        try:
            loaded = await store.load(users, range(config.kafka.partitions))
        finally:
            await store.close()
        return {
            user: decode_profile(data, partition_of(user, config.kafka.partitions))
            for user, data in loaded.profiles.items()
        }

    return asyncio.run(loading())


def test_every_click_has_its_recommendation(config: Config) -> None:
    prepared(config)
    topics = Topics(config)
    send(config, clicks(config, 300))
    with worker(config, "streams.recommend") as running:
        found = [body(message) for message in read(config, topics.recommendations, lambda m: len(m) >= 300)]
        send(config, [event_record(config, Request(user_id="u1", request_id="ask", k=3, exclude=["i1"]), "r1")])
        found = [body(message) for message in read(config, topics.recommendations, lambda m: len(m) >= 301)]
        answers = [r for r in found if r["trigger"].get("request_id") == "ask"]
        assert running.end() == 0
    assert len(answers) == 1 and len(answers[0]["items"]) <= 3
    assert len({r["recommendation_id"] for r in found}) == 301
    states = profiles(config, [f"u{n}" for n in range(7)])
    assert sum(profile.events for profile in states.values()) == 301
    replica = asyncio.run(read_replica(config))
    assert replica.engine.model.interactions == 300


def recommended(config: Config, count: int) -> list[Any]:
    """All recommendations, as soon as there are ``count`` different ones."""

    def enough(found: Sequence[Message]) -> bool:
        return len({json.loads(message.value or b"")["recommendation_id"] for message in found}) >= count

    return [body(message) for message in read(config, Topics(config).recommendations, enough, timeout=60)]


def store_of(config: Config) -> RedisStore:
    return RedisStore(config.redis, f"{config.kafka.prefix}{config.generation}")


def test_the_store_may_be_away_at_the_start_and_later(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    """It is waited for, said once and again, and a worker that waits for it can be stopped."""
    valkey = ValkeyServer(tmp_path / "valkey")
    config = prepared(config_for(embedded_broker, valkey, tmp_path, redis={"timeout_s": 0.5}))
    try:
        send(config, clicks(config, 20))
        with worker(config, "streams.recommend") as running:
            running.wait_until(lambda: running.said("got ConnectionError: start it, or correct redis.url"))
            valkey.start()
            recommended(config, 20)
            valkey.pause()
            send(config, clicks(config, 40)[20:])
            running.wait_until(lambda: running.said("got TimeoutError"))
            valkey.resume()
            assert len(recommended(config, 40)) == 40
            running.wait_until(lambda: sum("the store answers" in line for line in list(running.lines)) >= 2)
            valkey.kill()
            send(config, clicks(config, 60)[40:])
            running.wait_until(lambda: sum("got ConnectionError" in line for line in list(running.lines)) >= 2)
            begin = time.monotonic()
            assert running.end() == EXIT_OK
            assert time.monotonic() - begin < 5
            assert not running.said("Traceback")
        valkey.start()
        with worker(config, "streams.recommend"):
            recommended(config, 60)
        assert sum(profile.events for profile in profiles(config, [f"u{n}" for n in range(7)]).values()) == 60
    finally:
        valkey.kill()


@pytest.mark.kafka
def test_sigterm_under_load_drains_and_repeats_nothing(
    kafka_broker: KafkaServer, valkey: ValkeyServer, tmp_path: Path
) -> None:
    config = prepared(config_for(kafka_broker, valkey, tmp_path))
    count = 4_000
    send(config, clicks(config, count, users=50))
    with worker(config, "streams.recommend") as running:
        before = len(recommended(config, 500))
        begin = time.monotonic()
        assert running.end() == EXIT_OK
        assert time.monotonic() - begin < 10
        assert not running.said("Traceback")
    assert before < count, "it was done before it was told to stop"
    with worker(config, "streams.recommend"):
        found = recommended(config, count)
    assert len(found) == count


@pytest.mark.kafka
def test_a_spare_worker_waits_and_takes_over(kafka_broker: KafkaServer, valkey: ValkeyServer, tmp_path: Path) -> None:
    config = prepared(config_for(kafka_broker, valkey, tmp_path, kafka={"partitions": 1}))
    with worker(config, "streams.recommend") as first:
        send(config, clicks(config, 10))
        recommended(config, 10)
        other = config.model_copy(update={"worker": config.worker.model_copy(update={"state_dir": tmp_path / "other"})})
        with worker(other, "streams.recommend") as second:
            first.wait_until(lambda: first.said("no partition is left") or second.said("no partition is left"))
            spare, busy = (second, first) if second.said("no partition is left") else (first, second)
            assert spare.said("more workers than partitions")
            assert busy.end() == EXIT_OK
            send(config, clicks(config, 20)[10:])
            assert len(recommended(config, 20)) == 20
            assert spare.end() == EXIT_OK


def test_a_store_of_another_log_is_refused(config: Config) -> None:
    prepared(config)
    send(config, clicks(config, 20))

    async def ahead() -> None:
        store = store_of(config)
        marks = [store._watermark + str(partition) for partition in range(config.kafka.partitions)]
        await store._client.mset(dict.fromkeys(marks, 10_000))
        await store.close()

    asyncio.run(ahead())
    with worker(config, "streams.recommend", ready=False) as running:
        assert running.exit_code() == EXIT_CRASHED
        assert running.said("got 10000, which lies beyond its end: the store belongs to another log")
        assert not running.said("Traceback")


def test_a_profile_of_another_partition_is_an_error(
    embedded_broker: EmbeddedBroker, valkey: ValkeyServer, tmp_path: Path
) -> None:
    config = prepared(config_for(embedded_broker, valkey, tmp_path))
    wrong = (partition_of("u0", config.kafka.partitions) + 1) % config.kafka.partitions

    async def foreign() -> None:
        store = store_of(config)
        await store.save([Write("u0", NOTHING, 5, encode_profile(Profile("u0", wrong, 5)), None)], {})
        await store.close()

    asyncio.run(foreign())
    send(config, clicks(config, 1))
    with worker(config, "streams.recommend", ready=False) as running:
        assert running.exit_code() == EXIT_CRASHED
        assert running.said(f"got one of {wrong}; the number of partitions is fixed within a generation")


def test_what_cannot_be_read_does_not_stop_the_stream(config: Config) -> None:
    prepared(config)
    topics = Topics(config)
    good = clicks(config, 20)
    foreign = good[0]._replace(partition=((good[0].partition or 0) + 1) % 4)
    bad = [Record(topics.events, 1, b"k", value) for value in (b"no json", None, b'{"kind":"merge"}')]
    replayed = event_record(config, Click(user_id="u1", item_id="i1", ts=1_000), "old", replay=True)
    send(config, [*good[:10], *bad, foreign, replayed, *good[10:]])
    with worker(config, "streams.recommend") as running:
        assert len(recommended(config, 20)) == 20
        letters = read(config, topics.dead_letters, lambda found: len(found) >= 4)
        running.end()
    reasons = sorted(headers(letter)["divrec-reason"] for letter in letters)
    assert reasons == ["empty", "invalid", "invalid", "wrong-partition"]
    assert {letter.value for letter in letters} == {b"no json", None, b'{"kind":"merge"}', foreign.value}
    assert profiles(config, ["u1"])["u1"].items.count("i1") >= 1
