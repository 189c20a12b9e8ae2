"""Files of events, row by row: JSONL of our own events, and CSV, TSV, JSONL or Parquet through a mapping.

JSONL, CSV and TSV may be compressed by gzip (``.gz``).
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import msgspec

from divrec.config import FeedbackConfig
from divrec.data.decode import LogEvent, decode_event, own_decoder
from divrec.data.mapping import Mapping, Row
from divrec.data.parquet import Damaged, check_columns, parquet_rows
from divrec.data.rejects import Rejects
from divrec.errors import ConfigError, EventError
from divrec.events import MAX_MESSAGE_BYTES, Click, Item, Request, Review

Progress = Callable[[int], None]
"""Is told how many more bytes of the files (as they lie on disk) were read."""

Layout = Literal["json", "csv", "tsv", "parquet"]

_LAYOUTS: dict[str, Layout] = {
    **dict.fromkeys((".jsonl", ".json", ".ndjson"), "json"),
    ".csv": "csv",
    **dict.fromkeys((".tsv", ".tab", ".inter", ".item"), "tsv"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
}
_TYPE = re.compile(r":(token|float)(_seq)?$")
"""Types in the header of RecBole's files."""

_BOM = b"\xef\xbb\xbf"
_REPORT = 1_000
_DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)


@dataclass(frozen=True, eq=False)
class Source:
    """One file and how its rows become events.

    ``holds``: ``items``, ``events``, or ``any`` for our own shape, where the ``kind`` of each line tells. ``clean``
    may change a row before it is mapped.
    """

    path: Path
    holds: Literal["items", "events", "any"]
    mapping: Mapping | None = None
    clean: Callable[[Row], Row] | None = None

    @property
    def layout(self) -> Layout:
        name = self.path.name.removesuffix(".gz")
        layout = _LAYOUTS.get(Path(name).suffix.lower())
        if layout is None or (layout == "parquet" and name != self.path.name):
            raise ConfigError(
                f"{self.path}: expected a name ending in {', '.join(_LAYOUTS)} (and .gz, but for Parquet)"
            )
        return layout

    @property
    def columns(self) -> set[str]:
        """Those that the mapping reads."""
        mapped = self.mapping.columns.values() if self.mapping is not None else ()
        return {to for to in mapped if not to.startswith("=")}

    def check(self) -> None:
        """Raises ConfigError if the file cannot be read this way."""
        if not self.path.is_file():
            raise ConfigError(f"log: expected a file at {self.path}, found none")
        if self.mapping is None:
            if self.layout != "json":
                raise ConfigError(f"{self.path}: a {self.layout} file needs a mapping or a preset")
            return
        self.mapping.require("item" if self.holds == "items" else "click")
        if self.layout == "parquet":
            check_columns(self.path, self.columns)
        elif self.layout != "json":
            try:
                header = _header(next(csv.reader(_Text(_lines(self)), **_dialect(self.layout)), []))
            except (csv.Error, *_DAMAGED) as error:
                raise ConfigError(f"{self.path}: expected a header of column names: {error}") from None
            if missing := sorted(self.columns.difference(header)):
                raise ConfigError(f"{self.path}: no column {', '.join(missing)}; it has {', '.join(header)}")


def read(
    source: Source, feedback: FeedbackConfig, rejects: Rejects, progress: Progress | None = None
) -> Iterator[LogEvent]:
    """The events of one file in its order. What is not an event goes to ``rejects`` and the reading goes on."""
    if source.layout == "json":
        return _read_json(source, feedback, rejects, progress)
    if source.layout == "parquet":
        return _read_parquet(source, rejects, progress)
    return _read_table(source, rejects, progress)


def _read_json(
    source: Source, feedback: FeedbackConfig, rejects: Rejects, progress: Progress | None
) -> Iterator[LogEvent]:
    if source.mapping is None:
        decode: Callable[[bytes], LogEvent] = own_decoder(Click | Review | Request | Item, feedback)
    else:
        build = _build(source)

        def decode(line: bytes) -> LogEvent:
            row: Any = decode_event(line, dict)
            return build(row)

    number = 0
    try:
        for number, line in enumerate(_lines(source, progress), 1):
            if line.isspace():
                continue
            try:
                yield decode(line)
            except EventError as error:
                rejects.add(source, source.path, number, error.reason, str(error), line)
    except _DAMAGED as error:
        rejects.add(source, source.path, number + 1, "damaged-file", f"the rest is unreadable: {error}", b"")


