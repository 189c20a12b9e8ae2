"""Files of items, of reviews or of plain lines as texts with ids, each as the encode worker would read it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from divrec.config import FeedbackConfig
from divrec.data import mapping, readers
from divrec.data.rejects import Rejects
from divrec.errors import ConfigError
from divrec.events import MAX_MESSAGE_BYTES, Item, Review
from divrec.text.clean import clean
from divrec.text.content import MAX_CHARACTERS, item_text, review_text

PLAIN = (".txt", ".txt.gz")
NOBODY = {"user_id": "=-", "item_id": "=-"}
"""Who wrote, and about what, need not be mapped."""


class Text(NamedTuple):
    id: str
    text: str
    """Clean, at most 2,000 characters; empty where there is none."""


class TextFiles:
    """The texts in ``paths``, in their order and as often as it is iterated; a line or a batch of rows is held at once.

    - ``.txt`` and ``.txt.gz``: one text a line, of UTF-8.
    - CSV, TSV, JSONL or Parquet with ``columns`` (our fields to theirs): reviews if ``text`` is among them, else items.
    - JSONL without ``columns``: our own Items and Reviews.

    The id is that of the item; of a review its ``event_id``, else the ``item`` that was mapped; where there is none of
    these, the number of the row over all files, from 0. Bad lines are counted in ``rejected`` and have no number.
    Raises ConfigError for files and columns that are not there.
    """

    def __init__(self, paths: Sequence[Path], columns: Mapping[str, str] | None, feedback: FeedbackConfig) -> None:
        self.paths = tuple(paths)
        self._columns, self._feedback = dict(columns or {}), feedback
        self._rejects = Rejects()
        self._sources = [None if path.name.endswith(PLAIN) else self._source(path) for path in self.paths]
        for path, source in zip(self.paths, self._sources, strict=True):
            if source is not None:
                source.check()
            elif not path.is_file():
                raise ConfigError(f"expected a file at {path}, found none")

    @property
    def rejected(self) -> dict[str, int]:
        """Bad lines, by reason, after the first iteration."""
        return dict(self._rejects.counts)

    def identity(self) -> list[object]:
        """What tells these texts from others: the files, their sizes and times, and how they are read."""
        stands = [(path.resolve(), path.stat()) for path in self.paths]
        return [self._columns, *([str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stands)]

    def __iter__(self) -> Iterator[Text]:
        number = 0
        for path, source in zip(self.paths, self._sources, strict=True):
            for text in _lines(path) if source is None else self._events(source):
                yield text if text.id else Text(str(number), text.text)
                number += 1

    def _source(self, path: Path) -> readers.Source:
        if not self._columns:
            return readers.Source(path, "any")
        if "text" not in self._columns:
            return readers.Source(path, "items", mapping.Mapping(self._columns, self._feedback))
        return readers.Source(path, "events", mapping.Mapping(NOBODY | self._columns, self._feedback))

    def _events(self, source: readers.Source) -> Iterator[Text]:
        item_mapped = "item_id" in self._columns
        for event in readers.read(source, self._feedback, self._rejects):
            if isinstance(event, Item):
                yield Text(event.item_id, item_text(event))
            elif isinstance(event, Review):
                yield Text(event.event_id or (event.item_id if item_mapped else ""), review_text(event))
            elif source.mapping is not None:  # a row whose text is empty
                yield Text("", "")


def _lines(path: Path) -> Iterator[Text]:
    with readers.opened(path) as file:
        try:
            while line := file.readline(MAX_MESSAGE_BYTES):
                rest = line
                while len(rest) == MAX_MESSAGE_BYTES and not rest.endswith(b"\n"):  # no text needs so much
                    rest = file.readline(MAX_MESSAGE_BYTES)
                yield Text("", clean(line.decode("utf-8-sig", "replace"), MAX_CHARACTERS))
        except (EOFError, OSError) as error:
            raise ConfigError(f"{path}: expected a whole file of lines, the rest is unreadable: {error}") from None
