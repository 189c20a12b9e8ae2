"""The local stack starts, keeps its children alive, and leaves nothing behind; its workers here are dummies."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

import streams.local.child
import streams.local.stack
from divrec.errors import ConfigError
from streams.local.child import Child, StackError
from streams.local.servers import valkey_answers
from streams.local.stack import LocalStack, find_stack
from streams.topics import check_topics

WORKER = """
import os, signal, sys, time
from pathlib import Path
from divrec.config import load_config
from streams.health.ready import mark_ready

name, config = sys.argv[1], load_config(Path(sys.argv[2]))
print("hello from", name)
if name == "broken":
    raise SystemExit("the reason why")
if name == "misconfigured":
    raise SystemExit(78)
if name == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
mark_ready(config, name, os.getpid())
time.sleep(600)
"""
OWNER = """
import sys
from pathlib import Path
from tests.streams.test_local import dummies
with dummies(Path(sys.argv[1])) as stack:
    print("started", flush=True)
    stack.wait()
"""


def dummies(directory: Path, *workers: str) -> LocalStack:
    """A stack of dummy workers."""
    return LocalStack(
        directory,
        workers or ("ingest", "recommend"),
        command=lambda name, config: [sys.executable, "-c", WORKER, name, str(config)],
        ready_timeout_s=30.0,
    )


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc").exists() else True


def until(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_starts_restarts_what_dies_and_leaves_nothing(tmp_path: Path) -> None:
    with dummies(tmp_path) as stack:
        asyncio.run(check_topics(stack.config))
        before = stack.info()
        assert before.pid == os.getpid()
        assert set(before.processes) == {"broker", "valkey", "ingest", "recommend"}
        assert find_stack(tmp_path) == before
        assert "hello from ingest" in (tmp_path / "logs" / "ingest.log").read_text()

        with redis.Redis.from_url(before.redis) as client:
            client.set("kept", "yes")
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        for name in ("recommend", "valkey"):
            os.kill(before.processes[name].pid, signal.SIGKILL)
        port = int(before.redis.split(":")[-1].split("/")[0])
        until(lambda: stack.info().processes["recommend"].pid != before.processes["recommend"].pid)
        until(lambda: stack.info().processes["valkey"].pid != before.processes["valkey"].pid and valkey_answers(port))
        with redis.Redis.from_url(before.redis) as client:
            assert client.get("kept") == b"yes"
        after = stack.info()
        assert after.processes["ingest"] == before.processes["ingest"]
        until(lambda: find_stack(tmp_path) == after)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 5
    assert not any(alive(process.pid) for process in after.processes.values())
    assert find_stack(tmp_path) is None


def test_settings_reach_the_workers_and_a_new_start_begins_anew(tmp_path: Path) -> None:
    mapping = {"item": "line.sku", "action": '=köp "nu"\n'}
    settings = {"slate": {"k": 5}, "worker": {"batch": 7}, "topics": {"clicks": {"map": mapping}}}
    stale = tmp_path / "state" / "old"
    for _ in range(2):
        with LocalStack(tmp_path, (), settings=settings) as stack:
            assert (stack.config.slate.k, stack.config.worker.batch) == (5, 7)
            assert stack.config.topics.clicks.map == mapping
            assert stack.config.kafka.idempotent is False
            assert not stale.exists()
            stale.touch()


def test_a_worker_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams.local.stack, "WORKERS_STOP_S", 0.5)
    with dummies(tmp_path, "stubborn") as stack:
        pid = stack.info().processes["stubborn"].pid
    assert not alive(pid)


@pytest.mark.parametrize(("worker", "told"), [("broken", "5 times in a row"), ("misconfigured", "fail the same way")])
def test_a_worker_that_cannot_start_ends_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: str, told: str
) -> None:
    monkeypatch.setattr(streams.local.child, "BACK_OFF_S", 0.01)
    with pytest.raises(StackError, match=f"(?s){worker} ended with status .*{told}.*hello from {worker}"):
        dummies(tmp_path, worker).start()
    assert find_stack(tmp_path) is None


def test_the_end_of_the_broker_ends_the_stack(tmp_path: Path) -> None:
    stack = dummies(tmp_path, "ingest")
    with stack:
        processes = stack.info().processes
        os.kill(processes["broker"].pid, signal.SIGKILL)
        with pytest.raises(StackError, match=r"broker died of signal 9.*in memory"):
            stack.wait(15)
    assert not any(alive(process.pid) for process in processes.values())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_owner(tmp_path: Path, number: signal.Signals) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"started\n"
        found = find_stack(tmp_path)
        assert found is not None
        owner.send_signal(number)
        assert owner.wait(10) in (-number, 128 + number)
        until(lambda: not any(alive(process.pid) for process in found.processes.values()), 2.0)
    finally:
        owner.kill()
        owner.wait()


def test_a_directory_has_one_stack_and_nothing_foreign(tmp_path: Path) -> None:
    with LocalStack(tmp_path / "mine", ()), pytest.raises(ConfigError, match="another one runs"):
        LocalStack(tmp_path / "mine", ()).start()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").touch()
    with pytest.raises(ConfigError, match="expected an empty directory"):
        LocalStack(tmp_path / "foreign", ()).start()


def test_passwords_and_tls_of_other_servers_stay_out_of_the_stack(tmp_path: Path) -> None:
    settings = {
        "kafka": {"security": "sasl_tls", "sasl_mechanism": "PLAIN", "username": "u", "password_file": "/none"},
        "redis": {"url_file": "/none", "ca_file": "/none"},
    }
    with LocalStack(tmp_path / "mine", (), settings=settings) as stack:
        assert stack.config.kafka.security == "plaintext" and stack.config.redis.url_file is None


@pytest.mark.parametrize("name", ["DIVREC_KAFKA__BROKERS", "DIVREC_REDIS__URL_FILE"])
def test_an_address_in_the_environment_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "elsewhere:9092")
    with pytest.raises(ConfigError, match=rf"{name}.*unset it"):
        LocalStack(tmp_path, ()).start()


def test_logs_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams.local.child, "LOG_BYTES", 1_000)
    log = tmp_path / "chatty.log"
    child = Child(
        "chatty", [sys.executable, "-uc", "while input: print('x' * 99); __import__('time').sleep(.001)"], log
    )
    child.start()
    try:
        for _ in range(3):
            until(lambda: log.exists() and log.stat().st_size > 1_000)
            child.bound_log()
            assert log.stat().st_size < 1_000
        assert child.last_lines(1).strip("x") == ""
        assert json.dumps(child.last_lines(20)).find("\\u0000") == -1  # the child writes at the new end
    finally:
        child.kill()
