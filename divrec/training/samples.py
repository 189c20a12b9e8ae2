"""What logs hold to be trained on: texts, and ratings that go with them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from divrec.data.log import Log, open_log
from divrec.errors import ConfigError
from divrec.evaluate.stream import WIDE
from divrec.events import Review
from divrec.text.content import item_text, review_text
from divrec.text.text_files import NOBODY, PLAIN, TextFiles

CLASSES = 20
"""Different ratings at most: more of them are no classes."""


class Said(NamedTuple):
    ts: int
    text: str


class Rated(NamedTuple):
    ts: int
    text: str
    rating: float


def opened(paths: Sequence[Path], columns: Mapping[str, str] | None, preset: str | None) -> Log:
    """The log in ``paths``: of a ``preset``, with ``columns`` (reviews if ``text`` is among them, else items), or of
    our own events. Raises ConfigError."""
    if preset is not None:  # it knows its own scale, and lays it over the one that it is given
        return open_log(paths, map=None if columns is None else dict(columns), preset=preset)
    if columns is None:
        return open_log(paths, feedback=WIDE)
    if "text" in columns:
        return open_log(paths, map=NOBODY | dict(columns), feedback=WIDE)
    return open_log([], items=paths, items_map=dict(columns), feedback=WIDE)


def said(log: Log, plain: Sequence[Path] = ()) -> list[Said]:
    """The different texts of the items and reviews of ``log``, and of the lines of ``plain``, each with its first
    time. Raises ConfigError without any."""
    found: dict[str, int] = {}
    for ts, text in _texts(log, plain):
        if text:
            found[text] = min(ts, found.get(text, ts))
    if not found:
        raise ConfigError("training: expected texts, found none: name the columns in --map, item=…,title=… or text=…")
    return [Said(ts, text) for text, ts in found.items()]


def rated(log: Log) -> list[Rated]:
    """The reviews of ``log`` that have a text and a rating; false is 0 and true is 1. Raises ConfigError if there are
    not at least two different ratings, and at most ``CLASSES``."""
    ends = {WIDE.rating_min: 0.0, WIDE.rating_max: 1.0}
    found = [
        Rated(event.ts, text, ends.get(event.rating, event.rating))
        for event in log.unordered()
        if isinstance(event, Review) and event.rating is not None and (text := review_text(event))
    ]
    if not found:
        raise ConfigError("training: expected reviews with a text and a rating, found none: name both columns in --map")
    values = sorted({one.rating for one in found})
    if not 2 <= len(values) <= CLASSES:
        raise ConfigError(
            f"training: expected 2 to {CLASSES} different ratings, found {len(values)}, "
            f"{f'all of them {values[0]:g}' if len(values) == 1 else f'from {values[0]:g} to {values[-1]:g}'}"
        )
    return found


def is_plain(path: Path) -> bool:
    return path.name.endswith(PLAIN)


def _texts(log: Log, plain: Sequence[Path]) -> Iterator[tuple[int, str]]:
    for item in log.items():
        yield item.ts, item_text(item)
    for event in log.unordered():
        if isinstance(event, Review):
            yield event.ts, review_text(event)
    for line in TextFiles(plain, None, WIDE):
        yield 0, line.text
