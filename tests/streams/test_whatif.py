"""``divrec whatif``: one user's list at several strengths, from a live state, which stays as it is."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from divrec.config import Config
from divrec.deltas import Delta, ModelLogRecord, encode_record
from divrec.events import Item, ItemVector, ModelReady, Request, pack_vector
from divrec.profile import Profile, encode_profile
from divrec.state.redis import RedisStore
from divrec.state.store import NOTHING, Write
from streams.codec import Record, encode
from streams.topics import Topics, partition_of
from tests.streams.running import prepared, read_all, send, worker
from tests.streams.test_cli import divrec, write
from tests.streams.test_recommend import clicks, event_record, recommended

USER = "ann"
ITEMS = 60
SHELVES = 6
TITLE = "Tea [bold]no {markup}[/bold] \x1b[2J"


@pytest.fixture
def file(config: Config, tmp_path: Path) -> Path:
    """The configuration of a shop of six shelves, from which Ann took two items of the first."""
    prepared(config)
    topics = Topics(config)
    random = np.random.default_rng(7)
    shelves = random.standard_normal((SHELVES, 16))
    records = []
    for n in range(ITEMS):
        item_id = f"i{n}"
        vector = (shelves[n % SHELVES] + 0.3 * random.standard_normal(16)).astype(np.float32)
        title = TITLE if n == 0 else "" if n == 6 else f"Thing {n}"
        item = Item(item_id=item_id, title=title, categories=[f"shelf {n % SHELVES}"])
        packed = pack_vector(vector / np.linalg.norm(vector))
        records.append(Record(topics.catalog, None, item_id.encode(), encode(item)))
        value = encode(ItemVector(item_id=item_id, model="m", vector=packed))
        records.append(Record(topics.item_vectors, None, f"m|{item_id}".encode(), value))
    ready = encode(ModelReady(model="m", items=ITEMS, ts=1))
    records += [Record(topics.item_vectors, partition, b"m|", ready) for partition in range(4)]
    for n in range(300):
        shelf = random.integers(SHELVES)
        one, two = (f"i{shelf + SHELVES * k}" for k in random.integers(ITEMS // SHELVES, size=2))
        delta = Delta(n, one, 1.0, 1_000 + n, [two] if one != two else [])
        records.append(Record(topics.model_log, 0, None, encode_record(ModelLogRecord(0, [delta]))))
    send(config, records)
    partition = partition_of(USER, config.kafka.partitions)
    profile = Profile(USER, partition, 5, ["i0", "i6"], ["click", "click"], [0.6, 0.6], [1_000, 1_001])

    async def save() -> None:
        store = RedisStore(config.redis, f"{config.kafka.prefix}{config.generation}")
        await store.save([Write(USER, NOTHING, 5, encode_profile(profile), None)], {})
        await store.close()

    asyncio.run(save())
    return write(config, tmp_path, "snapshot_every = 100\n[slate]\ndiversity = 0.3\n")


def everything(config: Config) -> Any:
    """What Kafka and Redis hold, and the files of the state directory."""

    async def profile() -> Any:
        store = RedisStore(config.redis, f"{config.kafka.prefix}{config.generation}")
        try:
            return await store.load([USER, "bob"], range(config.kafka.partitions)), await store.latest_slate(USER)
        finally:
            await store.close()

    topics = Topics(config)
    names = (topics.requests, topics.events, topics.recommendations, topics.model_log, topics.catalog)
    messages = {
        topic: sorted(found, key=lambda m: (m.partition, m.offset)) for topic, found in read_all(config, *names).items()
    }
    return messages, asyncio.run(profile()), sorted(config.worker.state_dir.rglob("*"))


def test_a_list_at_several_strengths(file: Path, config: Config) -> None:
    before = everything(config)
    told = json.loads(divrec("whatif", USER, "--json", "--config", file).stdout)
    assert (told["user_id"], told["version"], told["learned"]) == (USER, 300, 0.3)
    lists = told["lists"]
    assert [one["diversity"] for one in lists] == [0.0, 0.3, 0.5, 1.0]
    plain, *_, most = lists
    assert [item["relevance_rank"] for item in plain["items"]] == list(range(1, 11))
    assert plain["differing"] == 0 < most["differing"]
    assert plain["mean_relevance"] > most["mean_relevance"]
    # Ann wants one shelf, and what agrees with her keeps to it
    assert plain["categories"] == 2 > most["categories"]
    for one in lists:
        ids = [item["item_id"] for item in one["items"]]
        assert one["categories"] == len({int(item_id[1:]) % SHELVES for item_id in ids})
        assert one["differing"] == len(set(ids) - {item["item_id"] for item in plain["items"]})
        assert one["mean_relevance"] == pytest.approx(np.mean([item["relevance"] for item in one["items"]]))

    shown = divrec("whatif", USER, "--diversity", "1", "--diversity", "0", "--config", file).stdout
    top, reasons = shown.split("diversity 0.3, and why")
    assert "0.3 (learned)" in top and "0.5" not in top.splitlines()[0]
    figures = {line[:16].strip(): line[16:].split() for line in top.splitlines()}
    assert figures["not in the first"] == [str(lists[at]["differing"]) for at in (0, 1, 3)]
    assert figures["ILD (texts)"] == [f"{lists[at]['ild']:.3f}" for at in (0, 1, 3)]
    assert "in the place of" in reasons
    assert r"Tea [bold]no {markup}[/bold] \x1b[2J" in reasons and "\x1b" not in shown
    assert "item i6" in reasons  # it has no title
    assert "取代了" in divrec("whatif", USER, "--language", "zh", "--config", file).stdout
    assert everything(config) == before


def test_the_list_as_learned_is_the_one_that_the_worker_makes(config: Config, tmp_path: Path) -> None:
    prepared(config)
    with worker(config, "streams.recommend"):
        send(config, clicks(config, 60))
        recommended(config, 60)
        for n in range(1, 10):  # the worker's replica may be a moment behind
            send(config, [event_record(config, Request(user_id="u1"), f"r{n}")])
            [answer] = [one for one in recommended(config, 60 + n) if one["trigger"].get("event_id") == f"r{n}"]
            told = json.loads(divrec("whatif", "u1", "--json", "--config", write(config, tmp_path)).stdout)
            if answer["version"] == told["version"]:
                break
    [shown] = [one for one in told["lists"] if one["diversity"] == answer["diversity"]]
    assert answer["version"] == told["version"] and len(answer["items"]) > 3
    assert [item["item_id"] for item in shown["items"]] == [item["item_id"] for item in answer["items"]]


def test_a_user_that_nobody_knows(file: Path) -> None:
    result = divrec("whatif", "bob", "--config", file)
    assert result.exit_code == 2 and result.stdout == ""
    assert "expected a user with a profile in Redis, got 'bob'" in result.stderr and "divrec produce" in result.stderr
    wrong = divrec("whatif", USER, "--diversity", "1.5", "--config", file)
    assert wrong.exit_code == 2 and "--diversity" in wrong.stderr
