"""Recommend, ingest and encode on Apache Kafka while everything around them fails."""

from pathlib import Path

import numpy as np
import pytest

from divrec.config import Config
from streams.topics import Topics
from tests.e2e.checks import check_effects, check_replicas, read_all
from tests.e2e.crash_log import Crowd, catalog
from tests.e2e.crew import crew
from tests.e2e.faulty_worker import ENCODER
from tests.servers import KafkaServer, ValkeyServer, config_for
from tests.streams.running import prepared, send

pytestmark = pytest.mark.kafka


def configured(kafka: KafkaServer, valkey: ValkeyServer, directory: Path) -> Config:
    config = config_for(
        kafka,
        valkey,
        directory,
        worker={"batch": 50, "snapshot_every": 60},
        model={"neighbours": 640, "max_items": 5_000},
        encoder={"model": ENCODER, "cache_dir": directory / "cache"},
    )
    return prepared(config)


def test_kills(kafka_broker: KafkaServer, valkey: ValkeyServer, tmp_path: Path) -> None:
    config = configured(kafka_broker, valkey, tmp_path)
    crowd, random = Crowd(config, 1), np.random.default_rng(1)
    send(config, list(catalog(config)))
    with crew(config, valkey, tmp_path / "workers") as workers:
        workers.start("recommend-a", ready=True)
        total = 0
        for _ in range(3):
            send(config, crowd.events(1_000))
            total += 1_000
            workers.wait_applied(total - int(random.integers(50, 950)))
            workers.kill("recommend-a")
            workers.start("recommend-a")
        workers.wait_applied(total)
        workers.end("recommend-a")
        topic = Topics(config).events
        check_effects(workers, read_all(config, topic)[topic])
        check_replicas(workers)
