"""Texts as people and machines send them, through the topics: each is applied or a dead letter, none stops a worker."""

import asyncio
import json
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from divrec.config import Config
from divrec.state.redis import RedisStore
from streams.codec import Message, Record, decode_event, decode_item
from streams.leaving import EXIT_OK
from streams.topics import Topics
from tests.e2e.checks import stored_profiles
from tests.servers import Broker, ValkeyServer, config_for
from tests.streams.running import headers, prepared, read_all, send, worker
from tests.text.tiny_bert import save_random_bert

TEXTS = {
    "empty": "",
    "blank": " \t\n\u3000",
    "mixed languages": "Great 电池 بطارية סוללה отлично バッテリー배터리 ดีมาก, très bon",
    "only emoji": "👍🏽👩‍👩‍👧‍👦🔥❤️🇨🇳",
    "right to left": "البطارية ممتازة وتدوم يومين \u202eevil\u202c הסוללה מצוינת",
    "zero width": "\u200bgo\u200dod\u2060\ufeff \u200c\u200e\u200f",
    "only zero width": "\u200b\u200d\ufeff\u2060",
    "combining": "Z\u0351\u036b\u0343\u036a" + "\u0301" * 5_000,
    "controls": "\x00\x07 good \x1b[31mred\x1b[0m \x7f\x85",
    "noncharacters": "\ufffe\uffff\U0010ffff good",
    "mark-up": "<script>" * 3_000 + "&amp;" * 3_000 + "<!--",
    "one long word": "长" * 30_000,
    "addresses": "https://" * 5_000 + "@" * 9_000,
    "a million": "good " * 200_000,
    "a million without spaces": "x" * 1_000_000,
    "a million emoji": "😀" * 250_000,
}
RAW = {
    "binary": bytes(range(256)) * 40,
    "a binary megabyte": b"\xff\x00\xfe" * 333_333,
    "latin-1": '{"kind":"%s","user_id":"u","item_id":"i","text":"très","title":"très"}',
    "utf-16": '{"kind":"%s","user_id":"u","item_id":"i","text":"good","title":"good"}',
    "lone surrogate": '{"kind":"%s","user_id":"u","item_id":"i","text":"\\ud83d","title":"\\ud83d good"}',
    "cut": '{"kind":"%s","user_id":"u","item_id":"i","text":"goo',
}
ENCODINGS = {"latin-1": "latin-1", "utf-16": "utf-16"}

pytestmark = pytest.mark.timeout(180)


def values(kind: str) -> dict[str, bytes]:
    """What is sent, by the key of the message."""
    made: dict[str, bytes] = {}
    for n, (name, text) in enumerate(TEXTS.items()):
        fields = {"kind": kind, "item_id": f"i{n}", "title": "", "event_id": f"{kind}-{n}"}
        fields |= {"user_id": f"u{n % 4}", "text": text} if kind == "review" else {"description": text}
        made[name] = json.dumps(fields, ensure_ascii=False).encode()
    for name, raw in RAW.items():
        made[name] = raw if isinstance(raw, bytes) else (raw % kind).encode(ENCODINGS.get(name, "utf-8"))
    return made


@pytest.fixture
def configured(broker: Broker, valkey: ValkeyServer, tmp_path: Path) -> Config:
    save_random_bert(tmp_path / "model", seed=1)
    encoder = {"model": str(tmp_path / "model"), "cache_dir": tmp_path / "cache"}
    return prepared(config_for(broker, valkey, tmp_path, encoder=encoder))


def test_each_is_applied_or_a_dead_letter(configured: Config) -> None:
    topics = Topics(configured)
    sent = {topic: values(kind) for topic, kind in ((topics.items, "item"), (topics.reviews, "review"))}
    records = [Record(topic, None, name.encode(), data) for topic, made in sent.items() for name, data in made.items()]
    with ExitStack() as stack:
        names = ("encode", "recommend")
        workers = [stack.enter_context(worker(configured, f"streams.{name}", ready=False)) for name in names]
        for running in workers:
            running.wait_until(lambda ready=running: ready.ready, 90.0)
        send(configured, records)
        found = settled(configured, len(records))
        assert [running.end() for running in workers] == [EXIT_OK, EXIT_OK]

    letters = {
        (told["divrec-topic"], (m.key or b"").decode()): m for m in found[topics.dead_letters] for told in [headers(m)]
    }
    assert {headers(m)["divrec-stage"] for m in letters.values()} == {"encode"}
    items = {decode_item(m.value or b"").event_id for m in found[topics.catalog]}
    events = [decode_event(m.value or b"") for m in found[topics.events]]
    for topic, became in ((topics.items, items), (topics.reviews, {event.event_id for event in events})):
        for name, data in sent[topic].items():
            letter = letters.get((topic, name))
            if letter is not None:
                assert letter.value == data, name
            elif name in TEXTS:
                assert json.loads(data)["event_id"] in became, name
        refused = {name for of, name in letters if of == topic}
        assert {"binary", "a binary megabyte", "latin-1", "utf-16", "cut"} <= refused, topic
        assert {name for name in TEXTS if name.startswith("a million")} <= refused, topic
        spoken = {"mixed languages", "only emoji", "right to left", "zero width", "combining", "mark-up", "controls"}
        assert not spoken & refused, topic
    stored = stored_profiles(configured, {event.user_id for event in events})
    assert sum(profile.events for profile in stored.values()) == len(events)


def settled(config: Config, count: int) -> dict[str, list[Message]]:
    """What became of ``count`` messages, once the profiles hold all events."""
    topics = Topics(config)
    deadline = time.monotonic() + 60
    while True:
        found = read_all(config, topics.catalog, topics.events, topics.dead_letters)
        ends = dict.fromkeys(range(config.kafka.partitions), -1)
        for message in found[topics.events]:
            ends[message.partition] = max(ends[message.partition], message.offset)
        if sum(map(len, found.values())) >= count and watermarks(config) == ends:
            assert sum(map(len, found.values())) == count
            return found
        assert time.monotonic() < deadline, {topic: len(messages) for topic, messages in found.items()}
        time.sleep(0.2)


def watermarks(config: Config) -> dict[int, int]:
    async def reading() -> dict[int, int]:
        store = RedisStore(config.redis, f"{config.kafka.prefix}{config.generation}")
        try:
            return dict((await store.load([], list(range(config.kafka.partitions)))).watermarks)
        finally:
            await store.close()

    return asyncio.run(reading())
