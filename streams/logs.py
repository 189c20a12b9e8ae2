"""Plain log lines on the standard error. They never hold what users wrote."""

import logging
import sys
import time

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


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


def start_logging(level: str) -> None:
    """Set up the process's logging: ``level`` for divrec, less from Faust and the Kafka client."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(FewRepeats())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    quiet = logging.INFO if level == "DEBUG" else logging.WARNING
    for name in ("faust", "mode", "streams.wiring"):  # Faust logs under the module of a service's class
        logging.getLogger(name).setLevel(max(quiet, logging.getLevelName(level)))
    # Below WARNING the client logs every request: a tenth of a worker's time, and keys and values.
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
