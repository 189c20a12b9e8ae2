"""The commands and settings of docker-compose.yml, run here: only addresses and paths are other ones."""

import asyncio
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from divrec.config import Config, EncoderConfig, KafkaConfig
from streams.local.child import Child
from streams.local.servers import free_ports, get_binary_path, listens
from streams.topics import check_topics, create_topics, wait_for_broker
from tests.deploy.files import ROOT, compose, dockerfile, environment
from tests.servers import KAFKA, EmbeddedBroker

FILE = compose()
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
WORKERS = ("ingest", "encode", "recommend")
PASSWORD = "0123456789abcdef"


class Machine:
    """Where the containers would be: their paths lie below ``directory``, their addresses are of the loopback."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.changed = {"/run/secrets/": f"{directory}/secrets/"}
        binaries = directory / "bin"
        for folder in ("secrets", "bin", "data"):
            (directory / folder).mkdir()
        (directory / "secrets/redis-password").write_text(PASSWORD + "\n")
        (binaries / "divrec").write_text(f'#!/bin/sh\nexec {sys.executable} -m streams.cli "$@"\n')
        (binaries / "valkey-server").symlink_to(get_binary_path())
        (binaries / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        for script in ("divrec", "python"):
            (binaries / script).chmod(stat.S_IRWXU)
        self.path = f"{binaries}:{os.environ['PATH']}"

    def here(self, text: str) -> str:
        for before, after in self.changed.items():
            text = text.replace(before, after)
        return text

    def command(self, name: str) -> list[str]:
        """What the container of a service of ours executes."""
        service = SERVICES[name]
        return [self.here(word) for word in [*service.get("entrypoint", ["divrec"]), *service["command"]]]

    def environment(self, name: str) -> dict[str, str]:
        image = environment(dockerfile()[0], SERVICES[name]["build"]["target"])
        image.pop("PATH")
        image.pop("NUMBA_CACHE_DIR")  # the kernels that are compiled here already
        values = image | SERVICES[name]["environment"]
        return (
            {key: self.here(value) for key, value in values.items()}
            | {"PATH": self.path, "PYTHONPATH": str(ROOT), "HOME": os.environ["HOME"]}
            | {"DIVREC_KAFKA__IDEMPOTENT": "false", "DIVREC_KAFKA__FETCH_WAIT_MS": "10"}  # of the embedded broker
        )

    def child(self, name: str, command: list[str], env: dict[str, str]) -> Child:
        return Child(name, [shutil.which(command[0], path=self.path) or command[0], *command[1:]], self.log(name), env)

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def valkey(machine: Machine) -> Iterator[int]:
    """The port of a Valkey started by the command of the service ``redis``."""
    (port,) = free_ports(1)
    shell, flag, script = SERVICES["redis"]["command"]
    machine.changed |= {"dir /data": f"port {port}\nbind 127.0.0.1\ndir {machine.directory}/data"}
    child = machine.child("valkey", [shell, flag, machine.here(script)], {"PATH": machine.path})
    child.start()
    try:
        _until(lambda: listens(port), child)
        yield port
        child.signal(15)
        assert child.wait(5) and child.status == 0, "the shell leaves its place to Valkey, which gets the signal"
    finally:
        child.kill()


def test_valkey_keeps_everything_and_wants_a_password(valkey: int, machine: Machine) -> None:
    with redis.Redis(port=valkey) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    with redis.Redis(port=valkey, password=PASSWORD, decode_responses=True) as client:
        settings = client.config_get("*")
        assert settings["appendonly"] == "yes" and settings["appendfsync"] == "everysec" and settings["save"] == ""
        assert settings["maxmemory-policy"] == "noeviction" and int(settings["maxmemory"]) == 2 << 30
        client.set("key", "value")
    assert list((machine.directory / "data").rglob("*.aof"))
    assert PASSWORD not in subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout


def test_topics_and_workers_come_up_and_recommend(
    embedded_broker: EmbeddedBroker, valkey: int, machine: Machine
) -> None:
    prefix = "compose."
    machine.changed |= {
        "/etc/divrec/": f"{machine.directory}/",
        "/var/": f"{machine.directory}/var/",
        "kafka:19092": embedded_broker.address,
        "redis:6379": f"127.0.0.1:{valkey}",
    }
    toml = (ROOT / FILE["configs"]["divrec"]["file"]).read_text("utf-8")
    toml = toml.replace("[kafka]\n", f'[kafka]\nprefix = "{prefix}"\n')
    (machine.directory / "divrec.toml").write_text(machine.here(toml))
    _share_the_unpacked_model(machine.directory / "var/cache/divrec")

    subprocess.run(machine.command("topics"), check=True, env=machine.environment("topics"), timeout=30)
    with ExitStack() as stack:
        children = {}
        for name in WORKERS:
            (port,) = free_ports(1)
            env = machine.environment(name) | {"DIVREC_WORKER__HTTP_PORT": str(port)}
            children[name] = (machine.child(name, machine.command(name), env), port, env)
            children[name][0].start()
            stack.callback(children[name][0].kill)
        for name, (child, port, env) in children.items():
            _until(lambda name=name, port=port, env=env: _healthy(name, port, env), child, 60)

        env = children["recommend"][2]
        items = [
            json.dumps({"item_id": f"i{n}", "title": f"Trail shoe {n}", "categories": ["shoes"]}) for n in range(5)
        ]
        _divrec(machine, env, "produce", "items", stdin="\n".join(items))
        _divrec(machine, env, "produce", "clicks", "--user", "ann", "--item", "i0", "--action", "like")
        listed: list[str] = []
        deadline = time.monotonic() + 30
        while len(listed) < 4 and time.monotonic() < deadline:
            slate = json.loads(_divrec(machine, env, "recommend", "ann", "-k", "4", "--json"))
            listed = [item["item_id"] for item in slate["items"]]
        assert sorted(listed) == ["i1", "i2", "i3", "i4"]

        for child, _, _ in children.values():
            child.signal(15)
        for name, (child, _, _) in children.items():
            assert child.wait(15) and child.status == 0, child.obituary("it did not drain")
            lines = [json.loads(line) for line in machine.log(name).read_text().splitlines()]
            assert {line["level"] for line in lines} == {"INFO"}, lines
            assert PASSWORD not in machine.log(name).read_text()


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka_directory")
def test_kafka_takes_its_settings(tmp_path: Path) -> None:
    """The settings of the service ``kafka`` on Apache Kafka, with topics of replication 1 and a transaction log."""
    settings = SERVICES["kafka"]["environment"]
    internal, external, controller = free_ports(3)
    changed = {":19092": f":{internal}", ":9092": f":{external}", ":9093": f":{controller}", "://:": "://127.0.0.1:"}
    lines = []
    for key, value in settings.items():
        if not key.startswith("KAFKA_") or key in ("KAFKA_HEAP_OPTS", "KAFKA_LOG_DIRS"):
            continue
        text = re.sub(r"kafka(?=:)", "127.0.0.1", str(value))
        for before, after in changed.items():
            text = text.replace(before, after)
        lines.append(f"{key.removeprefix('KAFKA_').lower().replace('_', '.')}={text}")
    assert settings["KAFKA_LOG_DIRS"] in [volume.partition(":")[2] for volume in SERVICES["kafka"]["volumes"]]
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", settings["CLUSTER_ID"]), "16 bytes in base64"
    env = os.environ | {"KAFKA_SETTINGS": "\n".join(lines), "KAFKA_CONTROLLER_PORT": str(controller)}
    child = Child("kafka", [str(KAFKA / "start"), str(internal), str(tmp_path / "data")], tmp_path / "kafka.log", env)
    child.start()
    try:
        for port in (internal, external):
            _until(lambda port=port: listens(port), child, 60)
        config = Config(kafka=KafkaConfig(brokers=f"127.0.0.1:{internal}"))

        async def made() -> None:
            await wait_for_broker(config, 30.0)
            await create_topics(config)
            await check_topics(config)

        asyncio.run(made())
    finally:
        child.stop(30)


def _share_the_unpacked_model(cache: Path) -> None:
    """Of the user who runs the tests; where it is not yet unpacked, the worker does it."""
    cache.mkdir(parents=True)
    models = EncoderConfig().cache_dir.expanduser() / "models"
    if models.is_dir():
        (cache / "models").symlink_to(models)


def _healthy(name: str, port: int, env: dict[str, str]) -> bool:
    kind, *command = SERVICES[name]["healthcheck"]["test"]
    assert kind == "CMD"
    command = [word.replace(":8080/", f":{port}/") for word in command]
    program = shutil.which(command[0], path=env["PATH"])
    assert program is not None
    return subprocess.run([program, *command[1:]], env=env, capture_output=True, timeout=10).returncode == 0


def _divrec(machine: Machine, env: dict[str, str], *words: str, stdin: str = "") -> str:
    """As `docker compose exec recommend divrec …`: without what the entry point adds."""
    program = machine.directory / "bin/divrec"
    run = subprocess.run([program, *words], env=env, input=stdin, capture_output=True, text=True, timeout=30)
    assert run.returncode == 0, run.stderr
    return run.stdout


def _until(condition: Any, child: Child, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert child.running and time.monotonic() < deadline, child.obituary("it did not come up")
        time.sleep(0.1)
