"""The demo as a user runs it, and the commands that ask its stack."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

EVENTS = 600
DIVREC = [sys.executable, "-m", "streams.cli"]
USER = "514"


class Demo:
    """``divrec demo`` in a process; ``output`` is what it printed so far."""

    def __init__(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [*DIVREC, "demo", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "160", **(env or {})},
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self._lines.extend(iter(self.process.stdout.readline, ""))

    @property
    def output(self) -> str:
        return "".join(list(self._lines))

    def until(self, text: str, timeout_s: float = 90.0) -> None:
        deadline = time.monotonic() + timeout_s
        while text not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    def end(self, timeout_s: float = 30.0) -> int:
        code = self.process.wait(timeout_s)
        self._reader.join()
        return code


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Demo, Path]]:
    directory = tmp_path_factory.mktemp("demo") / "stack"
    running = Demo("--dir", str(directory), "--limit", str(EVENTS), "--keep")
    try:
        running.until("goes on until Ctrl-C")
        yield running, directory / "divrec.toml"
    finally:
        running.process.send_signal(signal.SIGINT)
        code = running.end()
    assert code == 130
    assert "Traceback" not in running.output


def ask(config: Path, *arguments: str) -> Any:
    done = subprocess.run(
        [*DIVREC, *arguments, "--json", "--config", str(config)], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_every_event_has_its_recommendation(demo: tuple[Demo, Path]) -> None:
    output = demo[0].output
    assert f"its latest {EVENTS} events" in output
    assert " 0 tags" not in output
    assert f"events: {EVENTS} of {EVENTS}" in output
    whole = output.split("the whole replay")[1]
    assert re.search(rf"^events +{EVENTS}\s", whole, re.MULTILINE), whole
    assert re.search(rf"^recommendations +{EVENTS}\s", whole, re.MULTILINE), whole
    assert "without one" not in whole
    for figure in ("events/s", "recommendations/s", "delay p50 / p99", "hit rate @10", "popularity's"):
        assert re.search(rf"^{re.escape(figure)} +[\d.]+", whole, re.MULTILINE), whole


def test_a_like_changes_the_list(demo: tuple[Demo, Path]) -> None:
    before, after = demo[0].output.split("after a like of ")
    assert re.search(r"^user \d+, before$", before, re.MULTILINE)
    told = re.match(r"(.+): (\d+) of 10 are new", after)
    assert told and int(told[2]) >= 1, after
    liked = re.findall(r"^10 +(\d+) ", before, re.MULTILINE)[-1]
    items = re.findall(r"^ *\d+ +(\d+) ", after.split("the whole replay")[0], re.MULTILINE)
    assert len(items) == 10 and liked not in items


def test_its_stack_answers_a_request(demo: tuple[Demo, Path]) -> None:
    config = demo[1]
    plain = ask(config, "recommend", USER, "-k", "5", "--diversity", "0")
    assert [item["position"] for item in plain["items"]] == [1, 2, 3, 4, 5]
    assert [item["relevance_rank"] for item in plain["items"]] == [1, 2, 3, 4, 5]
    without = plain["items"][0]["item_id"]
    other = ask(config, "recommend", USER, "--exclude", without)
    assert len(other["items"]) == 10
    assert without not in [item["item_id"] for item in other["items"]]
    assert ask(config, "recommend", USER, "--latest") == other


def test_its_recommendations_are_shown_with_titles_and_reasons(demo: tuple[Demo, Path]) -> None:
    command = [*DIVREC, "recommend", USER, "--config", str(demo[1])]
    shown = subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=True, env={**os.environ, "COLUMNS": "160"}
    ).stdout
    assert "because" in shown and "(20" in shown  # a film's title ends with its year
    assert "%" in shown


def test_its_model_has_a_digest(demo: tuple[Demo, Path]) -> None:
    first, second = (ask(demo[1], "digest") for _ in range(2))
    assert first == second
    assert first["version"] > 0


def test_a_worker_that_cannot_start_ends_the_demo_with_its_log(tmp_path: Path) -> None:
    failing = Demo("--limit", "10", env={"DIVREC_ENCODER__MODEL": str(tmp_path / "absent")})
    try:
        assert failing.end(60) == 1
    finally:
        failing.process.kill()
    assert "encode ended with status 69" in failing.output
    assert "Traceback" not in failing.output
