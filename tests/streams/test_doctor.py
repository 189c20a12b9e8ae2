"""``divrec doctor`` on real servers: what it finds, and that it says nothing where nothing is wrong."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from divrec.config import Config
from divrec.events import Click
from streams.cli import app
from streams.codec import Record, encode
from streams.health.doctor import Finding, examine
from streams.local.servers import LOOPBACK, free_ports
from streams.replica import snapshot_directory
from streams.topics import Topics, partition_of
from tests.servers import Broker, EmbeddedBroker, ValkeyServer, config_for
from tests.streams.running import prepared, read, send, worker


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    yield


def findings(config: Config) -> dict[str, list[Finding]]:
    async def examining() -> list[Finding]:
        return [finding async for finding in examine(config)]

    found: dict[str, list[Finding]] = {}
    for finding in asyncio.run(examining()):
        assert bool(finding.remedy) == (finding.state != "ok"), finding
        found.setdefault(finding.area, []).append(finding)
    return found


def bad(config: Config) -> dict[str, list[str]]:
    """What is not ok, by area."""
    told = {area: [f"{f.state}: {f.told}" for f in some if f.state != "ok"] for area, some in findings(config).items()}
    return {area: lines for area, lines in told.items() if lines}


def changed(config: Config, **sections: Any) -> Config:
    values = config.model_dump()
    for name, section in sections.items():
        values[name] |= section
    return Config(**values)


def clicks(config: Config, count: int) -> list[Record]:
    events = (Click(user_id=f"u{n}", item_id=f"i{n % 5}", event_id=f"e{n}") for n in range(count))
    topic, partitions = Topics(config).events, config.kafka.partitions
    return [Record(topic, partition_of(e.user_id, partitions), e.user_id.encode(), encode(e)) for e in events]


def test_all_is_well_and_the_store_that_goes_back_is_seen(config: Config, valkey: ValkeyServer) -> None:
    prepared(config)
    assert bad(config) == {}
    send(config, clicks(config, 40))
    with worker(config, "streams.recommend") as running:
        read(config, Topics(config).recommendations, lambda m: len(m) >= 40)
        assert running.end() == 0
    found = findings(config)
    assert {area for area, some in found.items() if some[0].state != "ok"} == set()
    assert {"python", "aiokafka", "faust-streaming", "state", "cache", "text model", "redis", "kafka"} <= found.keys()
    assert found["positions"][0].told == "generation g1: 40 events in 4 partitions, 0 not done"
    keys = f"{config.kafka.prefix}{config.generation}:watermark:"
    with valkey.client() as client:
        marks = {p: int(client.get(f"{keys}{p}") or -1) for p in range(4)}
        one, other = [p for p, mark in marks.items() if mark > 2][:2]
        client.set(f"{keys}{one}", marks[one] - 2)
        client.set(f"{keys}{other}", marks[other] + 500)
    lines = bad(config)["positions"]
    assert len(lines) == 2
    assert any(f"partition {one}:" in line and "warning" in line and "2 events to read again" in line for line in lines)
    assert any(f"partition {other}:" in line and "problem" in line and "belong together" in line for line in lines)


def test_snapshots_must_fit_the_model_log(config: Config) -> None:
    prepared(config)
    (snapshot_directory(config) / f"{700:020d}").mkdir(parents=True)
    (line,) = bad(config)["snapshot"]
    assert "problem" in line and "another log" in line


def test_topics_that_are_missing_or_wrong(config: Config) -> None:
    told = bad(config)
    assert f"problem: {Topics(config).events} does not exist" in told["topics"]
    assert told["positions"] == ["warning: not examined"]
    prepared(config)
    (line,) = bad(changed(config, kafka={"partitions": 5}))["topics"]
    assert "expected 5 partitions, got 4" in line


def test_redis_must_keep_what_it_is_given(embedded_broker: Broker, tmp_path: Path) -> None:
    store = ValkeyServer(tmp_path / "own")
    store.start()
    config = prepared(config_for(embedded_broker, store, tmp_path))
    try:
        with store.client() as client:
            client.config_set("appendonly", "no")
            client.config_set("maxmemory-policy", "allkeys-lru")
            client.config_set("maxmemory", client.info()["used_memory"] + 100_000)
        told = " ".join(bad(config)["redis"])
        assert "append-only file is off" in told and "allkeys-lru" in told and "of its memory is used" in told
    finally:
        store.stop()


def test_what_is_away_or_misplaced(tmp_path: Path) -> None:
    broker_port, store_port = free_ports(2)
    (tmp_path / "file").touch()
    config = Config(
        kafka={"brokers": f"{LOOPBACK}:{broker_port}"},
        redis={"url": f"redis://:plantedSecret@{LOOPBACK}:{store_port}/0", "timeout_s": 1},
        worker={"state_dir": tmp_path / "file" / "state"},
        encoder={"model": str(tmp_path / "no-model")},
    )
    told = bad(config)
    assert {"state", "text model", "redis", "kafka", "positions"} == told.keys()
    assert "Redis and Kafka" in findings(config)["positions"][0].remedy
    assert "plantedSecret" not in str(told)


def test_the_command_ends_with_1_on_a_problem(
    embedded_broker: EmbeddedBroker, valkey: ValkeyServer, tmp_path: Path
) -> None:
    config = config_for(embedded_broker, valkey, tmp_path)
    path = tmp_path / "divrec.toml"
    path.write_text(
        f'[kafka]\nbrokers = "{config.kafka.brokers}"\nprefix = "{config.kafka.prefix}"\npartitions = 4\n'
        f'[redis]\nurl = "{valkey.url}"\n[worker]\nstate_dir = "{tmp_path}"\n'
    )

    def doctor(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["doctor", *arguments, "--config", str(path)], env={"COLUMNS": "200"})

    missing = doctor()
    assert missing.exit_code == 1 and "→ run `divrec topics create`" in missing.stdout
    prepared(config)
    well = doctor("--json")
    assert well.exit_code == 0, well.output
    assert {finding["state"] for finding in json.loads(well.stdout)} == {"ok"}


def test_it_needs_no_torch() -> None:
    code = "import sys; from divrec.config import EncoderConfig; from streams.health.doctor import text_model\n"
    code += "text_model(EncoderConfig()); print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "[]\n"
