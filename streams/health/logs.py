"""Log lines on the standard error, as text or JSON. They never hold what users wrote, nor who they are."""

import logging
import re
import sys
import time
import traceback
from typing import Any

from aiokafka.errors import KafkaError
from pythonjsonlogger.json import JsonFormatter

from divrec.errors import DivrecError, EventError

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_LONGEST_CHAIN = 5
_QUOTED = re.compile(r"exception=(\w+)\(.*", re.DOTALL)


class FewRepeats(logging.Filter):
    """Lets through each message of the Kafka client at most once in ``every`` seconds, with the number left out.

    An idempotent producer without its broker writes the same line thousands of times a second.
    """

    def __init__(self, every: float = 10.0) -> None:
        super().__init__()
        self._every = every
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("aiokafka"):
            return True
        key = (record.name, str(record.msg)[:200])
        now = time.monotonic()
        last, left_out = self._last.get(key, (-self._every, 0))
        if now - last < self._every:
            self._last[key] = (last, left_out + 1)
            return False
        if len(self._last) > 1_000:
            self._last.clear()
        self._last[key] = (now, 0)
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out} more like this)", ()
        return True


def no_quotes(record: logging.LogRecord) -> bool:
    """A filter: the event loop's own lines about a lost exception quote it."""
    if record.name == "asyncio":
        record.msg, record.args = _QUOTED.sub(r"exception=\1>", record.getMessage()), ()
    return True


class Reserved(logging.Formatter):
    """Shows where an unexpected exception came from, but what it says only where that cannot quote an event.

    ``int("…")`` and the like put the value into the message. ``talkative`` shows it all the same.
    """

    talkative = False

    def formatException(self, ei: Any) -> str:  # noqa: N802
        shown: list[str] = []
        error: BaseException | None = ei[1]
        while error is not None and len(shown) < _LONGEST_CHAIN:
            frames = "".join(traceback.format_tb(error.__traceback__))
            shown.append(f"Traceback (most recent call last):\n{frames}{self._said(error)}")
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\n\nwhich led to\n\n".join(reversed(shown))

    def _said(self, error: BaseException) -> str:
        kind = type(error).__qualname__
        own = isinstance(error, DivrecError) and not isinstance(error, EventError)
        if own or self.talkative or isinstance(error, OSError | KafkaError | ImportError | RecursionError):
            return f"{kind}: {error}"
        return f"{kind} (what it says is left out, it may quote an event: log_level DEBUG shows it)"


class JsonLines(Reserved, JsonFormatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``worker``, ``message``, and what a line adds."""

    def __init__(self, worker: str) -> None:
        super().__init__(
            ["levelname", "name", "message"],
            rename_fields={"levelname": "level", "name": "logger", "exc_info": "traceback"},
            static_fields={"worker": worker},
            timestamp="time",
        )


def start_logging(level: str, form: str = "text", worker: str = "") -> None:
    """Set up the process's logging: ``level`` for divrec, less from Faust and the Kafka client.

    ``form`` is ``text`` or ``json``; ``worker`` names the process in JSON lines.
    """
    formatter = JsonLines(worker) if form == "json" else Reserved(FORMAT)
    formatter.talkative = level == "DEBUG"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(no_quotes)
    handler.addFilter(FewRepeats())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    quiet = logging.INFO if level == "DEBUG" else logging.WARNING
    for name in ("faust", "mode", "streams.kafka.wiring"):  # Faust logs under the module of a service's class
        logging.getLogger(name).setLevel(max(quiet, logging.getLevelName(level)))
    # Below WARNING the client logs every request: a tenth of a worker's time, and keys and values.
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    # The first start compiles: numba would tell each instruction.
    logging.getLogger("numba").setLevel(logging.WARNING)
