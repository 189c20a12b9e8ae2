import json
from pathlib import Path
from typing import Any

import pytest

from divrec.config import Config
from divrec.events import MAX_MESSAGE_BYTES
from streams.codec import Message, Record, now_ms
from streams.ingest import Ingest
from streams.leaving import EXIT_OK
from streams.topics import Topics, partition_of
from tests.servers import ON_KAFKA_ONLY, Broker
from tests.streams.running import body, headers, prepared, read, send, worker

CONFIG = Config(kafka={"partitions": 4})
MAPPED = Config(topics={"clicks": {"name": "shop", "map": {"user": "who.id", "item": "sku", "action": "=purchase"}}})


def made(value: object, config: Config = CONFIG, topic: str = "divrec.clicks", **about: Any) -> Record:
    raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    (record,) = all_made(raw, config, topic, **about)
    return record


def all_made(value: object, config: Config = CONFIG, topic: str = "divrec.clicks", **about: Any) -> list[Record]:
    raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    return Ingest(config).records(Message(topic, 1, 7, about.pop("timestamp", 5_000), b"any", raw, **about))


def click(**fields: Any) -> dict[str, Any]:
    return {"kind": "click", "user_id": "u", "item_id": "i"} | fields


def test_a_click_becomes_an_event_of_its_user() -> None:
    record = made(click(ts=1_000, extra="ignored"), headers=[("divrec-replay", b"1"), ("other", b"x")])
    assert record.value is not None
    assert json.loads(record.value) == click(ts=1_000, event_id="divrec.clicks:1:7")
    assert record[:3] == ("divrec.events", partition_of("u", 4), b"u")
    assert list(record.headers) == [("divrec-replay", b"1")]
    assert record.timestamp is None  # now: events replayed from an old log must not be past their retention


def test_times_and_ids_are_completed() -> None:
    assert json.loads(made(click()).value or b"")["ts"] == 5_000
    assert json.loads(made(click(ts=9_000)).value or b"")["ts"] == 5_000
    assert json.loads(made(click(event_id="e")).value or b"")["event_id"] == "e"
    header = [("divrec-event-id", b"from-header")]
    assert json.loads(made(click(), headers=header).value or b"")["event_id"] == "from-header"


def test_a_request_without_an_id_gets_that_of_its_event() -> None:
    value = made({"kind": "request", "user_id": "u"}, topic="divrec.requests").value
    assert json.loads(value or b"")["request_id"] == "divrec.requests:1:7"
    value = made({"kind": "request", "user_id": "u", "request_id": "r"}, topic="divrec.requests").value
    assert json.loads(value or b"")["request_id"] == "r"


def test_a_topic_of_another_shape_is_mapped() -> None:
    record = made({"who": {"id": "ü"}, "sku": 12}, MAPPED, "shop")
    assert json.loads(record.value or b"") == {
        **{"kind": "click", "user_id": "ü", "item_id": "12", "action": "purchase"},
        **{"ts": 5_000, "event_id": "shop:1:7"},
    }
    assert record[1:3] == (partition_of("ü", 8), "ü".encode())


LINES = {"user": "who", "item": "lines[].sku", "ts": "at", "action": "=purchase"}


@pytest.mark.parametrize(("number", "expected"), [("o-1", "o-1"), (None, "shop:1:7")])
def test_an_order_of_several_lines_becomes_an_event_each(number: str | None, expected: str) -> None:
    config = Config(topics={"clicks": {"name": "shop", "map": LINES | {"event_id": "number"}}})
    order = {"number": number, "who": 9, "at": 4, "lines": [{"sku": "a"}, {"sku": 5}]}
    events = [json.loads(record.value or b"") for record in all_made(order, config, "shop")]
    assert [(e["user_id"], e["item_id"], e["ts"]) for e in events] == [("9", "a", 4_000), ("9", "5", 4_000)]
    assert [e["event_id"] for e in events] == [f"{expected}/0", f"{expected}/1"]


def test_one_bad_line_makes_the_order_a_dead_letter() -> None:
    config = Config(topics={"clicks": {"name": "shop", "map": LINES}})
    order = {"who": 9, "lines": [{"sku": "a"}, {"sku": None}]}
    (record,) = all_made(order, config, "shop")
    told = dict(record.headers)
    assert json.loads(record.value or b"") == order
    assert told["divrec-reason"] == b"missing-field"
    assert told["divrec-detail"] == b"element 1 of lines: Click: expected item_id, got none"


