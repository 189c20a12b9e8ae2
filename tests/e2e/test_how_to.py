"""docs/how-to-orders.md, step by step: its configuration and its commands, on a topic that was there before."""

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from divrec.config import Config, FeedbackConfig, load_config
from divrec.data.decode import decode_event, decoder
from divrec.events import Click, Event, Item, Recommendation
from streams.codec import Record
from streams.health.ready import is_ready
from streams.topics import Topics
from tests.e2e.checks import read_all
from tests.streams.running import read, send

PAGE = (Path(__file__).parents[2] / "docs" / "how-to-orders.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


ORDERS, SLATE, PRODUCT = blocks("json")
(TABLE,) = blocks("text")
SETTINGS, ITEMS = blocks("toml")
COMMANDS = [shlex.split(line) for block in blocks("sh") for line in block.splitlines()]


class Shell:
    """Runs commands one after the other; workers run on beside those that follow."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.output: dict[str, str] = {}
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, command: list[str]) -> None:
        assert command[0] == "divrec"
        program = [sys.executable, "-m", "streams.cli", *command[1:]]
        if command[1] == "worker":
            with (self._directory / f"{command[2]}.log").open("wb") as log:
                self.workers[command[2]] = subprocess.Popen(program, stderr=log)
            return
        done = subprocess.run(program, capture_output=True, text=True, timeout=60, env=os.environ | {"COLUMNS": "120"})
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        self.output[" ".join(command[1:3])] = done.stdout

    def wait_ready(self, config: Config) -> None:
        deadline = time.monotonic() + 60
        while not all(is_ready(config, name, process.pid) for name, process in self.workers.items()):
            for name, process in self.workers.items():
                assert process.poll() is None, (self._directory / f"{name}.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
def shell(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """In a directory with the page's configuration; the environment says where the servers of the test are."""
    (tmp_path / "divrec.toml").write_text(SETTINGS)
    environment = {
        "KAFKA__BROKERS": config.kafka.brokers,
        "KAFKA__PREFIX": config.kafka.prefix,
        "KAFKA__IDEMPOTENT": str(config.kafka.idempotent),
        "KAFKA__FETCH_WAIT_MS": str(config.kafka.fetch_wait_ms),
        "REDIS__URL": config.redis.url.get_secret_value(),
        "WORKER__STATE_DIR": str(tmp_path / "state"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"DIVREC_{name}", value)
    monkeypatch.chdir(tmp_path)
    shell = Shell(tmp_path)
    yield shell
    for process in shell.workers.values():
        process.kill()
        process.wait()


def write_orders(config: Config) -> None:
    """As the shop did: three partitions, keyed by order number."""
    topic = Topics(config).clicks

    async def creating() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka.brokers)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(topic, 3, 1)])
        finally:
            await admin.close()

    asyncio.run(creating())
    lines = [line.encode() for line in ORDERS.splitlines()]
    send(config, [Record(topic, None, str(json.loads(line)["order"]["number"]).encode(), line) for line in lines])


def test_the_page_works_as_written(shell: Shell) -> None:
    config = load_config(Path("divrec.toml"))
    topics = Topics(config)
    assert topics.clicks == "shop.orders"
    write_orders(config)
    for command in COMMANDS:
        if command[1] == "recommend":
            shell.wait_ready(config)
            read(config, topics.recommendations, lambda found: len(found) >= 6)
        shell.run(command)

    assert {process.poll() for process in shell.workers.values()} == {None}
    events = [decode_event(m.value or b"", Event) for m in read_all(config, topics.events)[topics.events]]
    bought = {(e.user_id, e.item_id, e.ts, e.event_id) for e in events if isinstance(e, Click)}
    assert len(bought) == 6
    assert ("42", "POT-3", 1714557660000, "70002/2") in bought

    for table in (shell.output["recommend 43"], TABLE):
        assert re.findall(r"^\d +(\S+)", table, re.MULTILINE) == ["MUG-7", "POT-3"]
    published = decode_event(shell.output["tail recommendations"].encode(), Recommendation)
    assert published.ts in {1714557600000, 1714557660000, 1714557720000}
    letter = shell.output["tail dead-letters"]
    assert "missing-field" in letter
    assert "ingest" in letter
    assert "shop.orders:" in letter
    assert '"number": 70004' in letter


def test_the_list_that_is_shown_is_one() -> None:
    assert decode_event(SLATE.encode(), Recommendation).items[0].item_id == "MUG-7"


def test_the_products_that_are_shown_are_mapped(tmp_path: Path) -> None:
    (tmp_path / "divrec.toml").write_text(SETTINGS + ITEMS)
    config = load_config(tmp_path / "divrec.toml")
    assert Topics(config).items == "shop.products"
    item = decoder("item", config.topics.items.map, FeedbackConfig())(PRODUCT.encode())
    assert item == Item(item_id="TEA-1", title="Darjeeling, 100 g", categories=["tea", "black"], ts=1711929600000)
