"""The local stack: broker, Valkey and workers as child processes of this one, in one directory.

The directory holds ``divrec.toml`` (what the workers and other commands read), ``stack.json`` (process ids and ports),
``logs/``, ``valkey/`` and ``state/``. The broker keeps its topics in memory, so every start begins anew: profiles and
snapshots of an earlier start hold positions in a log that is gone, and are removed.
"""

import asyncio
import fcntl
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Self

import msgspec

from divrec.config import Config, load_config
from divrec.connections import SECRECY
from divrec.errors import ConfigError
from streams.health.ready import is_ready
from streams.local.child import Child, KeptChild, StackError, stop_all
from streams.local.servers import LOOPBACK, broker_command, free_ports, listens, valkey_answers, valkey_command
from streams.topics import create_topics

WORKERS = ("ingest", "encode", "recommend")
PARTITIONS = 4
FETCH_WAIT_MS = 10
WORKERS_STOP_S = 8.5
"""A little more than a worker takes to give up draining."""
SERVER_STOP_S = 1.0
SERVER_START_S = 10.0
TICK_S = 0.1


class ProcessInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    pid: int
    log: str
    http: str | None = None
    """Where a worker serves /live, /ready and /metrics."""


class StackInfo(msgspec.Struct, frozen=True):
    """The content of ``stack.json``. ``pid`` is that of the process that owns the stack, None after an orderly end."""

    pid: int | None
    config: str
    brokers: str
    redis: str
    processes: dict[str, ProcessInfo]


def find_stack(directory: Path) -> StackInfo | None:
    """The stack that runs in ``directory``, None if none does."""
    try:
        info = msgspec.json.decode((directory / "stack.json").read_bytes(), type=StackInfo)
        os.kill(info.pid or 0, 0)
    except (OSError, msgspec.DecodeError):
        return None
    return info if info.pid else None


def worker_command(name: str, config: Path) -> list[str]:
    return [sys.executable, "-m", "streams.cli", "worker", name, "--config", str(config)]


