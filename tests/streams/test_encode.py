import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from divrec.config import Config
from divrec.events import MAX_MESSAGE_BYTES, unpack_vector
from streams.codec import Message, Record, now_ms
from streams.encode import Encoding
from streams.leaving import EXIT_ENCODER, EXIT_OK
from streams.topics import Topics, partition_of
from tests.servers import Broker
from tests.streams.running import body, headers, prepared, read, send, worker

VECTOR = np.array([0.6, 0.8], np.float32)
ENCODING = Encoding(Config(kafka={"partitions": 4}), "m")


def made(topic: str, value: object, *, vector: Any = VECTOR, key: bytes | None = b"k", **about: Any) -> Any:
    """The text that the model reads, and the records."""
    raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    work = ENCODING.work(Message(f"divrec.{topic}", 1, 7, 5_000, key, raw, **about))
    return work.text, work.records(vector if work.text else None)


def loaded(record: Record) -> Any:
    return None if record.value is None else json.loads(record.value)


def test_a_review_becomes_an_event_with_vector_and_terms() -> None:
    review = {"kind": "review", "user_id": "u", "item_id": "i", "title": "Fine", "text": "quiet fan", "ts": 1_000}
    forged = {"vector": "AAAA", "model": "forged", "terms": ["forged"]}
    text, (record,) = made("reviews", review | forged, headers=[("divrec-replay", b"1")])
    event = loaded(record)
    assert text == "Fine. quiet fan"
    assert event["model"] == "m"
    assert sorted(event["terms"]) == ["fan", "fine", "quiet"]
    assert record[:3] == ("divrec.events", partition_of("u", 4), b"u")
    assert list(record.headers) == [("divrec-replay", b"1")]
    assert event["event_id"] == "divrec.reviews:1:7"
    assert event["ts"] == 1_000
    assert np.allclose(unpack_vector(b64decode(event["vector"]), 2), VECTOR, atol=1e-3)


def test_a_review_without_words_needs_no_model() -> None:
    text, (record,) = made("reviews", {"kind": "review", "user_id": "u", "item_id": "i", "text": " "} | {"model": "x"})
    assert text is None
    assert {"vector", "model", "terms"}.isdisjoint(loaded(record))


def test_an_item_goes_to_the_catalog_and_its_vector_beside() -> None:
    item = {"kind": "item", "item_id": "i", "title": "A red kettle", "categories": ["Kitchen"], "terms": ["forged"]}
    text, (catalog, vector) = made("items", item)
    assert text == "A red kettle. Kitchen"
    assert (catalog.topic, catalog.key, catalog.partition) == ("divrec.catalog", b"i", None)
    assert loaded(catalog)["terms"] == ["red", "kettle"]
    assert loaded(catalog)["categories"] == ["Kitchen"]
    assert loaded(catalog)["ts"] == 5_000
    assert "vector" not in loaded(catalog)
    assert (vector.topic, vector.key) == ("divrec.item-vectors", b"m|i")
    assert loaded(vector)["model"] == "m"


def test_an_item_without_words_has_no_vector() -> None:
    text, (catalog, vector) = made("items", {"kind": "item", "item_id": "i"})
    assert text is None
    assert loaded(catalog)["item_id"] == "i"
    assert vector.value is None


@pytest.mark.parametrize("value", [None, {"kind": "item", "item_id": "k", "title": "Gone", "available": False}])
def test_a_withdrawal_is_remembered_and_its_vector_goes(value: object) -> None:
    text, (catalog, vector) = made("items", value)
    assert text is None
    assert loaded(catalog)["item_id"] == "k"
    assert loaded(catalog)["available"] is False
    assert (vector.key, vector.value) == (b"m|k", None)


@pytest.mark.parametrize(
    ("topic", "value", "key", "reason"),
    [
        ("items", None, None, "no-key"),
        ("items", None, b"\xff", "no-key"),
        ("items", None, b"x" * 257, "no-key"),
        ("items", b"", b"k", "empty"),
        ("items", {"kind": "item", "item_id": "i", "price": "dear"}, b"k", "invalid"),
        ("reviews", None, b"k", "empty"),
        ("reviews", b"{", b"k", "not-json"),
        ("reviews", {"kind": "review", "user_id": "u", "item_id": "i", "text": "x" * 65_537}, b"k", "invalid"),
    ],
)
def test_what_cannot_be_used_is_a_dead_letter(topic: str, value: object, key: bytes | None, reason: str) -> None:
    _, (record,) = made(topic, value, key=key)
    told = {name: header.decode() for name, header in record.headers}
    assert (record.topic, record.key) == ("divrec.dead-letters", key)
    assert (told["divrec-reason"], told["divrec-stage"]) == (reason, "encode")


