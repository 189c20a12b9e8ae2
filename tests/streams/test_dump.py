"""A topic written to a file and read back, and a topic sent to the inputs again."""

import json
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.config import Config
from divrec.errors import ConfigError
from divrec.events import Click, Item, Request, Review
from streams.client.dump import Line, dumped, in_arrival_order, is_dump, message_of, read_dump
from streams.codec import REPLAY, Message, Record, encode
from streams.topics import Topics
from tests.streams.running import body, headers, prepared, read, send
from tests.streams.test_cli import divrec, write

TIME = 1_700_000_000_000

bytes_or_none = st.none() | st.binary(max_size=40) | st.text(max_size=40).map(str.encode)
messages = st.builds(
    Message,
    st.just("t"),
    st.integers(0, 3),
    st.integers(0, 2**62),
    st.integers(0, 2**50),
    bytes_or_none,
    bytes_or_none,
    st.lists(st.tuples(st.text(max_size=9), bytes_or_none), max_size=3),
)


@given(messages)
def test_a_line_holds_the_message_exactly(message: Message) -> None:
    line = dumped(message)
    assert b"\n" not in line
    assert message_of(msgspec.json.decode(line, type=Line)) == message


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50)), max_size=60), st.integers(1, 10))
def test_arrival_order_keeps_each_partition(arrived: list[tuple[int, int]], run: int) -> None:
    lines = [Line("t", partition, n, ts, None, None, []) for n, (partition, ts) in enumerate(arrived)]
    found = list(in_arrival_order(lines, run))
    assert sorted(line.offset for line in found) == [line.offset for line in lines]
    assert all(a.order <= b.order for a, b in pairwise(found))
    for partition in range(3):
        offsets = [line.offset for line in found if line.partition == partition]
        assert offsets == sorted(offsets)
    rising = all(a <= b for a, b in pairwise(ts for _, ts in arrived))
    assert not rising or [line.offset for line in found] == [line.offset for line in lines]


def test_offsets_must_rise() -> None:
    lines = [Line("t", 0, offset, 5, None, None, []) for offset in (1, 2, 2)]
    with pytest.raises(ConfigError, match="got 2 after 2 in partition 0"):
        list(in_arrival_order(lines))


@pytest.mark.parametrize("name", ["events.jsonl", "events.jsonl.gz"])
def test_a_dump_is_the_topic(config: Config, tmp_path: Path, name: str) -> None:
    prepared(config)
    topics, file, out = Topics(config), write(config, tmp_path), tmp_path / name
    sent = [
        Record(topics.events, n % 4, b"\xff%d" % n, b'{"n":%d}' % n if n % 5 else None, [("h", b"\xfe"), ("h", b"")])
        for n in range(3_001)
    ]
    send(config, sent)
    assert divrec("dump", "--out", out, "--config", file).exit_code == 0
    assert is_dump(out)
    lines = list(read_dump(out))
    found = {(m.partition, m.offset): m for m in map(message_of, lines)}
    truth = {(m.partition, m.offset): m for m in read(config, topics.events, lambda m: len(m) >= len(sent))}
    assert len(lines) == len(found) == len(sent)
    assert {at: (m.key, m.value, tuple(m.headers), m.timestamp) for at, m in found.items()} == {
        at: (m.key, m.value, tuple(m.headers), m.timestamp) for at, m in truth.items()
    }
    again = divrec("dump", "--out", out, "--config", file)
    assert (again.exit_code, "not there yet" in again.stderr) == (2, True)
    assert not list(tmp_path.glob(".*.part"))


def test_a_file_that_is_no_dump_is_told_from_one(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(encode(Click(user_id="u", item_id="i")) + b"\n")
    assert not is_dump(log)
    log.write_bytes(dumped(Message("t", 0, 1, 5)) + b"\n{}\n")
    assert is_dump(log)
    with pytest.raises(ConfigError, match="line 2"):
        list(read_dump(log))


def test_a_topic_is_replayed_from_its_start_an_offset_or_a_time(config: Config, tmp_path: Path) -> None:
    prepared(config)
    topics, file = Topics(config), write(config, tmp_path)
    old = topics.events  # any topic will do whose times are the producer's
    events = [
        Item(item_id="i1", title="A thing"),
        *(Click(user_id=f"u{n}", item_id="i1", ts=TIME + n, event_id=f"e{n}") for n in range(5)),
        Review(user_id="u1", item_id="i1", text="fine", ts=TIME + 5),
        Request(user_id="u2", ts=TIME + 6),
    ]
    send(config, [Record(old, 0, b"k", encode(event), (), TIME + 1_000 * n) for n, event in enumerate(events)])
    send(config, [Record(old, 0, b"k", b"no event", (), TIME + 60_000)])

    def replayed(*options: str) -> dict[str, object]:
        result = divrec("replay", "--from-topic", old, *options, "--json", "--config", file)
        assert result.exit_code == 0, result.stderr
        told: dict[str, object] = json.loads(result.stdout)
        return told

    whole = {"items": 1, "clicks": 5, "reviews": 1, "requests": 1}
    assert replayed() == {"sent": whole, "rejected": {"not-json": 1}, "rejects": None}
    assert replayed("--from", "start", "--limit", "3")["sent"] == {"items": 1, "clicks": 2}
    assert replayed("--from", "4")["sent"] == {"clicks": 2, "reviews": 1, "requests": 1}
    assert replayed("--from", "2023-11-14T22:13:24.500Z")["sent"] == {"clicks": 1, "reviews": 1, "requests": 1}
    assert replayed("--from", "2040-01-01")["sent"] == {}
    clicks = read(config, topics.clicks, lambda m: len(m) >= 10)
    assert sorted(body(m)["event_id"] for m in clicks) == sorted(
        [*(f"e{n}" for n in range(5)), "e0", "e1", "e3", "e4", "e4"]
    )
    assert {headers(m)[REPLAY] for m in clicks} == {"1"}
    (review,) = {body(m)["event_id"] for m in read(config, topics.reviews, lambda m: len(m) >= 3)}
    assert review == f"{old}:0:6", "an event without an id is named by its position"
    assert len(clicks) == 10


def test_a_topic_of_another_shape_is_mapped(config: Config, tmp_path: Path) -> None:
    prepared(config)
    topics, file = Topics(config), write(config, tmp_path)
    old = f"{config.kafka.prefix}metrics"
    rows = [{"buyer": {"id": f"u{n}"}, "sku": n, "at": "2024-05-01"} for n in range(3)]
    send(config, [Record(old, 0, None, json.dumps(row).encode()) for row in [*rows, {"sku": 1}]])
    columns = "user=buyer.id,item=sku,ts=at,action==purchase"
    result = divrec("replay", "--from-topic", old, "--map", columns, "--config", file)
    assert (result.exit_code, result.stdout) == (0, "sent 3 clicks\n")
    assert "1 messages of" in result.stderr and "1 missing-field" in result.stderr
    found = [body(m) for m in read(config, topics.clicks, lambda m: len(m) >= 3)]
    assert sorted((event["user_id"], event["item_id"], event["action"]) for event in found) == [
        (f"u{n}", f"{n}", "purchase") for n in range(3)
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "expected a LOG or --from-topic"),
        (("--from-topic", "x", "log.jsonl"), "expected neither LOG"),
        (("--from-topic", "x", "--from", "yesterday"), "--from: expected start, an offset"),
        (("--from-topic", "no-such-topic"), "expected it to exist"),
    ],
)
def test_wrong_use_is_said(config: Config, tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    result = divrec("replay", *arguments, "--config", write(prepared(config), tmp_path))
    assert result.exit_code == 2
    assert told in result.stderr
