"""Order with bounded memory: sorted runs on disk, merged."""

import heapq
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from operator import attrgetter
from typing import IO, Any, TypeVar

import msgspec

from divrec.events import Event, Review

T = TypeVar("T")

RUN = 100_000
_READ = 65_536
_TEXT = 256
"""Characters of text that count like one event more."""

_decode = msgspec.json.Decoder(Event).decode
_encode_lines = msgspec.json.Encoder().encode_lines


def by_time(events: Iterable[Event], run: int = RUN, progress: Callable[[int], None] | None = None) -> Iterator[Event]:
    """``events`` in the order of their ``ts``; equal times keep the order in which they came, no time comes first.

    At most ``run`` events are held at once (long texts count as several); more go to a temporary file in sorted runs,
    which needs about the size of the log in JSON. ``progress`` is told the number of events read so far.
    """
    return in_order(events, attrgetter("ts"), _decode, _size, run, progress)


def _size(event: Event) -> int:
    return 1 + len(event.text) // _TEXT if type(event) is Review else 1


def in_order(
    things: Iterable[T],
    key: Callable[[T], Any],
    decode: Callable[[bytes], T],
    size: Callable[[T], int],
    run: int = RUN,
    progress: Callable[[int], None] | None = None,
) -> Iterator[T]:
    """``things`` (Structs that ``decode`` makes of their JSON) by ``key``; equal keys keep their order.

    At most ``run`` of them, counted by ``size``, are held at once.
    """
    held: list[T] = []
    holds = read = 0
    runs: list[tuple[int, int]] = []
    with ExitStack() as stack:
        for thing in things:
            held.append(thing)
            holds += size(thing)
            if holds >= run:
                if not runs:
                    file = stack.enter_context(tempfile.TemporaryFile(buffering=0))
                held.sort(key=key)
                runs.append(_spill(held, file))
                read += len(held)
                held, holds = [], 0
                if progress:
                    progress(read)
        held.sort(key=key)
        if progress:
            progress(read + len(held))
        if runs:
            yield from heapq.merge(*(_run(file.fileno(), *bounds, decode) for bounds in runs), held, key=key)
        else:
            yield from held


def _spill(things: Sequence[Any], file: IO[bytes]) -> tuple[int, int]:
    """Appends a run to ``file``; its first byte and the one after its last."""
    start = file.tell()
    for first in range(0, len(things), 1_000):
        data = memoryview(_encode_lines(things[first : first + 1_000]))
        while data:
            data = data[file.write(data) :]
    return start, file.tell()


def _run(descriptor: int, start: int, end: int, decode: Callable[[bytes], T]) -> Iterator[T]:
    """One run. All runs share one file, so that their number is not bounded by that of open files."""
    rest = b""
    while start < end:
        block = os.pread(descriptor, min(_READ, end - start), start)
        if not block:
            raise OSError(f"the temporary file of the sorting ends at byte {start}, expected {end}")
        start += len(block)
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield decode(line)
