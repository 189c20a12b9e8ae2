"""A repair command: the value of a letter goes in, the repaired value comes out."""

import os
import selectors
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress

from divrec.errors import ConfigError, DivrecError
from divrec.events import MAX_MESSAGE_BYTES

SECONDS = 10.0
"""A command that takes longer is ended."""
_FACT_CHARS = 8_192
"""Longest value of a variable."""
_SAID_BYTES = 4_096
"""Kept of what the command writes to its standard error: the end."""
_READ = 65_536


class Refused(DivrecError):
    """The command leaves this letter: it ended with another status than 0, took too long or wrote too much."""


class Repair:
    """Runs ``command``, split like a shell does and run without one. Raises ConfigError if there is no such program."""

    def __init__(self, command: str, seconds: float = SECONDS) -> None:
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise ConfigError(f"--command: expected a command line, got {command!r}: {error}") from None
        if not self._arguments or shutil.which(self._arguments[0]) is None:
            raise ConfigError(f"--command: expected a program that can be run, got {command!r}")
        self._seconds = seconds

    def __call__(self, value: bytes, facts: Mapping[str, str]) -> bytes:
        """What the command makes of ``value``; ``facts`` are environment variables for it. Raises Refused.

        It gets the environment without ``DIVREC_…``, which may hold passwords.
        """
        environment = {name: text for name, text in os.environ.items() if not name.startswith("DIVREC_")}
        environment |= {name: text[:_FACT_CHARS].replace("\0", "\ufffd") for name, text in facts.items()}
        with tempfile.TemporaryFile() as file:
            file.write(value)
            file.seek(0)
            try:
                process = subprocess.Popen(
                    self._arguments,
                    stdin=file,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise Refused(f"cannot be run: {error.strerror}") from None
        try:
            with process:
                try:
                    return self._result(process)
                finally:
                    _end(process)  # also what it has started
        except subprocess.TimeoutExpired:
            raise Refused(f"took longer than {self._seconds:g} s") from None

    def _result(self, process: "subprocess.Popen[bytes]") -> bytes:
        assert process.stdout is not None and process.stderr is not None
        deadline = time.monotonic() + self._seconds
        output, said = bytearray(), bytearray()
        with selectors.DefaultSelector() as selector:
            for stream, kept in ((process.stdout, output), (process.stderr, said)):
                selector.register(stream, selectors.EVENT_READ, kept)
            while selector.get_map():
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise subprocess.TimeoutExpired(self._arguments, self._seconds)
                for key, _ in ready:
                    if not (data := os.read(key.fd, _READ)):
                        selector.unregister(key.fileobj)
                    key.data.extend(data)
                del said[:-_SAID_BYTES]
                if len(output) > MAX_MESSAGE_BYTES:
                    raise Refused(f"wrote more than {MAX_MESSAGE_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise subprocess.TimeoutExpired(self._arguments, self._seconds)
        status = process.wait(max(0.0, deadline - time.monotonic()))
        if status != 0:
            last = said.decode(errors="replace").rstrip().rpartition("\n")[2].strip()
            raise Refused(f"status {status}{': ' if last else ''}{last[:300]}")
        return bytes(output)


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