def _read_table(source: Source, rejects: Rejects, progress: Progress | None) -> Iterator[LogEvent]:
    build = _build(source)
    text = _Text(_lines(source, progress))
    rows = csv.reader(text, **_dialect(source.layout))

    def reject(reason: str, message: str) -> None:
        rejects.add(source, source.path, text.number, reason, message, b"".join(text.record))

    try:
        header = _header(next(rows, []))
        width = len(header)
        text.problem = None
        while True:
            text.record.clear()
            try:
                cells = next(rows)
                if text.problem:
                    reject(*text.problem)
                    text.problem = None
                elif len(cells) == width:
                    yield build(dict(zip(header, cells, strict=True)))
                elif cells:
                    reject("bad-row", f"expected {width} columns, got {len(cells)}")
            except StopIteration:
                return
            except csv.Error as error:
                reject("bad-row", str(error))
                text.problem = None
            except EventError as error:
                reject(error.reason, str(error))
    except _DAMAGED as error:
        text.number += 1
        reject("damaged-file", f"the rest is unreadable: {error}")


def _read_parquet(source: Source, rejects: Rejects, progress: Progress | None) -> Iterator[LogEvent]:
    build = _build(source)
    number = 0
    try:
        for number, row in enumerate(parquet_rows(source.path, source.columns, progress), 1):
            try:
                yield build(row)
            except EventError as error:
                rejects.add(source, source.path, number, error.reason, str(error), _shown(row))
    except Damaged as error:
        rejects.add(source, source.path, number + 1, "damaged-file", f"the rest is unreadable: {error}", b"")


def _shown(row: Row) -> bytes:
    return msgspec.json.encode(row, enc_hook=str)


def _build(source: Source) -> Callable[[Row], LogEvent]:
    assert source.mapping is not None
    build = source.mapping.builder("item") if source.holds == "items" else source.mapping.event
    clean = source.clean
    return build if clean is None else lambda row: build(clean(row))


def _dialect(layout: Layout) -> dict[str, Any]:
    """Tab-separated files know no quoting: a quotation mark there is text."""
    if layout == "tsv":
        return {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    return {"delimiter": ",", "strict": True}


def _header(cells: list[str]) -> list[str]:
    return [_TYPE.sub("", cell.strip()) for cell in cells]


class _Text:
    """Lines as text for ``csv``, which remembers the original bytes of the record being read."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self.record: list[bytes] = []
        self.number = 0
        self.problem: tuple[str, str] | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.record.append(line)
        self.number += 1
        if len(line) > MAX_MESSAGE_BYTES:
            self.problem = ("too-large", f"expected at most {MAX_MESSAGE_BYTES} bytes a line")
            return ""
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            self.problem = ("bad-encoding", f"expected UTF-8: {error}")
            return line.decode(errors="replace")


def opened(path: Path) -> io.BufferedIOBase:
    """The bytes of a file that may be compressed by gzip."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _lines(source: Source, progress: Progress | None = None) -> Iterator[bytes]:
    """Lines with their ends; of one that is too large, only the first part, which is still too large."""
    limit = MAX_MESSAGE_BYTES + 2
    with source.path.open("rb", buffering=0) as file:
        opened: Any = gzip.GzipFile(fileobj=file) if source.path.suffix == ".gz" else file
        stream = io.BufferedReader(opened, 1 << 17)
        told = number = 0
        first = stream.readline(limit).removeprefix(_BOM)
        for number, line in enumerate(chain((first,) if first else (), iter(lambda: stream.readline(limit), b"")), 1):
            yield line
            if len(line) == limit and not line.endswith(b"\n"):
                while (more := stream.readline(limit)) and not more.endswith(b"\n"):
                    pass
            if progress and number % _REPORT == 0:
                told, before = file.tell(), told
                progress(told - before)
        if progress:
            progress(file.tell() - told)
