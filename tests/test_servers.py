"""The servers of the tests lose and keep what the tests of faults rely on."""

import asyncio
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.servers import KafkaServer, ValkeyServer


def test_valkey_keeps_its_data_over_a_crash_and_can_be_put_back(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path / "valkey")
    server.start()
    try:
        with server.client() as client:
            client.set("a", 1)
            server.snapshot(tmp_path / "older")
            client.set("a", 2)
            server.kill()
            server.start()
            assert client.get("a") == b"2"
            server.put_back(tmp_path / "older")
            assert client.get("a") == b"1"
    finally:
        server.kill()


@pytest.mark.kafka
def test_kafka_compacts_and_keeps_its_data_over_stop_and_crash(kafka_directory: Path) -> None:
    server = KafkaServer(kafka_directory / "restarted")
    server.start()
    try:
        asyncio.run(_fill(server.address))
        asyncio.run(_compacted(server.address))
        for end in (server.stop, server.kill):
            end()
            server.start()
            assert asyncio.run(_values(server.address))[-1] == b"99"
    finally:
        server.kill()


async def _fill(address: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    quick = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
    await admin.create_topics([NewTopic("c", 1, 1, topic_configs=quick)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=address, enable_idempotence=True)
    await producer.start()
    for value in range(100):
        await producer.send_and_wait("c", str(value).encode(), key=b"k")
        await asyncio.sleep(0.005)
    await producer.stop()


async def _compacted(address: str) -> None:
    deadline = time.monotonic() + 20
    while len(await _values(address)) > 50:
        assert time.monotonic() < deadline, "not compacted within 20 s"
        await asyncio.sleep(0.1)


async def _values(address: str) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=address)
    await consumer.start()
    try:
        partition = TopicPartition("c", 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        (end,) = (await consumer.end_offsets([partition])).values()
        values: list[bytes] = []
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                values += [record.value for record in records]
        return values
    finally:
        await consumer.stop()
