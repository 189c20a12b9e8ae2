"""Fixtures that give tests real servers.

A test that takes ``broker`` runs twice: on the embedded broker, and, marked ``kafka``, on Apache Kafka. One that needs
Apache Kafka alone takes ``kafka_broker`` and carries the mark itself.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from divrec.config import Config
from tests.servers import Broker, EmbeddedBroker, KafkaServer, ValkeyServer, config_for, kafka_absent


@pytest.fixture(scope="session")
def embedded_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    server = EmbeddedBroker(tmp_path_factory.mktemp("embedded-broker"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kafka_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for a KafkaServer. Skips the test where Apache Kafka cannot run, but fails it in CI with Java."""
    if reason := kafka_absent():
        if os.environ.get("CI") and shutil.which("java"):
            pytest.fail(f"in CI, with Java: {reason}")
        pytest.skip(reason)
    return tmp_path_factory.mktemp("kafka")


@pytest.fixture(scope="session")
def kafka_broker(kafka_directory: Path) -> Iterator[KafkaServer]:
    server = KafkaServer(kafka_directory / "session")
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["embedded_broker", pytest.param("kafka_broker", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Broker:
    found: Broker = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey(valkey_server: ValkeyServer) -> ValkeyServer:
    """An empty Valkey, shared by the tests: a test that stops one makes a ValkeyServer of its own."""
    valkey_server.flush()
    return valkey_server


@pytest.fixture
def config(broker: Broker, valkey: ValkeyServer, tmp_path: Path) -> Config:
    return config_for(broker, valkey, tmp_path)