class LocalStack:
    """Broker, Valkey and workers, as a context manager: all ready inside the block, all gone after it. For one use.

    ``settings`` has the shape of ``divrec.toml`` and goes into the workers' configuration, below what the stack itself
    sets. ``command`` gives the command of a worker from its name and the path of the configuration; a worker says that
    it is ready through :mod:`streams.health.ready`. A worker or Valkey that dies is started again. The end of the
    broker, and children that keep dying, end the stack: :meth:`wait` and :meth:`check` then raise StackError.

    SIGTERM inside the block raises SystemExit where nothing else handles it, so that the block is left in order.
    """

    def __init__(
        self,
        directory: Path,
        workers: Sequence[str] = WORKERS,
        *,
        settings: Mapping[str, Any] | None = None,
        command: Callable[[str, Path], Sequence[str]] = worker_command,
        ready_timeout_s: float = 180.0,
    ) -> None:
        self.directory = directory.expanduser().absolute()
        self.config_file = self.directory / "divrec.toml"
        self.config: Config
        """The workers' configuration; there once the stack is started."""
        if len(set(workers)) < len(workers):
            raise ConfigError(f"local stack: expected each worker once, got {', '.join(workers)}")
        self._workers = tuple(workers)
        self._settings = settings or {}
        self._command = command
        self._ready_timeout_s = ready_timeout_s
        self._children: dict[str, Child] = {}
        self._kept: dict[str, KeptChild] = {}
        self._http: dict[str, str] = {}
        self._recorded: StackInfo | None = None
        self._error: BaseException | None = None
        self._stopping = threading.Event()
        self._settled = threading.Event()
        """Set when all is ready, or when the stack has ended."""
        self._ended = threading.Event()
        # Children die with the thread that started them, so one thread starts them all and stays until the end.
        self._thread = threading.Thread(target=self._supervise, name="local-stack", daemon=True)

    def start(self) -> None:
        """Start everything and wait until it is ready. Raises ConfigError or StackError; then nothing is left."""
        try:
            self._thread.start()
            settled = self._settled.wait(self._ready_timeout_s)
            self.check()
            if not settled:
                waiting = [kept.child for kept in self._kept.values() if not kept.ready]
                raise StackError(
                    f"local stack: expected all to be ready within {self._ready_timeout_s:g} s, still starting: "
                    + "\n".join(f"{child.name}; the end of {child.log}:\n{child.last_lines(20)}" for child in waiting)
                )
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything, workers first, in less than 10 s. May be called again."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def check(self) -> None:
        """Raise what ended the stack, if anything did."""
        if self._error is not None:
            raise self._error

    def wait(self, timeout_s: float | None = None) -> None:
        """Return after ``timeout_s``, or when the stack was stopped. Raises StackError if it ended by itself."""
        # No join: a Ctrl-C in it makes Python 3.11 take the thread for ended, and stop() would not wait for it.
        self._ended.wait(timeout_s)
        self.check()

    def info(self) -> StackInfo:
        """Ports and process ids as they are now."""
        return StackInfo(
            pid=os.getpid() if self._thread.is_alive() and not self._stopping.is_set() else None,
            config=str(self.config_file),
            brokers=self.config.kafka.brokers,
            redis=self.config.redis.url.get_secret_value(),
            processes={
                child.name: ProcessInfo(child.pid, str(child.log), self._http.get(child.name))
                for child in self._children.values()
                if child.pid
            },
        )

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.enter_context(_sigterm_leaves())
            undo.callback(self.stop)
            self.start()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._undo.close()

    def _supervise(self) -> None:
        try:
            with self._owned_directory():
                try:
                    self._start_servers()
                    asyncio.run(create_topics(self.config))
                    self._start_workers()
                    while not self._stopping.wait(TICK_S):
                        self._tick()
                finally:
                    self._stopping.set()
                    self._stop_children()
        except BaseException as error:
            self._error = error
        finally:
            self._settled.set()
            self._ended.set()

    @contextmanager
    def _owned_directory(self) -> Iterator[None]:
        lock_file = self.directory / "stack.lock"
        self.directory.mkdir(parents=True, exist_ok=True)
        if any(self.directory.iterdir()) and not lock_file.exists():
            raise ConfigError(f"local stack: expected an empty directory or that of an earlier stack: {self.directory}")
        with lock_file.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(
                    f"local stack: another one runs in {self.directory}: stop it or name another directory"
                ) from None
            for name in ("valkey", "state"):
                shutil.rmtree(self.directory / name, ignore_errors=True)
            for name in ("valkey", "state", "logs"):
                (self.directory / name).mkdir(exist_ok=True)
            yield

    def _start_servers(self) -> None:
        broker_port, valkey_port = free_ports(2)
        self.config = self._write_config(f"{LOOPBACK}:{broker_port}", f"redis://{LOOPBACK}:{valkey_port}/0")
        broker = self._child("broker", broker_command(broker_port))
        valkey = self._child("valkey", valkey_command(valkey_port, self.directory / "valkey"))
        self._kept["valkey"] = KeptChild(valkey, lambda _: valkey_answers(valkey_port))
        for child in (broker, valkey):
            child.start()
        deadline = time.monotonic() + SERVER_START_S
        while not (listens(broker_port) and valkey_answers(valkey_port)):
            for child in (broker, valkey):
                if not child.running or time.monotonic() > deadline:
                    raise StackError(child.obituary("it did not start"))
            time.sleep(0.01)

    def _start_workers(self) -> None:
        for name, port in zip(self._workers, free_ports(len(self._workers)), strict=True):
            self._http[name] = f"http://{LOOPBACK}:{port}"
            http = {"DIVREC_WORKER__HTTP_HOST": LOOPBACK, "DIVREC_WORKER__HTTP_PORT": str(port)}
            child = self._child(name, self._command(name, self.config_file), http)
            self._kept[name] = KeptChild(child, partial(is_ready, self.config, name))
            child.start()

    def _tick(self) -> None:
        broker = self._children["broker"]
        if not broker.running:
            raise StackError(broker.obituary("its topics were in memory and are gone: start the stack again"))
        for kept in self._kept.values():
            kept.tick(time.monotonic())
        for child in self._children.values():
            child.bound_log()
        self._record()
        if all(kept.ready for kept in self._kept.values()):
            self._settled.set()

    def _stop_children(self) -> None:
        stop_all([child for name, child in self._children.items() if name in self._workers], WORKERS_STOP_S)
        stop_all([child for name, child in self._children.items() if name not in self._workers], SERVER_STOP_S)
        if self._children:
            self._record()

    def _child(self, name: str, command: Sequence[str], environment: dict[str, str] | None = None) -> Child:
        log = self.directory / "logs" / f"{name}.log"
        self._children[name] = Child(name, command, log, os.environ | {"PYTHONUNBUFFERED": "1"} | (environment or {}))
        return self._children[name]

    def _record(self) -> None:
        info = self.info()
        if info != self._recorded:
            self._recorded = info
            written = self.directory / "stack.json.new"
            written.write_bytes(msgspec.json.format(msgspec.json.encode(info)) + b"\n")
            written.replace(self.directory / "stack.json")

    def _write_config(self, brokers: str, redis: str) -> Config:
        own: dict[str, dict[str, Any]] = {
            "kafka": {
                "brokers": brokers,
                "partitions": PARTITIONS,
                "idempotent": False,
                "fetch_wait_ms": FETCH_WAIT_MS,
            },
            "redis": {"url": redis},
            "worker": {"state_dir": str(self.directory / "state")},
        }
        for section, values in own.items():
            for key in (*values, *SECRECY):
                if f"DIVREC_{section}__{key}".upper() in os.environ:
                    raise ConfigError(
                        f"local stack: expected no DIVREC_{section.upper()}__{key.upper()} in the environment, which "
                        f"would lead away from the stack's own: unset it"
                    )
        sections = {name: {**_without_secrecy(self._settings.get(name, {})), **own[name]} for name in own}
        self.config_file.write_text("".join(_toml({**self._settings, **sections})))
        return load_config(self.config_file)


def _without_secrecy(section: Mapping[str, Any]) -> dict[str, Any]:
    """A section of a configuration for servers of the user's own: those of the stack need no TLS and no password."""
    return {key: value for key, value in section.items() if key not in SECRECY}


@contextmanager
def _sigterm_leaves() -> Iterator[None]:
    """SIGTERM raises SystemExit in the block, unless it is handled already or this is not the main thread."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _toml(table: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """``table`` as TOML: plain values first, then its sub-tables. A JSON string, number or list is one in TOML too."""
    for key, value in table.items():
        if not isinstance(value, Mapping):
            yield f"{json.dumps(key)} = {json.dumps(value, ensure_ascii=False)}\n"
    for key, value in table.items():
        if isinstance(value, Mapping):
            name = f"{path}.{json.dumps(key)}" if path else json.dumps(key)
            yield f"\n[{name}]\n"
            yield from _toml(value, name)