def test_an_id_that_is_too_long_with_its_line_is_a_dead_letter() -> None:
    config = Config(topics={"clicks": {"name": "shop", "map": LINES | {"event_id": "number"}}})
    (record,) = all_made({"who": 9, "lines": [{"sku": "a"}], "number": "n" * 255}, config, "shop")
    assert dict(record.headers)["divrec-reason"] == b"invalid"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"no json", "not-json"),
        (b"\xff\xfe", "not-json"),
        (b"[" * 5_000, "invalid"),
        (b'{"kind":"click","user_id":"\\ud800","item_id":"i"}', "not-json"),
        ([], "invalid"),
        (click(user_id=""), "invalid"),
        (click(action="stare"), "invalid"),
        (click(rating=9), "bad-rating"),
        ({"kind": "item", "item_id": "i"}, "invalid"),
        (click(user_id="u" * 257), "invalid"),
        (b'{"pad":"' + b"x" * MAX_MESSAGE_BYTES + b'"}', "too-large"),
    ],
)
def test_what_is_no_event_is_a_dead_letter_with_its_bytes(value: object, reason: str) -> None:
    record = made(value, headers=[("divrec-replay", b"1")])
    told = {name: header.decode() for name, header in record.headers}
    assert record[:3] == ("divrec.dead-letters", None, b"any")
    assert record.value == (value if value is None or isinstance(value, bytes) else json.dumps(value).encode())
    assert (told["divrec-reason"], told["divrec-stage"]) == (reason, "ingest")
    assert (told["divrec-topic"], told["divrec-partition"], told["divrec-offset"]) == ("divrec.clicks", "1", "7")
    assert told["divrec-replay"] == "1"


@pytest.fixture
def configured(broker: Broker, tmp_path: Path) -> Config:
    kafka = {"brokers": broker.address, "prefix": f"t{now_ms()}.", "partitions": 4, **broker.settings}
    return prepared(Config(kafka=kafka, worker={"state_dir": tmp_path}))


@ON_KAFKA_ONLY
def test_events_survive_kill_9(configured: Config) -> None:
    """All arrive, each user's in order, and what is repeated repeats its id."""
    config, topics = configured, Topics(configured)
    count, users = 6_000, 50
    clicks = [click(user_id=f"u{n % users}", item_id=str(n), ts=1_000 + n) for n in range(count)]
    sent = [Record(topics.clicks, n % users % 4, None, json.dumps(c).encode()) for n, c in enumerate(clicks)]
    bad = [Record(topics.clicks, 0, b"k", b"broken"), Record(topics.requests, 2, b"t", None)]
    request = Record(topics.requests, 1, None, b'{"kind":"request","user_id":"u1"}', [("divrec-replay", b"1")])

    with worker(config, "streams.ingest") as first:
        send(config, [*sent[:100], *bad])
        read(config, topics.events, lambda messages: len(messages) >= 100)
        send(config, sent[100:])
        first.kill()
    with worker(config, "streams.ingest") as second:
        send(config, [request])

        def complete(messages: list[Message]) -> bool:
            return len({body(m)["event_id"] for m in messages}) >= count + 1

        events = read(config, topics.events, complete, timeout=60)
        letters = read(config, topics.dead_letters, lambda messages: len(messages) >= 2)
        assert second.end() == EXIT_OK
        assert not second.ready

    seen: dict[str, list[int]] = {}
    ids: dict[str, int] = {}
    for m in sorted(events, key=lambda m: (m.partition, m.offset)):
        event = body(m)
        assert m.partition == partition_of(event["user_id"], 4)
        assert m.key == event["user_id"].encode()
        if event["kind"] == "request":
            assert event["request_id"] == event["event_id"]
            assert headers(m) == {"divrec-replay": "1"}
        elif ids.setdefault(event["event_id"], event["ts"]) == event["ts"]:
            numbers = seen.setdefault(event["user_id"], [])
            if event["ts"] not in numbers:
                numbers.append(event["ts"])
    assert sorted(ids.values()) == [1_000 + n for n in range(count)]
    assert all(numbers == sorted(numbers) for numbers in seen.values())
    assert {(headers(m)["divrec-reason"], m.value) for m in letters} == {("not-json", b"broken"), ("empty", None)}


@pytest.mark.kafka
def test_workers_share_and_hand_over_partitions(kafka_broker: Broker, tmp_path: Path) -> None:
    """A second worker joins and leaves in mid-stream, a third finds no partition left; nothing is lost."""
    config = prepared(
        Config(
            kafka={"brokers": kafka_broker.address, "prefix": f"t{now_ms()}.", "partitions": 2, "fetch_wait_ms": 50},
            worker={"state_dir": tmp_path},
        )
    )
    topics, count = Topics(config), 4_000
    sent = [Record(topics.clicks, n % 2, None, json.dumps(click(user_id=f"u{n}")).encode()) for n in range(count)]
    with worker(config, "streams.ingest") as first:
        send(config, sent[:1_000])
        with worker(config, "streams.ingest", ready=False) as second:
            send(config, sent[1_000:2_000])
            second.wait_until(lambda: second.said("assigned"))
            with worker(config, "streams.ingest", ready=False) as third:
                third.wait_until(lambda: any(w.said("no partition is left") for w in (first, second, third)))
                send(config, sent[2_000:3_000])
                assert third.end() == EXIT_OK
            assert second.end() == EXIT_OK
        send(config, sent[3_000:])
        events = read(config, topics.events, lambda found: len({body(m)["event_id"] for m in found}) >= count)
        assert first.end() == EXIT_OK
    # At least once: on a busy machine a hand-over may repeat what was not yet committed, with the same ids.
    assert len({body(m)["event_id"] for m in events}) == count <= len(events) < 2 * count
