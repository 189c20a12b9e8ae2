"""Recommend, ingest and encode on Apache Kafka while everything around them fails.

``CRASH_SEED`` in the environment gives another log and another order of the faults.
"""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from divrec.config import Config
from streams.codec import Message, Record, decode_event
from streams.topics import Topics
from tests.e2e.checks import check_effects, check_replicas
from tests.e2e.crash_log import Crowd, catalog
from tests.e2e.crew import SESSION_S, Crew, crew
from tests.e2e.faulty_worker import ENCODER, Faults
from tests.servers import KafkaServer, ValkeyServer, config_for
from tests.streams.running import prepared, read_all, send

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

SEED = int(os.environ.get("CRASH_SEED", "1"))


@pytest.fixture
def own_valkey(tmp_path: Path) -> ValkeyServer:
    """One that may be struck."""
    server = ValkeyServer(tmp_path / "valkey")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def crash_config(kafka_broker: KafkaServer, own_valkey: ValkeyServer, tmp_path: Path) -> Config:
    config = config_for(
        kafka_broker,
        own_valkey,
        tmp_path,
        worker={"batch": 50, "snapshot_every": 60},
        model={"neighbours": 640, "max_items": 5_000},
        encoder={"model": ENCODER, "cache_dir": tmp_path / "cache"},
    )
    return prepared(config)


