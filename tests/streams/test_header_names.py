"""A header name that is not UTF-8 stops no reader of its topic."""

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from divrec.config import Config
from streams.codec import Record
from streams.kafka.header_names import _PartitionRecords, _Records
from streams.topics import Topics
from tests.streams.running import prepared, producing, read, send, worker

CLICK = b'{"user_id":"u","item_id":"i"}'


class Latin(str):
    """Encodes as no Unicode text would."""

    def encode(self, *_: Any) -> bytes:
        return super().encode("latin-1")


def builder(compression: int = 0) -> Any:
    return _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=100_000,
    )


@pytest.mark.parametrize("compression", [0, 1])
@pytest.mark.parametrize("start", [0, 2, 4])
def test_every_record_of_the_fetch_is_read_once(compression: int, start: int) -> None:
    made = builder(compression)
    for offset in range(5):
        made.append(
            offset,
            timestamp=1_000 + offset,
            key=b"k",
            value=b"v" * 300,
            headers=[
                (Latin("größe") if offset == 3 else "größe", b"1"),
                ("none", None),
            ],
        )
    data = bytes(made.build())
    records = list(_PartitionRecords(TopicPartition("t", 0), _Records(data), None, start, None, None, True, 0))
    assert [record.offset for record in records] == [*range(start, 5)]
    assert {record.value for record in records} == {b"v" * 300}
    names = {record.offset: record.headers for record in records}
    assert names == {n: ((("gr\ufffd\ufffde" if n == 3 else "größe"), b"1"), ("none", None)) for n in range(start, 5)}


def test_a_worker_goes_on(config: Config) -> None:
    topics = Topics(prepared(config))
    plain = config.model_copy(update={"kafka": config.kafka.model_copy(update={"idempotent": False})})

    async def sending() -> None:
        async with producing(plain) as producer:
            for value in (CLICK, b"broken"):
                batch = producer.create_batch()
                batch._builder = builder()
                batch.append(key=b"k", value=value, timestamp=None, headers=[(Latin("größe"), b"1")])
                batch.close()
                await (await producer.send_batch(batch, topics.clicks, partition=0))

    with worker(config, "streams.ingest") as running:
        asyncio.run(sending())
        send(config, [Record(topics.clicks, 0, None, CLICK)])
        read(config, topics.events, lambda found: len(found) == 2)
        (letter,) = read(config, topics.dead_letters, bool)
        assert running.process.poll() is None
    assert letter.value == b"broken"
    assert letter.header("gr\ufffd\ufffde") == b"1"
