"""Event-time order with bounded memory: sorted runs on disk, merged."""

import heapq
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from operator import attrgetter
from typing import IO

import msgspec

from divrec.events import Event, Review

RUN = 100_000
_READ = 65_536
_TEXT = 256
"""Characters of text that count like one event more."""

_time = attrgetter("ts")
_encode = msgspec.json.Encoder().encode_lines
_decode = msgspec.json.Decoder(Event).decode


def by_time(events: Iterable[Event], run: int = RUN, progress: Callable[[int], None] | None = None) -> Iterator[Event]:
    """``events`` in the order of their ``ts``; equal times keep the order in which they came, no time comes first.

    At most ``run`` events are held at once (long texts count as several); more go to a temporary file in sorted runs,
    which needs about the size of the log in JSON. ``progress`` is told the number of events read so far.
    """
    held: list[Event] = []
    size = read = 0
    runs: list[tuple[int, int]] = []
    with ExitStack() as stack:
        for event in events:
            held.append(event)
            size += 1 + len(event.text) // _TEXT if type(event) is Review else 1
            if size >= run:
                if not runs:
                    file = stack.enter_context(tempfile.TemporaryFile(buffering=0))
                held.sort(key=_time)
                runs.append(_spill(held, file))
                read += len(held)
                held, size = [], 0
                if progress:
                    progress(read)
        held.sort(key=_time)
        if progress:
            progress(read + len(held))
        if runs:
            yield from heapq.merge(*(_run(file.fileno(), *bounds) for bounds in runs), held, key=_time)
        else:
            yield from held


def _spill(events: list[Event], file: IO[bytes]) -> tuple[int, int]:
    """Appends a run to ``file``; its first byte and the one after its last."""
    start = file.tell()
    for first in range(0, len(events), 1_000):
        data = memoryview(_encode(events[first : first + 1_000]))
        while data:
            data = data[file.write(data) :]
    return start, file.tell()


def _run(descriptor: int, start: int, end: int) -> Iterator[Event]:
    """Events of one run. All runs share one file, so that their number is not bounded by that of open files."""
    rest = b""
    while start < end:
        block = os.pread(descriptor, min(_READ, end - start), start)
        if not block:
            raise OSError(f"the temporary file of the sorting ends at byte {start}, expected {end}")
        start += len(block)
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield _decode(line)
