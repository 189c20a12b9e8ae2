"""Child processes that do not outlive their parent, log into bounded files and are started again when they die."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from divrec.errors import DivrecError
from streams.leaving import EXIT_CONFIG, EXIT_ENCODER, EXIT_SNAPSHOT

log = logging.getLogger(__name__)

LOG_BYTES = 8_388_608
"""A log file of this size is moved aside, over the one moved before."""
QUICK_DEATHS = 5
QUICK_DEATH_S = 10.0
"""A child that dies before it was ready or less than this after died quickly: so often in a row, and it is given up."""
BACK_OFF_S = 0.25
"""Before the first restart; doubled by every further quick death."""
HOPELESS = frozenset({EXIT_CONFIG, EXIT_ENCODER, EXIT_SNAPSHOT})
"""A child that ends with one of these would fail the same way again: it is given up at once."""

# Linux kills the child as soon as the thread that started it ends, in whatever way. A launcher and no preexec_fn, which
# would run Python in the fork of a process with threads. Other systems lack the call: there only an orderly end holds.
_LAUNCHER = """
import os, sys
parent, command = int(sys.argv[1]), sys.argv[2:]
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
    if os.getppid() != parent:
        sys.exit("the parent has ended already")
os.execvp(command[0], command)
"""


class StackError(DivrecError):
    """A child process did not start, or died and cannot be started again."""


class Child:
    """A command run as a child process, again and again if wanted.

    It is killed when the *thread* that called :meth:`start` ends (Linux), so start it from one that lasts. It has a
    process group of its own: Ctrl-C in a terminal reaches the parent alone, which ends its children in order.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._env = dict(env) if env is not None else None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the command. Raises OSError if the log cannot be written."""
        self.bound_log()
        # Opened for appending: it goes on at the new end when bound_log truncates the file under it.
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._env,
                process_group=0,
            )

    @property
    def pid(self) -> int | None:
        """Process id of the last start, None before the first."""
        return self._process.pid if self._process else None

    @property
    def status(self) -> int | None:
        """Exit status of the last start (negative: killed by that signal), None while it runs or before the first."""
        return self._process.poll() if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal to the process, if it still runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended after at most ``timeout_s``."""
        if self._process is not None:
            try:
                self._process.wait(max(timeout_s, 0.0))
            except subprocess.TimeoutExpired:
                return False
        return True

    def kill(self) -> None:
        """Kill the process and what it started, and wait for its end."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self, timeout_s: float) -> None:
        """SIGTERM, and after ``timeout_s`` SIGKILL."""
        self.signal(signal.SIGTERM)
        if not self.wait(timeout_s):
            self.kill()

    def bound_log(self) -> None:
        """Move a log that has grown too large aside, to ``<log>.1``."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            shutil.copyfile(self.log, self.log.with_name(self.log.name + ".1"))
            os.truncate(self.log, 0)

    def last_lines(self, count: int) -> str:
        """The end of the log, for an error message."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 16_384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])

    def obituary(self, consequence: str, lines: int = 20) -> str:
        """What to tell when it did not work out: how it ended, what follows, and the end of its log."""
        status = self.status
        how = (
            "runs" if status is None else f"ended with status {status}" if status >= 0 else f"died of signal {-status}"
        )
        return f"{self.name} {how}: {consequence}. The end of {self.log}:\n{self.last_lines(lines)}"


class KeptChild:
    """A child that is started again when it dies. ``answers(pid)`` tells when it is ready."""

    def __init__(self, child: Child, answers: Callable[[int], bool]) -> None:
        self.child = child
        self.ready = False
        self._answers = answers
        self._ready_at = 0.0
        self._quick_deaths = 0
        self._restart_at: float | None = None

    def tick(self, now: float) -> None:
        """Look after the child; ``now`` in seconds, monotonic. Raises StackError if it is to be given up."""
        if self.child.pid and self.child.running:
            if not self.ready and self._answers(self.child.pid):
                self.ready, self._ready_at = True, now
        elif self._restart_at is None:
            self._restart_at = now + self._died(now)
        elif now >= self._restart_at:
            self._restart_at = None
            self.child.start()

    def _died(self, now: float) -> float:
        quick = not self.ready or now - self._ready_at < QUICK_DEATH_S
        self._quick_deaths = self._quick_deaths + 1 if quick else 1
        self.ready = False
        if self.child.status in HOPELESS:
            raise StackError(self.child.obituary("another start would fail the same way"))
        if self._quick_deaths >= QUICK_DEATHS:
            raise StackError(self.child.obituary(f"{QUICK_DEATHS} times in a row"))
        pause = BACK_OFF_S * 2.0 ** (self._quick_deaths - 1)
        log.warning("%s", self.child.obituary(f"started again in {pause:g} s", lines=3))
        return pause


def stop_all(children: Sequence[Child], timeout_s: float) -> None:
    """SIGTERM to all, and SIGKILL to those that still run after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    for child in children:
        child.signal(signal.SIGTERM)
    for child in children:
        if not child.wait(deadline - time.monotonic()):
            child.kill()
