"""The sample producers and consumers of the documentation do what they say, beside real workers."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from divrec.config import Config
from streams.codec import decode_event
from streams.topics import Topics
from tests.e2e.checks import read_all
from tests.servers import KAFKA, KafkaServer, ValkeyServer, config_for
from tests.streams.running import prepared, worker

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


class Consumer:
    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.lines: list[list[str]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(line.split() for line in self.process.stdout)

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 30
        while len(self.lines) < count:
            assert self.process.poll() is None, self.process.returncode
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.02)


@contextmanager
def consuming(command: list[str]) -> Iterator[Consumer]:
    consumer = Consumer(command)
    try:
        yield consumer
    finally:
        consumer.process.kill()
        consumer.process.wait()


def check(config: Config, produce: list[str], consume: list[str]) -> None:
    prepared(config)
    where = [config.kafka.brokers, config.kafka.prefix]
    with (
        worker(config, "streams.ingest"),
        worker(config, "streams.recommend"),
        consuming([*consume, *where]) as consumer,
    ):
        subprocess.run([*produce, *where], check=True, timeout=30)
        consumer.wait_for(4)
        subprocess.run([*produce, *where], check=True, timeout=30)
        consumer.wait_for(5)
    lines = consumer.lines
    assert sorted(line[0] for line in lines[:4]) == ["ann", "ann", "bob", "bob"]
    assert len(lines) == 5, "the clicks of the second run are repeats"
    assert lines[4][1].startswith("page-")
    assert (lines[4][0], lines[4][2:]) == ("bob", ["sku-2"])
    found = read_all(config, (topics := Topics(config)).events, topics.items, topics.dead_letters)
    assert [len(found[topic]) for topic in (topics.events, topics.items, topics.dead_letters)] == [8, 2, 0]
    assert {decode_event(message.value or b"").user_id.encode() == message.key for message in found[topics.events]} == {
        True
    }


def test_python(config: Config) -> None:
    check(config, [sys.executable, str(SAMPLES / "produce.py")], [sys.executable, str(SAMPLES / "consume.py")])


@pytest.mark.kafka
def test_java(kafka_broker: KafkaServer, valkey: ValkeyServer, tmp_path: Path) -> None:
    if shutil.which("javac") is None:
        pytest.skip("the Java samples need javac, there is none on the PATH")
    libraries, classes = str(KAFKA / "libs" / "*"), str(tmp_path / "classes")
    sources = [str(SAMPLES / "Produce.java"), str(SAMPLES / "Consume.java")]
    compiler = ["javac", "-Xlint:all,-path", "-Werror", "-cp", libraries, "-d", classes]
    subprocess.run([*compiler, *sources], check=True, timeout=60)
    java = ["java", "-cp", os.pathsep.join([classes, libraries])]
    check(config_for(kafka_broker, valkey, tmp_path), [*java, "Produce"], [*java, "Consume"])


@pytest.mark.parametrize("name", ["produce.mjs", "consume.mjs"])
def test_javascript_is_well_formed(name: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("the JavaScript samples are checked by node, there is none on the PATH")
    subprocess.run([node, "--check", str(SAMPLES / name)], check=True, timeout=30)
