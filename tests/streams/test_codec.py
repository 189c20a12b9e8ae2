import asyncio
import itertools
from pathlib import Path

import pytest

from divrec.config import Config
from divrec.errors import EventError
from divrec.events import MAX_MESSAGE_BYTES
from streams.codec import (
    BATCH_BYTES,
    MAX_RECORD_BYTES,
    Message,
    Record,
    RecordTooLarge,
    dead_letter,
    event_id,
    event_time,
    kafka_time,
    now_ms,
    replay_headers,
    send_all,
    value_of,
)
from streams.topics import Topics
from tests.servers import KafkaServer
from tests.streams.running import headers, prepared, producing, read, send


def message(value: bytes | None = b"{}", *sent: tuple[str, bytes], timestamp: int = 1_000) -> Message:
    return Message("clicks", 3, 17, timestamp, b"key", value, sent)


def test_the_id_is_the_given_one_else_that_of_the_header_else_the_position() -> None:
    named = message(b"{}", ("divrec-event-id", b"from-header"))
    assert event_id("given", named) == "given"
    assert event_id(None, named) == "from-header"
    assert event_id(None, message()) == "clicks:3:17"


@pytest.mark.parametrize("bad", [b"", b"\xff", b"x" * 300])
def test_an_unusable_id_header_counts_as_none(bad: bytes) -> None:
    assert event_id(None, message(b"{}", ("divrec-event-id", bad))) == "clicks:3:17"


def test_times_not_given_or_in_the_future_are_those_of_kafka() -> None:
    assert event_time(0, message(timestamp=1_000)) == 1_000
    assert event_time(2_000, message(timestamp=1_000)) == 1_000
    assert event_time(500, message(timestamp=1_000)) == 500


@pytest.mark.parametrize("ts", [0, 253_402_300_799_999])
def test_a_producer_whose_clock_is_far_ahead_does_not_tell_the_time(ts: int) -> None:
    begin = now_ms()
    assert begin <= event_time(ts, message(timestamp=2**62)) <= now_ms()
    assert event_time(500, message(timestamp=2**62)) == 500
    assert event_time(ts, message(timestamp=begin + 60_000)) == begin + 60_000


def test_a_header_leads_back_to_the_time_of_the_original() -> None:
    redriven = message(b"{}", ("divrec-timestamp", b"700"))
    assert (kafka_time(redriven), event_time(0, redriven), event_time(900, redriven)) == (700, 700, 700)
    assert dict(dead_letter("dead", redriven, "invalid", "", "ingest").headers)["divrec-timestamp"] == b"700"
    for other in (b"1001", b"", b"\xff", b"-1", b"1" * 16, "²".encode()):
        assert kafka_time(message(b"{}", ("divrec-timestamp", other))) == 1_000


@pytest.mark.parametrize(
    ("value", "reason"), [(None, "empty"), (b"", "empty"), (b"x" * (MAX_MESSAGE_BYTES + 1), "too-large")]
)
def test_a_value_that_is_not_there_or_too_large_is_refused(value: bytes | None, reason: str) -> None:
    with pytest.raises(EventError) as refused:
        value_of(message(value))
    assert refused.value.reason == reason


def test_only_the_replay_mark_travels_on() -> None:
    assert list(replay_headers(message(b"{}", ("divrec-replay", b"1"), ("other", b"2")))) == [("divrec-replay", b"1")]
    assert not replay_headers(message())


def test_a_dead_letter_keeps_the_original_and_says_where_and_why() -> None:
    original = message(b"\x00broken", ("trace", b"t"), ("divrec-replay", b"1"), ("divrec-reason", b"earlier"))
    letter = dead_letter("dead", original, "not-json", "unexpected é", "ingest")
    assert (letter.topic, letter.key, letter.value) == ("dead", b"key", b"\x00broken")
    assert {name: value.decode() for name, value in letter.headers} == {
        "trace": "t",
        "divrec-replay": "1",
        "divrec-reason": "not-json",
        "divrec-detail": "unexpected é",
        "divrec-stage": "ingest",
        "divrec-topic": "clicks",
        "divrec-partition": "3",
        "divrec-offset": "17",
        "divrec-event-id": "clicks:3:17",
        "divrec-timestamp": "1000",
    }
    assert [name for name, _ in letter.headers].count("divrec-reason") == 1


def test_a_dead_letter_that_would_not_fit_says_where_its_value_is() -> None:
    letter = dead_letter("dead", message(b"x" * MAX_RECORD_BYTES), "too-large", "expected less", "ingest")
    assert letter.value is None
    assert letter.size() < 10_000
    told = dict(letter.headers)
    assert told["divrec-offset"] == b"17"
    assert b"4000000 bytes" in told["divrec-detail"]


def test_records_arrive_in_order_with_all_they_carry(config: Config) -> None:
    prepared(config)
    topic = Topics(config).events
    large = b"x" * (BATCH_BYTES // 3)  # several batches for a partition, one of them of a single record
    values = [b"%d " % i + (large if i % 50 == 0 else b"") for i in range(1_000)] + [
        b"1000 " + b"x" * (BATCH_BYTES + 9)
    ]
    start = now_ms()
    send(config, [Record(topic, i % 4, b"k%d" % i, v, [("n", b"%d" % i)], 1_000 + i) for i, v in enumerate(values)])
    send(config, [Record(topic, None, b"tombstone", None)])
    found = read(config, topic, lambda messages: len(messages) >= 1_002)
    by_partition = itertools.groupby(sorted(found, key=lambda m: (m.partition, m.offset)), key=lambda m: m.partition)
    for partition, messages in by_partition:
        kept = [m for m in messages if m.value is not None]
        numbers = [int(m.value.split(b" ")[0]) for m in kept if m.value]
        assert numbers == list(range(partition, 1_001, 4))
        for number, m in zip(numbers, kept, strict=True):
            assert (m.value, m.key, m.timestamp) == (values[number], b"k%d" % number, 1_000 + number)
            assert headers(m) == {"n": str(number)}
    (gone,) = [m for m in found if m.value is None]
    assert gone.key == b"tombstone"
    assert gone.timestamp >= start


def test_too_large_records_are_named_and_the_others_are_sent(config: Config) -> None:
    prepared(config)
    topic = Topics(config).events
    too_large = Record(topic, 0, b"large", b"x" * MAX_RECORD_BYTES)
    with pytest.raises(RecordTooLarge) as refused:
        send(config, [too_large, Record(topic, 0, b"small", b"1")])
    assert refused.value.records == [too_large]
    assert [m.key for m in read(config, topic, bool)] == [b"small"]


@pytest.mark.kafka
@pytest.mark.parametrize("idempotent", [True, False])
def test_sending_waits_for_a_broker_that_is_away(kafka_directory: Path, idempotent: bool) -> None:
    server = KafkaServer(kafka_directory / f"away-{idempotent}")
    server.start()
    config = prepared(Config(kafka={"brokers": server.address, "idempotent": idempotent}))
    topic = Topics(config).events

    async def scenario() -> None:
        async with producing(config) as producer:
            await send_all(producer, [Record(topic, 0, b"k", b"first")])
            server.kill()
            sending = asyncio.create_task(send_all(producer, [Record(topic, 0, b"k", b"%d" % i) for i in range(9)]))
            await asyncio.sleep(1)
            assert not sending.done()
            server.child.start()  # start() would wait for it to answer
            await asyncio.wait_for(sending, 30)

    try:
        asyncio.run(scenario())
        found = read(config, topic, lambda messages: len(messages) >= 10)
        assert [m.value for m in found] == [b"first", *(b"%d" % i for i in range(9))]
    finally:
        server.kill()
