"""The servers that tests run against: real ones, as child processes of the test run."""

import asyncio
import os
import shutil
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pytest
import redis

from divrec.config import Config, KafkaConfig
from streams.local.child import Child
from streams.local.servers import LOOPBACK, broker_command, free_ports, listens, valkey_answers, valkey_command
from streams.topics import wait_for_broker

KAFKA = Path(__file__).parents[1] / "deploy" / "kafka"


ON_KAFKA_ONLY = pytest.mark.parametrize(
    "broker", [pytest.param("kafka_broker", marks=pytest.mark.kafka, id="kafka_broker")], indirect=True
)
"""For long tests of what the embedded broker sees in others."""


def kafka_absent() -> str | None:
    """Why Apache Kafka cannot be started here, None if it can."""
    if shutil.which("java") is None:
        return "Apache Kafka needs Java 17 or newer, there is no java on the PATH"
    if not any((KAFKA / "libs").glob("kafka_*.jar")):
        maven = "run make kafka-libs" if shutil.which("mvn") else "make kafka-libs needs Maven (mvn)"
        return f"the jars of Apache Kafka are not in {KAFKA / 'libs'}: {maven}"
    return None


class Broker(Protocol):
    address: str
    """``host:port``."""
    settings: ClassVar[dict[str, Any]]
    """The section ``kafka`` of the configuration that this broker needs."""


class _Server:
    """A server at a fixed port whose data stays in ``directory`` over restarts."""

    def __init__(self, name: str, directory: Path, port: int, command: list[str], ready: Callable[[], bool]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = port
        self.address = f"{LOOPBACK}:{port}"
        self.child = Child(name, command, directory / f"{name}.log")
        self._ready = ready

    def start(self, timeout_s: float = 60.0) -> None:
        self.child.start()
        deadline = time.monotonic() + timeout_s
        while not self._ready():
            if not self.child.running or time.monotonic() > deadline:
                self.child.kill()
                raise AssertionError(self.child.obituary("it did not start"))
            time.sleep(0.02)

    def stop(self, timeout_s: float = 20.0) -> None:
        """In order."""
        self.child.stop(timeout_s)

    def kill(self) -> None:
        """As by a crash."""
        self.child.kill()

    def pause(self) -> None:
        self.child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.child.signal(signal.SIGCONT)


class EmbeddedBroker(_Server):
    """The broker of the local stack. It forgets everything when it ends."""

    settings: ClassVar[dict[str, Any]] = {"idempotent": False, "fetch_wait_ms": 10}

    def __init__(self, directory: Path) -> None:
        (port,) = free_ports(1)
        super().__init__("embedded-broker", directory, port, broker_command(port), lambda: listens(port))


class KafkaServer(_Server):
    """Apache Kafka, one node, in ``directory``."""

    settings: ClassVar[dict[str, Any]] = {"idempotent": True}

    def __init__(self, directory: Path) -> None:
        port, controller_port = free_ports(2)
        environment = {**os.environ, "KAFKA_CONTROLLER_PORT": str(controller_port)}
        command = [str(KAFKA / "start"), str(port), str(directory / "kafka")]
        super().__init__("kafka", directory, port, command, self._answers)
        self.child = Child("kafka", command, directory / "kafka.log", environment)

    def _answers(self) -> bool:
        if not listens(self.port):
            return False
        asyncio.run(wait_for_broker(Config(kafka=KafkaConfig(brokers=self.address)), 30.0))
        return True


class ValkeyServer(_Server):
    """Valkey with its append-only file in ``directory``."""

    def __init__(self, directory: Path) -> None:
        (port,) = free_ports(1)
        self._data = directory / "data"
        self._data.mkdir(parents=True)
        super().__init__("valkey", directory, port, valkey_command(port, self._data), lambda: valkey_answers(port))
        self.url = f"redis://{self.address}/0"

    def client(self) -> "redis.Redis":
        return redis.Redis.from_url(self.url)

    def flush(self) -> None:
        with self.client() as client:
            client.flushall()

    def snapshot(self, into: Path) -> None:
        """Copy the data as they are now into a new directory, while the server runs."""
        with self.client() as client:
            client.delete("snapshot")
            client.execute_command("WAITAOF", 1, 0, 5000)  # until all up to here is in the file
        shutil.copytree(self._data, into)

    def put_back(self, snapshot: Path) -> None:
        """Start with the data of ``snapshot`` instead of its own, as after a restore of an old backup."""
        self.kill()
        shutil.rmtree(self._data)
        shutil.copytree(snapshot, self._data)
        self.start()


def config_for(broker: Broker, valkey: ValkeyServer, directory: Path, **sections: Any) -> Config:
    """A configuration of four partitions for these servers, with topics of its own and its state in ``directory``.

    ``sections`` lie over it: ``config_for(…, slate={"k": 5}, kafka={"partitions": 2})``.
    """
    kafka = {"brokers": broker.address, "prefix": f"t{uuid.uuid4().hex[:10]}.", "partitions": 4, **broker.settings}
    values: dict[str, Any] = {
        "kafka": kafka | sections.pop("kafka", {}),
        "redis": {"url": valkey.url} | sections.pop("redis", {}),
        "worker": {"state_dir": directory / "state"} | sections.pop("worker", {}),
    }
    return Config(**values, **sections)
