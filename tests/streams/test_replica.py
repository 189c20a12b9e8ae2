"""Replicas: snapshots, recovery, and what they make of logs that were cut or compacted."""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from divrec.config import Config
from divrec.deltas import Delta, ModelLogRecord, encode_record
from divrec.errors import SnapshotError
from divrec.events import Item, ItemVector, pack_vector
from divrec.profile import Profile
from divrec.state.snapshot import latest_snapshot
from streams.codec import Record, encode
from streams.leaving import EXIT_SNAPSHOT
from streams.replica import Replica, read_replica, snapshot_directory
from streams.topics import Topics
from tests.servers import KafkaServer, ValkeyServer, config_for
from tests.streams.running import prepared, read_all, send, worker
from tests.text.counting_encoder import CountingEncoder

ENCODER = CountingEncoder("m")


def changed(config: Config, section: str, **values: Any) -> Config:
    return config.model_copy(update={section: getattr(config, section).model_copy(update=values)})


def deltas(config: Config, start: int, count: int) -> list[Record]:
    """Model-log records, each with two deltas of one of two partitions."""
    random = np.random.default_rng(start)
    records = []
    for n in range(start, start + count):
        items = [f"i{item}" for item in random.integers(0, 40, 6)]
        pair = [
            Delta(2 * n, items[0], 0.6, 1_000 + n, items[2:4]),
            Delta(2 * n + 1, items[1], 1.0, 1_000 + n, items[4:]),
        ]
        records.append(Record(Topics(config).model_log, 0, None, encode_record(ModelLogRecord(n % 2, pair))))
    return records


def replica_of(config: Config) -> Replica:
    return asyncio.run(read_replica(config))


def state_of(replica: Replica) -> tuple[int, str]:
    return replica.version, replica.engine.model.state().digest()


def test_a_snapshot_and_the_rest_of_the_log_make_the_same_replica(config: Config, tmp_path: Path) -> None:
    prepared(config)
    writing = changed(config, "worker", snapshot_every=20)
    fresh = changed(config, "worker", state_dir=tmp_path / "fresh")
    send(config, deltas(config, 0, 50))
    replica_of(writing)
    directory = snapshot_directory(writing)
    versions = sorted(int(place.name) for place in directory.iterdir())
    assert versions == [20, 40]
    send(config, deltas(config, 50, 15))
    assert state_of(replica_of(config)) == state_of(replica_of(fresh)) == (65, state_of(replica_of(fresh))[1])

    # A damaged snapshot is passed over for the one before, and for none at all.
    newest = directory / f"{40:020d}" / "counts.npy"
    newest.write_bytes(newest.read_bytes()[:-4])
    older = latest_snapshot(directory)
    assert older is not None and older.version == 20
    assert state_of(replica_of(config)) == state_of(replica_of(fresh))
    shutil.rmtree(directory / f"{20:020d}")
    assert state_of(replica_of(config)) == state_of(replica_of(fresh))


def test_what_a_replica_cannot_read_it_passes_over(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    prepared(config)
    topics = Topics(config)
    falling = [Delta(5, "i1", 1.0, 1, []), Delta(4, "i2", 1.0, 1, [])]
    bad = [
        Record(topics.model_log, 0, None, b"no delta"),
        Record(topics.model_log, 0, None, None),
        Record(topics.model_log, 0, None, encode_record(ModelLogRecord(0, falling))),
        Record(topics.catalog, 0, b"i1", b"{"),
        Record(topics.catalog, 1, b"i1", b'{"kind":"item","item_id":"i1","x":' + b"[" * 5_000),
        Record(topics.item_vectors, 0, b"m|i1", b'{"kind":"item_vector","item_id":"i1","model":"m","vector":"AAAA"}'),
    ]
    send(config, [*deltas(config, 0, 5), *bad, *deltas(config, 5, 5), *deltas(config, 0, 10)])
    replica = replica_of(changed(config, "encoder", model="m"))
    assert replica.skipped == len(bad)
    assert replica.version == 23
    assert replica.engine.model.interactions == 20  # the repeats are not counted
    assert f"{topics.model_log}:0:5: skipped" in caplog.text


def test_a_snapshot_of_another_log_or_other_settings_is_refused(config: Config) -> None:
    prepared(config)
    writing = changed(config, "worker", snapshot_every=20)
    send(config, deltas(config, 0, 30))
    replica_of(writing)
    with pytest.raises(SnapshotError, match=r"model\.neighbours; set them back"):
        replica_of(changed(config, "model", neighbours=8))
    other = prepared(changed(config, "kafka", prefix=f"{config.kafka.prefix}other."))
    with pytest.raises(SnapshotError, match="this is another log; remove"):
        replica_of(other)


def cut(config: Config, before: int) -> None:
    """Delete the model log's records before this offset, as retention does."""

    async def cutting() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka.brokers)
        await admin.start()
        try:
            await admin.delete_records({TopicPartition(Topics(config).model_log, 0): RecordsToDelete(before)})
        finally:
            await admin.close()

    asyncio.run(cutting())


