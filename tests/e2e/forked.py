"""Worker processes that start at once: forked from a process that has imported and compiled everything."""

import contextlib
import multiprocessing
import os
import signal
import sys
from pathlib import Path

from divrec.config import Config
from tests.e2e.faulty_worker import Faults, run
from tests.streams.running import Worker

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.e2e.warmed"])


class Process:
    """What ``Worker`` needs of a ``subprocess.Popen``."""

    def __init__(self, module: str, values: str, redis: str, faults: Faults, log: Path) -> None:
        self._process = _context.Process(target=_main, args=(module, values, redis, faults, str(log)), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        assert code is not None, f"{self.pid} still runs after {timeout} s"
        return code

    def send_signal(self, number: int) -> None:
        if self._process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkedWorker(Worker):
    """A worker with faults; what it logs goes to the file ``log``."""

    def __init__(self, config: Config, module: str, faults: Faults, log: Path) -> None:
        self.config, self.name = config, module.rpartition(".")[2]
        log.touch()
        self._log = log.open()
        self._lines: list[str] = []
        self.process = Process(  # type: ignore[assignment]
            module, config.model_dump_json(exclude={"redis"}), config.redis.url.get_secret_value(), faults, log
        )

    @property
    def lines(self) -> list[str]:  # type: ignore[override]
        for line in self._log:
            if self._lines and not self._lines[-1].endswith("\n"):
                self._lines[-1] += line
            else:
                self._lines.append(line)
        return self._lines

    def exit_code(self, timeout: float = 30.0) -> int:
        return self.process.wait(timeout)


def _main(module: str, values: str, redis: str, faults: Faults, log: str) -> None:
    with Path(log).open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    os.environ["DIVREC_REDIS__URL"] = redis
    run(module, values, faults)
