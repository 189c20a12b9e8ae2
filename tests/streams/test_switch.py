"""A change of ``encoder.model`` while everything runs."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from msgspec import Struct, json

from divrec.config import Config
from divrec.events import Click, Item, ItemVector, ModelReady, unpack_vector
from divrec.text.content import item_text
from streams.codec import Message, Record, decode_item, decode_vector_record, encode, now_ms, send_all
from streams.encoding.backlog import Backlog
from streams.encoding.ledger import vector_record
from streams.encoding.reencode import Reencoding
from streams.kafka.log_reader import Followed
from streams.replica import Replica, read_replica
from streams.topics import COMPACTED_PARTITIONS, Topics, partition_of
from tests.servers import ON_KAFKA_ONLY, Broker, EmbeddedBroker, ValkeyServer, config_for
from tests.streams.running import Worker, body, prepared, producing, read, send, worker
from tests.streams.switching import ENCODE, RECOMMEND, HashModel
from tests.text.tiny_bert import WORDS, save_random_bert

A, B = "m-32", "m-80"
ITEMS = 300


def item_record(config: Config, item_id: str, title: str | None) -> Record:
    item = Item(item_id=item_id, available=False) if title is None else Item(item_id=item_id, title=title)
    return Record(Topics(config).items, None, item_id.encode(), encode(item))


def with_model(config: Config, model: str) -> Config:
    return config.model_copy(update={"encoder": config.encoder.model_copy(update={"model": model})})


@contextmanager
def encoding(config: Config, model: str, pause: float = 0.0, script: str = ENCODE) -> Iterator[Worker]:
    with worker(with_model(config, model), "streams.encode", script.replace("{pause}", str(pause))) as running:
        yield running


@contextmanager
def clicking(config: Config) -> Iterator[list[str]]:
    """A click every few milliseconds, straight into ``events``; what it gives fills with their ids."""
    over = threading.Event()
    sent: list[str] = []

    async def clicks() -> None:
        random = np.random.default_rng(1)
        async with producing(config) as producer:
            while not over.is_set():
                user, event_id = f"u{len(sent) % 7}", f"e{len(sent)}"
                click = Click(user_id=user, item_id=f"i{random.integers(ITEMS)}", ts=now_ms(), event_id=event_id)
                partition = partition_of(user, config.kafka.partitions)
                await send_all(producer, [Record(Topics(config).events, partition, user.encode(), encode(click))])
                sent.append(event_id)
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: asyncio.run(clicks()))
    thread.start()
    try:
        yield sent
    finally:
        over.set()
        thread.join()


def latest(messages: Sequence[Message]) -> dict[bytes, Message]:
    return {message.key or b"": message for message in sorted(messages, key=lambda m: (m.partition, m.offset))}


def marked(messages: Sequence[Message], model: str) -> int:
    return sum(message.key == f"{model}|".encode() and message.value is not None for message in messages)


def gone(messages: Sequence[Message], model: str) -> bool:
    """Whether everything of a model was deleted again."""
    markers = sum(message.key == f"{model}|".encode() and message.value is None for message in messages)
    return markers >= COMPACTED_PARTITIONS and not vectors_of(messages, model)


def wait_compacted(config: Config, topic: str) -> None:
    """Until most of what was written is no longer there."""

    def is_compacted(messages: Sequence[Message]) -> bool:
        ends = {message.partition: message.offset + 1 for message in messages}
        return len(ends) == COMPACTED_PARTITIONS and 2 * len(messages) < sum(ends.values())

    for attempt in range(10):
        # Kafka never compacts the segment that is written to: what was written last ends it.
        send(config, [Record(topic, partition, b"none|end", None) for partition in range(COMPACTED_PARTITIONS)])
        try:
            read(config, topic, is_compacted, timeout=2.0)
        except AssertionError:
            if attempt == 9:
                raise
        else:
            return


def vectors_of(messages: Sequence[Message], model: str) -> dict[str, bytes]:
    """The records of the vectors that are there of a model, by item id."""
    start = f"{model}|".encode()
    there = ((key, m.value) for key, m in latest(messages).items() if key.startswith(start) and key != start)
    return {key.decode().partition("|")[2]: value for key, value in there if value is not None}


def texts(config: Config) -> dict[str, str]:
    """Of the items that can be had, as ``catalog`` says."""
    records = latest(read(config, Topics(config).catalog, lambda found: len(found) >= ITEMS))
    items = [decode_item(message.value or b"") for message in records.values()]
    return {item.item_id: item_text(item) for item in items if item.available}


def check_vectors(config: Config, messages: Sequence[Message], model: str) -> None:
    """Every item has the vector of its present text, and nothing else has one."""
    wanted, found = texts(config), vectors_of(messages, model)
    assert found.keys() == wanted.keys()
    for item_id, text in wanted.items():
        check_vector(found[item_id], item_id, model, text)


def check_vector(record: bytes, item_id: str, model: str, text: str) -> None:
    decoded = decode_vector_record(record)
    assert isinstance(decoded, ItemVector) and (decoded.model, decoded.item_id) == (model, item_id)
    (expected,) = HashModel(model).encode([text])
    assert np.allclose(unpack_vector(decoded.vector, len(expected)), expected, atol=2e-3), item_id


def check_replica(replica: Replica, wanted: dict[str, str], model: str) -> None:
    """It has the vectors of the texts ``wanted`` by item id, and no other."""
    catalog = replica.engine.catalog
    rows = [replica.engine.items.get(item_id) for item_id in wanted]
    assert (catalog.model, catalog.sizes()["catalog_vectors"]) == (model, len(wanted))
    assert np.allclose(catalog._raw[rows], HashModel(model).encode(list(wanted.values())), atol=2e-3)


class Slate(Struct):
    """Of a Recommendation what is looked at here."""

    made_at: int
    model: str = ""


slate = json.Decoder(Slate).decode


def models_of(recommendations: Sequence[Message]) -> list[str]:
    """The text model of every slate, in the order they were made."""
    slates = sorted((slate(message.value or b"") for message in recommendations), key=lambda slate: slate.made_at)
    return [slate.model for slate in slates]


def said_by(recommendations: Sequence[Message], model: str) -> bool:
    return models_of(recommendations).count(model) >= 20


def check_order(config: Config, clicks: Sequence[str], models: list[str]) -> None:
    """Every slate names one of ``models``, and they follow each other without going back."""
    recommendations = read(config, Topics(config).recommendations, lambda found: len(found) >= len(clicks))
    named = [name for name in models_of(recommendations) if name]  # before there was any vector it names none
    changes = [name for n, name in enumerate(named) if n == 0 or name != named[n - 1]]
    assert changes == models


def quickly_compacted(config: Config) -> None:
    """Make ``item-vectors`` a topic that Apache Kafka compacts while a test looks on."""

    async def creating() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka.brokers)
        await admin.start()
        try:
            quick = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
            topic = NewTopic(Topics(config).item_vectors, COMPACTED_PARTITIONS, 1, topic_configs=quick)
            await admin.create_topics([topic])
        finally:
            await admin.close()

    asyncio.run(creating())


@ON_KAFKA_ONLY
def test_a_switch_there_and_back_under_clicks(config: Config, tmp_path: Path) -> None:
    config = with_model(config, A)
    config = config.model_copy(update={"encoder": config.encoder.model_copy(update={"cache_dir": tmp_path / "cache"})})
    quickly_compacted(config)
    topics = Topics(prepared(config))
    send(config, [item_record(config, f"i{n}", f"title {n}") for n in range(ITEMS)])
    with worker(config, "streams.recommend", RECOMMEND) as recommend:
        with encoding(config, A) as first:
            read(config, topics.item_vectors, lambda m: len(vectors_of(m, A)) == ITEMS and marked(m, A) >= 4)
            assert first.end() == 0
        with clicking(config) as clicks:
            read(config, topics.recommendations, lambda m: said_by(m, A))
            with encoding(config, B, pause=0.01) as second:
                read(config, topics.item_vectors, lambda m: len(vectors_of(m, B)) >= 60)
                changed = [item_record(config, f"i{n}", f"other title {n}") for n in range(0, 100, 10)]
                added = [item_record(config, f"new{n}", f"new {n}") for n in range(5)]
                send(config, changed + added + [item_record(config, f"i{n}", None) for n in range(5, 200, 20)])
                before = read(config, topics.item_vectors, lambda m: len(vectors_of(m, B)) >= 130)
                second.kill()
            assert marked(before, B) == 0
            assert set(models_of(read(config, topics.recommendations, lambda m: len(m) > 50))) <= {"", A}
            with encoding(config, B) as third:
                after = read(config, topics.item_vectors, lambda m: marked(m, B) >= 4 and gone(m, A))
                read(config, topics.recommendations, lambda m: said_by(m, B))
                check_vectors(config, after, B)
                started_late = asyncio.run(read_replica(config))
                check_replica(started_late, texts(config), B)
                send(config, [item_record(config, "late", "a late title")])
                read(config, topics.item_vectors, lambda m: "late" in vectors_of(m, B))
                assert third.end() == 0
            with encoding(config, A):
                back = read(config, topics.item_vectors, lambda m: gone(m, B))
                check_vectors(config, back, A)
                count = len(read(config, topics.recommendations, lambda m: said_by(m, B)))
                read(config, topics.recommendations, lambda m: len(m) > count + 20)
        check_order(config, clicks, [A, B, A])
        assert recommend.end() == 0
    if config.kafka.idempotent:  # on Apache Kafka
        wait_compacted(config, topics.item_vectors)
    check_replica(asyncio.run(read_replica(with_model(config, "none of these"))), texts(config), A)


@ON_KAFKA_ONLY
def test_with_two_real_models(broker: Broker, valkey: ValkeyServer, tmp_path: Path) -> None:
    small, large = tmp_path / "m-32", tmp_path / "m-64"
    save_random_bert(small, seed=1, hidden=32)
    save_random_bert(large, seed=2, hidden=64)
    config = config_for(broker, valkey, tmp_path, encoder={"model": str(small), "cache_dir": tmp_path})
    topics = Topics(prepared(config))
    send(config, [item_record(config, f"i{n}", f"{WORDS[n % 7]} {WORDS[n % 5]} {n}") for n in range(40)])

    def ready(messages: Sequence[Message]) -> dict[str, int]:
        """Partitions with a marker, by model."""
        found = [body(m)["model"] for m in messages if m.value is not None and body(m)["kind"] == "model_ready"]
        return {name: found.count(name) for name in found}

    def until(name: str) -> Callable[[list[Message]], bool]:
        return lambda messages: said_by(messages, name)

    named: list[str] = []
    with worker(config, "streams.recommend", RECOMMEND) as recommend:
        with clicking(config) as clicks:
            for model in (small, large):
                with encoding(config, str(model), pause=-1) as encoder:
                    expected = [4] * (len(named) + 1)
                    found = read(config, topics.item_vectors, lambda m, e=expected: [*ready(m).values()] == e)
                    named += ready(found).keys() - set(named)
                    read(config, topics.recommendations, until(named[-1]))
                    assert encoder.end() == 0
        check_order(config, clicks, named)
        assert recommend.end() == 0


class Gate(HashModel):
    """Waits before it encodes."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.asked, self.gate = threading.Event(), threading.Event()

    def encode(self, texts: Sequence[str]) -> Any:
        self.asked.set()
        assert self.gate.wait(20)
        return super().encode(texts)

    def lookup(self, texts: Sequence[str]) -> list[Any]:
        return [None] * len(texts)