class Scenario:
    """Feeds the workers, and strikes in the midst of their work."""

    def __init__(self, workers: Crew, kafka: KafkaServer, valkey: ValkeyServer, directory: Path) -> None:
        self.workers, self.kafka, self.valkey = workers, kafka, valkey
        self.random = np.random.default_rng(SEED)
        self.crowd = Crowd(workers.config, SEED)
        self.inputs: list[Record] = []
        self._memory = directory / "remembered"

    def feed(self, events: int, inputs: int) -> None:
        found = self.crowd.inputs(inputs)
        self.inputs += found
        send(self.workers.config, [*found, *self.crowd.events(events), *self.crowd.new_items(inputs // 10)])

    def run(self, *faults: str) -> None:
        """Each of ``faults`` at a random point of a portion of the log."""
        for fault in faults:
            before = self.workers.applied()
            self.feed(1_120, 310)
            self.workers.wait_applied(before + int(self.random.integers(60, 1_000)))
            print("strike:", fault, "at", self.workers.applied())
            getattr(self, fault)()

    def shuffled(self, *faults: str) -> list[str]:
        return [faults[int(n)] for n in self.random.permutation(len(faults))]

    def _any(self) -> str:
        names = sorted(name for name in self.workers.running if name.startswith("recommend"))
        return names[int(self.random.integers(len(names)))]

    def kill(self) -> None:
        name = self._any()
        self.workers.kill(name)
        self.workers.start(name)

    def kill_ingest(self) -> None:
        self.workers.kill("ingest-a")
        self.workers.start("ingest-a")

    def kill_encode(self) -> None:
        self.workers.kill("encode-a")
        self.workers.start("encode-a")

    def join(self) -> None:
        joining = self.workers.start("recommend-b")
        self.workers.wait(lambda: joining.said("assigned: "))

    def leave(self) -> None:
        self.workers.end("recommend-b")

    def freeze(self) -> None:
        """Past the session: the others take its partitions over and go on, then it wakes and still holds its batch."""
        workers = self.workers
        name = self._any()
        (other,) = {name for name in workers.running if name.startswith("recommend")} - {name}
        workers.wait(lambda: all(worker.said("is ready") for worker in workers.running.values()))
        before = workers.applied()
        self.feed(500, 0)
        workers.wait_applied(before + 50)
        frozen = workers.freeze(name, until_taken_over_by=other)
        before = workers.applied()
        self.feed(200, 0)
        workers.wait_applied(before + 100)
        frozen.process.send_signal(signal.SIGCONT)

    def restart_kafka(self) -> None:
        self.kafka.stop()
        self.kafka.start()

    def restart_valkey(self) -> None:
        self.valkey.kill()
        self.valkey.start()

    def remember(self) -> None:
        self.valkey.snapshot(self._memory)

    def put_back(self) -> None:
        self.valkey.put_back(self._memory)

    def finished(self) -> list[Message]:
        """All of ``events``, when everything has come through."""
        topics = Topics(self.workers.config)
        awaited = {decode_event(record.value or b"").event_id for record in self.inputs}
        events: list[Message] = []

        def complete() -> bool:
            events[:] = read_all(self.workers.config, topics.events)[topics.events]
            return awaited <= {event_id_of(message) for message in events}

        self.workers.wait(complete)
        self.workers.wait_applied(len(events))
        return events


def event_id_of(message: Message) -> str | None:
    try:
        return decode_event(message.value or b"").event_id
    except (ValueError, RecursionError):
        return None


def test_everything_fails_once(
    kafka_broker: KafkaServer, own_valkey: ValkeyServer, crash_config: Config, tmp_path: Path
) -> None:
    """A replay of 20,000 events: kills, a join and a leave, a freeze past the session, servers that go and forget."""
    send(crash_config, list(catalog(crash_config)))
    with crew(crash_config, own_valkey, tmp_path / "workers") as workers:
        scenario = Scenario(workers, kafka_broker, own_valkey, tmp_path)
        for name in ("recommend-a", "ingest-a", "encode-a"):
            workers.start(name)
        scenario.run(*scenario.shuffled("kill", "kill_ingest", "restart_valkey", "remember"))
        scenario.run("join", *scenario.shuffled("kill", "kill", "freeze", "put_back", "restart_kafka"), "leave")
        scenario.run(*scenario.shuffled("kill", "kill", "kill_encode"))
        events = scenario.finished()
        for name in list(workers.running):
            workers.end(name)
        assert len(events) >= 20_000
        check_effects(workers, events)
        check_replicas(workers)


DEATHS = ("loaded", "observed", "half-sent", "deltas-sent", "sent", "saved", "acknowledged", "snapshot")
FREEZES = ("observed", "sent")


def test_faults_between_the_steps(
    kafka_broker: KafkaServer, own_valkey: ValkeyServer, crash_config: Config, tmp_path: Path
) -> None:
    """A worker dies after each step of a batch, of a re-read and in the middle of a snapshot; it freezes between steps
    while another takes over, and goes on from there."""
    config = crash_config.model_copy(
        update={"worker": crash_config.worker.model_copy(update={"snapshot_every": 15, "batch": 20})}
    )
    send(config, list(catalog(config)))
    with crew(config, own_valkey, tmp_path / "workers") as workers:
        scenario = Scenario(workers, kafka_broker, own_valkey, tmp_path)
        for number, step in enumerate(DEATHS):
            scenario.feed(300, 0)
            count = int(scenario.random.integers(2, 6))
            workers.start("recommend-a", Faults(step, count, session_s=SESSION_S))
            workers.wait_dead("recommend-a")
            if number == 2:
                scenario.remember()
        workers.start("recommend-b", Faults(session_s=SESSION_S))
        workers.wait_applied(300 * len(DEATHS))
        workers.end("recommend-b")

        scenario.put_back()
        scenario.feed(300, 0)
        workers.start("recommend-a", Faults("reread", 3, session_s=SESSION_S))
        workers.wait_dead("recommend-a")

        workers.start("recommend-b", Faults(session_s=SESSION_S), ready=True)
        for step in FREEZES:
            frozen = workers.start("recommend-a", Faults(step, 4, signal.SIGSTOP, session_s=SESSION_S))
            workers.wait(lambda frozen=frozen: frozen.said("assigned: "))
            total = workers.applied()
            scenario.feed(600, 0)
            workers.wait_frozen("recommend-a")
            workers.wait_applied(total + 600)
            scenario.feed(200, 0)
            workers.wait_applied(total + 700)
            frozen.process.send_signal(signal.SIGCONT)
            scenario.feed(100, 0)
            workers.wait(lambda frozen=frozen: sum("assigned: " in line for line in list(frozen.lines)) == 2)
            workers.end("recommend-a")
        events = scenario.finished()
        workers.end("recommend-b")
        check_effects(workers, events)
        check_replicas(workers)
