"""Bad lines of a log: counted by reason and kept in a side file."""

import base64
from collections import Counter
from pathlib import Path
from typing import IO

import msgspec


class Rejects:
    """``counts`` by reason; ``path`` gets one JSON object per bad line.

    Its fields: ``file``, ``line`` (the record's last line, from 1), ``reason``, ``message`` and the ``original`` text,
    or ``original_base64`` where that is not UTF-8. A log is read several times (for items, for events, once more): a
    bad line counts once.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.path = path
        self._last: dict[object, int] = {}
        self._file: IO[bytes] | None = None

    def add(self, source: object, file: Path, line: int, reason: str, message: str, original: bytes) -> None:
        """``source`` is what is being read, from its first line to its last, each time."""
        if line <= self._last.get(source, 0):
            return
        self._last[source] = line
        self.counts[reason] += 1
        if self.path is None:
            return
        if self._file is None:
            self._file = self.path.open("wb")
        record = {"file": str(file), "line": line, "reason": reason, "message": message}
        try:
            record["original"] = original.decode()
        except UnicodeDecodeError:
            record["original_base64"] = base64.b64encode(original).decode()
        self._file.write(msgspec.json.encode(record) + b"\n")

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