@pytest.mark.kafka
def test_a_log_that_no_longer_reaches_back_is_refused_unless_asked(
    kafka_broker: KafkaServer, valkey: ValkeyServer, tmp_path: Path
) -> None:
    config = prepared(config_for(kafka_broker, valkey, tmp_path))
    send(config, deltas(config, 0, 60))
    whole = state_of(replica_of(changed(config, "worker", snapshot_every=25)))
    cut(config, 45)
    assert state_of(replica_of(config)) == whole  # from the snapshot at 50

    bare = changed(config, "worker", state_dir=tmp_path / "bare")
    with worker(bare, "streams.recommend", ready=False) as running:
        assert running.exit_code() == EXIT_SNAPSHOT
        assert running.said("expected it to begin at 0 or before, it begins at 45")
        assert running.said("--from-oldest")
        assert not running.said("Traceback")
    shutil.rmtree(snapshot_directory(config) / f"{50:020d}")
    with pytest.raises(SnapshotError, match="to begin at 25 or before, it begins at 45"):
        replica_of(config)
    accepted = replica_of(changed(bare, "worker", from_oldest=True))
    assert (accepted.version, accepted.engine.model.interactions) == (60, 30)


def catalogue(replica: Replica) -> dict[str, Any]:
    """What is listed, its vectors, and what is withdrawn."""
    catalog, items = replica.engine.catalog, replica.engine.items
    return {
        "withdrawn": catalog._withdrawn,
        "items": {
            items.id(row): (catalog.descriptions[row], catalog._raw[row].tobytes() if catalog.has_vector[row] else None)
            for row in np.flatnonzero(catalog.listed).tolist()
        },
    }


async def create_quickly_compacted(config: Config) -> None:
    topics = Topics(config)
    quick = {"cleanup.policy": "compact", "segment.ms": "100", "delete.retention.ms": "100"}
    admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka.brokers)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(name, 4, 1, topic_configs=quick) for name in (topics.catalog, topics.item_vectors)]
        )
    finally:
        await admin.close()


def versions(config: Config) -> list[Record]:
    """Each item in five versions; in the end every fourth is withdrawn, every fourth has lost its vector."""
    topics = Topics(config)
    records = []
    for version in range(5):
        for n in range(40):
            name, gone, bare = f"i{n}", version == 4 and n % 4 == 0, version == 4 and n % 4 == 1
            item = Item(item_id=name, title=f"{name} in version {version}", available=not gone, ts=version + 1)
            text = f"{name} {version}"
            vector = ItemVector(item_id=name, model="m", vector=pack_vector(ENCODER.encode([text])[0]))
            records.append(Record(topics.catalog, None, name.encode(), encode(item)))
            packed = None if gone or bare else encode(vector)
            records.append(Record(topics.item_vectors, None, f"m|{name}".encode(), packed))
    return records


@pytest.mark.kafka
def test_compaction_changes_nothing_and_withdrawals_are_remembered(
    kafka_broker: KafkaServer, valkey: ValkeyServer, tmp_path: Path
) -> None:
    config = config_for(kafka_broker, valkey, tmp_path, encoder={"model": "m"})
    asyncio.run(create_quickly_compacted(config))
    topics = Topics(prepared(config))
    all_versions = versions(config)
    for at in range(0, len(all_versions), 80):
        send(config, all_versions[at : at + 80])
        time.sleep(0.15)  # a segment each
    before = catalogue(replica_of(config))
    assert len(before["items"]) == 30
    assert sum(vector is not None for _, vector in before["items"].values()) == 20

    fillers = [Item(item_id=f"filler{n}", ts=1) for n in range(40)]
    deadline = time.monotonic() + 30
    while len(records_of(config, topics.catalog, "i")) > 40 or len(records_of(config, topics.item_vectors, "m|i")) > 30:
        assert time.monotonic() < deadline, "not compacted within 30 s"
        # The active segment is never compacted: new records push the last versions out of it.
        send(config, [Record(topics.catalog, None, item.item_id.encode(), encode(item)) for item in fillers])
        send(config, [Record(topics.item_vectors, None, f"m|{item.item_id}".encode(), None) for item in fillers])
        time.sleep(0.2)

    # An item that was withdrawn before the log was compacted comes back from the model log, and stays hidden.
    send(config, deltas(config, 0, 60))
    replica = replica_of(config)
    after = catalogue(replica)
    assert {name: item for name, item in after["items"].items() if not name.startswith("filler")} == before["items"]
    assert after["withdrawn"] == before["withdrawn"]
    known = {replica.engine.items.id(row) for row in np.flatnonzero(replica.engine.model.known).tolist()}
    assert "i0" in known
    slate = replica.engine.recommend(Profile("u", 0), 10_000, k=100)
    assert slate and not {item.item_id for item in slate} & {f"i{n}" for n in range(0, 40, 4)}


def records_of(config: Config, topic: str, prefix: str) -> list[bytes | None]:
    """Keys of the records that are still there, tombstones included."""
    found = read_all(config, topic)[topic]
    return [message.key for message in found if (message.key or b"").decode().startswith(prefix)]