def test_an_item_that_another_worker_changes_meanwhile_keeps_its_newer_vector(
    embedded_broker: EmbeddedBroker, valkey: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = prepared(config_for(embedded_broker, valkey, tmp_path))
    topics, model = Topics(config), Gate(B)

    def item(item_id: str, title: str) -> Record:
        value = Item(item_id=item_id, title=title, available=bool(title))
        return Record(topics.catalog, None, item_id.encode(), encode(value))

    def vector(item_id: str, title: str) -> Record:
        (made,) = HashModel(B).encode([title])
        return vector_record(topics.item_vectors, B, item_id, title or None, made if title else None)

    async def run() -> None:
        threads = [ThreadPoolExecutor(1), ThreadPoolExecutor(1)]
        async with producing(config) as producer:

            async def send_it(records: list[Record]) -> None:
                await send_all(producer, records)

            backlog = Backlog(model, send_it, lambda _: None, 10, *threads)
            await send_it([item(f"i{n}", f"title {n}") for n in range(4)])
            running = asyncio.create_task(Reencoding(config, B, backlog, send_it).run())
            await asyncio.to_thread(model.asked.wait, 20)
            # Seen too late: so that the older vector goes over the newer one and must be found again.
            monkeypatch.setattr(Followed, "glance", _glance_at_ends_only)
            for changed in (item("i1", "other"), vector("i1", "other"), item("i2", ""), vector("i2", "")):
                await send_it([changed])
            model.gate.set()
            await asyncio.wait_for(running, 20)

    asyncio.run(run())
    messages = read(config, topics.item_vectors, lambda m: marked(m, B) >= 4)
    sent = [m for m in messages if m.key == f"{B}|i1".encode()]
    assert len(sent) == 3, "the newer one, the older one over it, the newer one again"
    found = vectors_of(messages, B)
    assert found.keys() == {"i0", "i1", "i3"}
    check_vector(found["i1"], "i1", B, "other")


async def _glance_at_ends_only(self: Followed, timeout_ms: int = 0) -> list[Message]:
    return await GLANCE(self, timeout_ms) if timeout_ms else []


GLANCE = Followed.glance


def vectors(config: Config, model: str, items: range) -> list[Record]:
    made = HashModel(model).encode([f"title {n}" for n in items])
    topic = Topics(config).item_vectors
    return [vector_record(topic, model, f"i{n}", f"title {n}", v) for n, v in zip(items, made, strict=True)]


def markers(config: Config, model: str, ts: int) -> list[Record]:
    value = encode(ModelReady(model=model, items=ITEMS, ts=ts))
    return [
        Record(Topics(config).item_vectors, p, f"{model}|".encode(), value if ts else None)
        for p in range(COMPACTED_PARTITIONS)
    ]


def deleted(config: Config, model: str) -> list[Record]:
    gone = [Record(Topics(config).item_vectors, None, f"{model}|i{n}".encode(), None) for n in range(ITEMS)]
    return gone + markers(config, model, 0)


def test_a_replica_reads_again_what_it_did_not_keep(config: Config) -> None:
    config = prepared(with_model(config, A))
    every, third = range(ITEMS), "m-64"
    items = [Item(item_id=f"i{n}", title=f"title {n}") for n in every]
    send(config, [Record(Topics(config).catalog, None, item.item_id.encode(), encode(item)) for item in items])
    send(config, vectors(config, A, every))
    wanted = texts(config)

    async def run() -> None:
        replica = Replica(config)
        await replica.start()
        following = asyncio.create_task(replica.follow())

        async def becomes(model: str) -> None:
            for _ in range(50):
                await asyncio.sleep(0.3)  # the embedded broker tells an end that is too low
                if (
                    replica.engine.catalog.model == model
                    and not replica._undecided
                    and not any((await behind(replica)).values())
                ):
                    return check_replica(replica, wanted, model)
            raise AssertionError(f"{replica.engine.catalog.model} instead of {model}")

        async with producing(config) as producer:
            check_replica(replica, wanted, A)  # there is no marker yet: the configured one
            await send_all(producer, vectors(config, B, range(100)))
            await send_all(producer, vectors(config, third, range(200)))  # B was given up
            await send_all(producer, vectors(config, B, range(100, ITEMS)))  # or was it?
            await becomes(A)
            assert not replica.engine.staging.holds_all(B)
            await send_all(producer, markers(config, B, 1_000)[:3])
            await becomes(A)
            await send_all(producer, markers(config, B, 1_000)[3:])
            await becomes(B)
            await send_all(producer, markers(config, A, 2_000))  # back at once: nothing was deleted yet
            await becomes(A)
            await send_all(producer, deleted(config, B))
            await send_all(producer, vectors(config, third, every) + markers(config, third, 3_000))
            await becomes(third)
            await send_all(producer, deleted(config, A))
            await becomes(third)
        following.cancel()
        await asyncio.wait([following])
        await replica.stop()

    asyncio.run(run())
    for configured in (A, B, third):
        check_replica(asyncio.run(read_replica(with_model(config, configured))), wanted, third)


async def behind(replica: Replica) -> dict[str, int]:
    """Records that the replica has not applied, by topic, asking the broker."""
    partitions = replica._consumer.assignment()
    ends = await replica._consumer.end_offsets(list(partitions))
    return {tp.topic: max(0, end - await replica._consumer.position(tp)) for tp, end in ends.items()}


def test_a_replica_that_starts_among_many_models_takes_that_of_the_newest_marker(config: Config) -> None:
    config = prepared(config)
    every, models = range(ITEMS), [A, B, "m-64", "m-48"]
    items = [Item(item_id=f"i{n}", title=f"title {n}") for n in every]
    sent = [Record(Topics(config).catalog, None, item.item_id.encode(), encode(item)) for item in items]
    by_model = {model: vectors(config, model, every) for model in models}
    sent += [by_model[model][n] for n in every for model in models]
    for ts, model in enumerate(models[:3], start=1):
        sent += markers(config, model, ts)
    send(config, sent + markers(config, "m-48", 9)[:2])
    for configured in (*models, "another"):
        check_replica(asyncio.run(read_replica(with_model(config, configured))), texts(config), "m-64")
