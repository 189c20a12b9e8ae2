"""The agent loop and the process around it, with a worker made for the purpose."""

import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.config import Config
from streams.batches import Acks
from streams.codec import Record, now_ms
from streams.leaving import EXIT_CONFIG, EXIT_CRASHED, EXIT_OK, EXIT_UNDRAINED
from streams.local.servers import free_ports
from streams.topics import Topics
from tests.servers import Broker, EmbeddedBroker
from tests.streams.running import prepared, read, send, worker

ECHO = (
    """
import asyncio, json, os, sys
import streams.worker
from divrec.config import Config
from streams.batches import batches
from streams.codec import Record, send_all
from streams.topics import Topics
from streams.worker import run_worker

config = Config(**json.loads(sys.argv[1]))
topics = Topics(config)
streams.worker.DRAIN_S = 1.5

async def set_up(worker):
    async def process(messages):
        if any(m.value == b"raise" for m in messages):
            raise ValueError("a bug")
        if any(m.value == b"hang" for m in messages):
            await asyncio.sleep(60)
        await send_all(worker.producer, [Record(topics.events, m.partition, m.key, m.value) for m in messages])
    batches(worker.app, [topics.clicks], process, 10)

sys.exit(run_worker(config, "{module}", set_up))
""".replace("{", "{{")
    .replace("}", "}}")
    .replace("{{module}}", "{module}")
)


def configured(broker: Broker, directory: Path) -> Config:
    kafka = {"brokers": broker.address, "prefix": f"t{now_ms()}.", "partitions": 2, **broker.settings}
    return prepared(Config(kafka=kafka, worker={"state_dir": directory}))


def put(config: Config, *values: bytes) -> None:
    send(config, [Record(Topics(config).clicks, 0, b"k", value) for value in values])


@pytest.mark.kafka
def test_an_error_ends_the_process_before_anything_of_its_batch_is_acknowledged(
    kafka_broker: Broker, tmp_path: Path
) -> None:
    config = configured(kafka_broker, tmp_path)
    topics = Topics(config)
    with worker(config, "echo", ECHO) as running:
        put(config, *(b"%d" % n for n in range(30)))
        read(config, topics.events, lambda found: len(found) >= 30)
        time.sleep(1.5)  # until it is committed
        put(config, b"30", b"raise", b"31")
        assert running.exit_code() == EXIT_CRASHED
        assert running.said("raised ValueError")
        assert not running.ready
    with worker(config, "echo", ECHO, ready=False) as running:
        assert running.exit_code() == EXIT_CRASHED  # the same event: what follows it is not passed over
    values = [m.value for m in read(config, topics.events, lambda found: len(found) >= 30)]
    assert values[:30] == [b"%d" % n for n in range(30)]
    assert b"31" not in values


def test_a_worker_that_cannot_drain_ends_all_the_same(embedded_broker: Broker, tmp_path: Path) -> None:
    config = configured(embedded_broker, tmp_path)
    with worker(config, "echo", ECHO) as running:
        put(config, b"hang")
        time.sleep(0.5)
        begin = time.monotonic()
        assert running.end() == EXIT_UNDRAINED
        assert time.monotonic() - begin < 4
        assert running.said("will be repeated")


def test_a_broker_that_is_away_is_waited_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = EmbeddedBroker(tmp_path_factory.mktemp("late"))
    config = Config(
        kafka={"brokers": server.address, "partitions": 2, **server.settings},
        worker={"state_dir": tmp_path_factory.mktemp("state")},
    )
    with worker(config, "echo", ECHO, ready=False) as running:
        running.wait_until(lambda: running.said("waiting for it"))
        server.start()
        try:
            assert running.exit_code() == EXIT_CONFIG  # the topics are not there
            assert running.said("divrec topics create")
            assert len(running.lines) < 25
            assert not running.said("Traceback")
        finally:
            server.stop()


def test_a_worker_that_waits_for_its_broker_can_be_stopped(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = Config(kafka={"brokers": f"127.0.0.1:{port}"}, worker={"state_dir": tmp_path})
    with worker(config, "echo", ECHO, ready=False) as running:
        running.wait_until(lambda: running.said("waiting for it"))
        running.process.send_signal(signal.SIGINT)
        assert running.exit_code(5) == EXIT_OK
        assert not running.said("Traceback")


class App:
    """What Acks needs of one; ``acked`` is what Faust heard."""

    def __init__(self) -> None:
        self.consumer_generation_id = 1
        self.consumer = SimpleNamespace(unacked=set())
        self.acked: list[tuple[int, int]] = []

    def raw(self, partition: int, offset: int) -> Any:
        message = SimpleNamespace(
            topic="t", partition=partition, offset=offset, generation_id=1, timestamp=5.001, key=b"k", value=b"v"
        )
        message.headers = None
        message.ack = lambda _: self.acked.append((partition, offset))
        return Hashable(message)


class Hashable:
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@given(st.permutations([(partition, offset) for partition in range(2) for offset in range(5, 10)]), st.integers(1, 4))
def test_faust_hears_of_a_message_when_all_before_it_are_done(order: list[tuple[int, int]], portion: int) -> None:
    app = App()
    acks = Acks(app)  # type: ignore[arg-type]
    taken = {(p, offset): acks.take(app.raw(p, offset)) for offset in range(5, 10) for p in range(2)}
    done: set[tuple[int, int]] = set()
    for start in range(0, len(order), portion):
        part = order[start : start + portion]
        acks.done([taken[one] for one in part])
        done.update(part)
        expected = {(p, o) for p in range(2) for o in range(5, 10) if {(p, b) for b in range(5, o + 1)} <= done}
        assert set(app.acked) == expected
        assert len(acks) == 10 - len(expected)
    assert len(app.acked) == 10
    for partition in range(2):
        offsets = [offset for p, offset in app.acked if p == partition]
        assert offsets == sorted(offsets)


def test_nothing_abandoned_or_of_an_earlier_generation_is_acknowledged() -> None:
    app = App()
    acks = Acks(app)  # type: ignore[arg-type]
    lost = acks.take(app.raw(0, 1))
    assert (lost.timestamp, lost.headers) == (5_001, ())
    acks.abandon()
    acks.done([lost])
    kept = acks.take(app.raw(0, 2))
    acks.done([kept])
    assert app.acked == [(0, 2)]
    stale = acks.take(app.raw(0, 3))
    app.consumer_generation_id = 2
    acks.done([stale])
    assert app.acked == [(0, 2)]
    assert len(acks) == 0
