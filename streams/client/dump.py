"""A topic as a file: one JSON object a line with everything that Kafka tells of a message, and back.

``{"topic", "partition", "offset", "timestamp", "key", "value", "headers"}``: key, value and the headers' values are
text where they are UTF-8, else ``{"base64": …}``; none is null. Offsets rise within each partition.
"""

import base64
import gzip
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, Self, cast

import msgspec

from divrec.backfill import BATCH, Taken, described
from divrec.config import Config
from divrec.data.log import Log
from divrec.data.order import RUN, in_order
from divrec.data.readers import Progress
from divrec.errors import ConfigError, EventError
from divrec.events import Item
from streams.codec import REPLAY, Header, Message, decode_event, decode_item, event_id, event_time, value_of
from streams.topics import Topics, partition_of

LONGEST = 32_000_000
"""Bytes of a line: well above what a message can be."""
_TEXT = 1_024
"""Characters of a message that count like one message more."""


class Bytes(msgspec.Struct):
    base64: str


class Line(msgspec.Struct, omit_defaults=True):
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: str | Bytes | None
    value: str | Bytes | None
    headers: list[tuple[str, str | Bytes | None]]
    order: int = 0
    """Latest timestamp of its partition up to here: by it lines of all partitions can be sorted."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


def line_of(message: Message) -> Line:
    m = message
    headers = [(name, _text(value)) for name, value in m.headers]
    return Line(m.topic, m.partition, m.offset, m.timestamp, _text(m.key), _text(m.value), headers)


def message_of(line: Line) -> Message:
    headers = [cast(Header, (name, _data(value))) for name, value in line.headers]
    key, value = _data(line.key), _data(line.value)
    return Message(line.topic, line.partition, line.offset, line.timestamp, key, value, headers)


def dumped(message: Message) -> bytes:
    """``message`` as a line, without its end."""
    return _encode(line_of(message))


def _text(data: bytes | None) -> str | Bytes | None:
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return Bytes(base64.b64encode(data or b"").decode())


def _data(text: str | Bytes | None) -> bytes | None:
    if text is None:
        return None
    return text.encode() if isinstance(text, str) else base64.b64decode(text.base64)


def is_dump(path: Path) -> bool:
    """Whether ``path`` begins with a line of a dump. Raises ConfigError if it cannot be read."""
    try:
        with path.open("rb") as raw:
            _decode(_unpacked(path, raw).readline(LONGEST))
    except msgspec.DecodeError:
        return False
    except (OSError, EOFError) as error:
        raise ConfigError(f"log: expected a file that can be read at {path}: {error}") from None
    return True


def read_dump(path: Path, progress: Progress | None = None) -> Iterator[Line]:
    """The lines of a dump; ``progress`` is told how many more bytes were read. Raises ConfigError for a bad line."""
    told = number = 0
    with path.open("rb") as raw:
        file = _unpacked(path, raw)
        try:
            for number, data in enumerate(iter(lambda: file.readline(LONGEST), b""), 1):
                yield _decode(data)
                if progress and number % 1_000 == 0:
                    progress(raw.tell() - told)
                    told = raw.tell()
        except (msgspec.DecodeError, EOFError, gzip.BadGzipFile) as error:
            raise ConfigError(f"{path}, line {number}: expected a line of `divrec dump`: {error}") from None
        if progress:
            progress(raw.tell() - told)


def _unpacked(path: Path, raw: IO[bytes]) -> Any:
    return gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw


def in_arrival_order(
    lines: Iterable[Line], run: int = RUN, progress: Callable[[int], None] | None = None
) -> Iterator[Line]:
    """``lines`` of all partitions as they came to Kafka: by its timestamps, and by offset within each partition.

    Memory is bounded, see ``divrec.data.order``. Raises ConfigError if the offsets of a partition do not rise.
    """
    return in_order(_marked(lines), attrgetter("order"), _decode, _size, run, progress)


def _marked(lines: Iterable[Line]) -> Iterator[Line]:
    last: dict[int, int] = {}
    latest: dict[int, int] = {}
    for line in lines:
        partition = line.partition
        if line.offset <= last.get(partition, -1):
            raise ConfigError(
                f"dump of {line.topic}: expected rising offsets, got {line.offset} after {last[partition]} in "
                f"partition {partition}: give each dump once, in their order"
            )
        last[partition] = line.offset
        line.order = latest[partition] = max(line.timestamp, latest.get(partition, 0))
        yield line


def _size(line: Line) -> int:
    characters = _length(line.key) + _length(line.value) + sum(_length(value) for _, value in line.headers)
    return 1 + characters // _TEXT


def _length(text: str | Bytes | None) -> int:
    if text is None:
        return 0
    return len(text if isinstance(text, str) else text.base64)


class EventsDump:
    """A dump of ``events`` as the history of a backfill: what the recommend worker made of these messages.

    ``items``: those of dumps of ``catalog`` first, then those of ``more``, a log without events.
    """

    def __init__(self, config: Config, paths: Iterable[Path], catalogs: Iterable[Path], more: Log) -> None:
        self._topic, self._partitions = Topics(config).events, config.kafka.partitions
        self._paths, self._catalogs, self._more = list(paths), list(catalogs), more
        self.progress: Progress | None = None
        self.events_read = 0

    @property
    def total_bytes(self) -> int:
        return self._more.total_bytes + sum(path.stat().st_size for path in (*self._paths, *self._catalogs))

    @property
    def rejected(self) -> dict[str, int]:
        return self._more.rejected

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._more.close()

    def identity(self) -> list[object]:
        files = [[str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns] for p in (*self._paths, *self._catalogs)]
        return [*files, *self._more.identity()]

    def items(self) -> Iterator[Item]:
        for path in self._catalogs:
            for line in read_dump(path, self.progress):
                message = message_of(line)
                if message.value is not None:
                    yield decode_item(message.value)
                elif message.key is not None:
                    yield Item(item_id=message.key.decode(), available=False)
        self._more.progress = self.progress
        yield from map(described, self._more.items())

    def batches(self, skip: int) -> Iterator[list[Taken]]:
        lines = islice(in_arrival_order(self._lines(), progress=self._count), skip, None)
        while batch := list(islice(lines, BATCH)):
            yield [self._taken(message_of(line)) for line in batch]

    def _count(self, read: int) -> None:
        self.events_read = read

    def _lines(self) -> Iterator[Line]:
        for path in self._paths:
            for line in read_dump(path, self.progress):
                if line.topic != self._topic or line.partition >= self._partitions:
                    raise ConfigError(
                        f"{path}: expected a dump of {self._topic} with {self._partitions} partitions, got a message "
                        f"of {line.topic}, partition {line.partition}: correct kafka.prefix and kafka.partitions"
                    )
                yield line

    def _taken(self, message: Message) -> Taken:
        """As the recommend worker decodes it."""
        replayed = message.header(REPLAY) is not None
        try:
            event = decode_event(value_of(message))
            if partition_of(event.user_id, self._partitions) != message.partition:
                raise EventError("wrong-partition", "expected another partition for this user")
        except (EventError, ValueError, RecursionError) as error:
            reason = error.reason if isinstance(error, EventError) else "invalid"
            return Taken(None, "", message.partition, message.offset, replayed, reason)
        event.ts = event_time(event.ts, message)
        known = event_id(event.event_id, message)
        return Taken(event, known, message.partition, message.offset, replayed)