def test_a_review_that_outgrows_its_bound_is_a_dead_letter() -> None:
    review = {"kind": "review", "user_id": "u", "item_id": "i", "text": "😀" * 65_300}
    raw = json.dumps(review, ensure_ascii=False).encode()
    assert len(raw) < MAX_MESSAGE_BYTES
    _, (record,) = made("reviews", raw, vector=np.full(384, 0.05, np.float32))
    assert dict(record.headers)["divrec-reason"] == b"too-large"
    assert record.value == raw


def test_a_refused_text_is_a_dead_letter() -> None:
    raw = json.dumps({"kind": "item", "item_id": "i", "title": "x", "event_id": "e"}).encode()
    work = ENCODING.work(Message("divrec.items", 1, 7, 5_000, b"k", raw))
    (record,) = work.refused(ValueError("x"))
    assert dict(record.headers)["divrec-reason"] == b"encoder"
    assert dict(record.headers)["divrec-event-id"] == b"e"
    assert record.value == raw


@pytest.fixture
def configured(broker: Broker, tmp_path: Path) -> Config:
    kafka = {"brokers": broker.address, "prefix": f"t{now_ms()}.", "partitions": 4, **broker.settings}
    return prepared(Config(kafka=kafka, worker={"state_dir": tmp_path}))


def test_with_the_real_model(configured: Config) -> None:
    config, topics = configured, Topics(configured)

    def record(topic: str, key: str, value: object) -> Record:
        return Record(topic, None, key.encode(), None if value is None else json.dumps(value).encode())

    nonce = str(now_ms())  # no cache knows these texts
    items = {"kettle": "A kettle for tea", "teapot": "A pot to brew tea in", "drill": "Cordless power drill"}
    sent = [record(topics.items, i, {"kind": "item", "item_id": i, "title": t}) for i, t in items.items()]
    sent += [
        record(topics.items, f"b{n}", {"kind": "item", "item_id": f"b{n}", "title": f"Book {n} {nonce}"})
        for n in range(40)
    ]
    sent += [record(topics.items, f"b{n}", None) for n in range(0, 40, 2)]
    reviews = [
        {
            "kind": "review",
            "user_id": f"u{n % 3}",
            "item_id": "kettle",
            "text": f"{n} {nonce} " + "boils water " * (n % 7),
        }
        for n in range(30)
    ]
    sent += [record(topics.reviews, "any", review) for review in reviews]
    sent.append(record(topics.reviews, "any", {"kind": "review", "user_id": "u"}))
    with worker(config, "streams.encode") as running:
        send(config, sent)
        catalog = read(config, topics.catalog, lambda found: len(found) >= 63, timeout=60)
        vectors = read(config, topics.item_vectors, lambda found: len(found) >= 63)
        events = read(config, topics.events, lambda found: len(found) >= 30)
        letters = read(config, topics.dead_letters, bool)
        assert running.end() == EXIT_OK

    withdrawn = {b"b%d" % n for n in range(0, 40, 2)}
    latest = {m.key: body(m) for m in sorted(catalog, key=lambda m: m.offset)}
    assert {key for key, item in latest.items() if not item.get("available", True)} == withdrawn
    known = {m.key: m for m in sorted(vectors, key=lambda m: m.offset)}
    assert {key.partition(b"|")[2] for key, m in known.items() if key and m.value is None} == withdrawn
    model = config.encoder.model
    meaning = {name: unpack_vector(b64decode(body(known[f"{model}|{name}".encode()])["vector"]), 384) for name in items}
    assert meaning["kettle"] @ meaning["teapot"] > meaning["kettle"] @ meaning["drill"]
    for user in range(3):
        mine = [m for m in sorted(events, key=lambda m: m.offset) if m.key == b"u%d" % user]
        assert [int(body(m)["text"].split()[0]) for m in mine] == list(range(user, 30, 3))
        assert {m.partition for m in mine} == {partition_of(f"u{user}", 4)}
        assert all(body(m)["model"] == model and body(m)["vector"] for m in mine)
    assert [headers(m)["divrec-reason"] for m in letters] == ["invalid"]


def test_a_model_that_cannot_be_loaded_is_said_before_the_group_is_joined(configured: Config, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    config = configured.model_copy(
        update={"encoder": configured.encoder.model_copy(update={"model": str(tmp_path / "empty")})}
    )
    with worker(config, "streams.encode", ready=False) as running:
        assert running.exit_code() == EXIT_ENCODER
    assert not running.said("Traceback")
    assert running.said(str(tmp_path / "empty"))
    assert not running.said("assigned")
