"""The recommend worker on a real broker and a real store."""

import asyncio

import numpy as np

from divrec.config import Config
from divrec.events import Click, Request
from divrec.profile import decode_profile
from divrec.state.redis import RedisStore
from streams.codec import REPLAY, Record, encode
from streams.replica import read_replica
from streams.topics import Topics, partition_of
from tests.streams.running import body, prepared, read, send, worker


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


def profiles(config: Config, users: list[str]) -> dict[str, object]:
    async def loading() -> dict[str, object]:
        store = RedisStore(config.redis, f"{config.kafka.prefix}{config.generation}")
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
