"""A historical log: its items, and its events in the order of their time."""

from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from types import TracebackType

from divrec.config import FeedbackConfig
from divrec.data.mapping import Mapping
from divrec.data.order import RUN, by_time
from divrec.data.presets import preset_sources
from divrec.data.readers import Progress, Source, read
from divrec.data.rejects import Rejects
from divrec.errors import ConfigError
from divrec.events import Event, Item


class Log:
    """Files that ``items()`` and ``events()`` read, as often as they are called.

    ``progress`` (settable) is told how many more bytes of the files were read; one ``items()`` and one ``events()``
    together read ``total_bytes``. Close it, or use it in ``with``, so that the side file of bad lines is complete.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        feedback: FeedbackConfig,
        rejects: Path | None = None,
        progress: Progress | None = None,
        run: int = RUN,
    ) -> None:
        self.sources = tuple(sources)
        for source in self.sources:
            source.check()
        self.progress = progress
        self.events_read = 0
        """Events that the latest ``events()`` has read: all of them, once its first one has come."""
        self._feedback = feedback
        self._rejects = Rejects(rejects)
        self._run = run

    @property
    def total_bytes(self) -> int:
        return sum(source.path.stat().st_size * (2 if source.holds == "any" else 1) for source in self.sources)

    def identity(self) -> list[object]:
        """What tells it from another log: its files, their sizes and times, and how they are read."""
        told: list[object] = []
        for source in self.sources:
            path, mapping, stands = source.path.resolve(), source.mapping, source.path.stat()
            how = mapping and [mapping.columns, mapping.separator, mapping.rating_scale]
            told.append([str(path), stands.st_size, stands.st_mtime_ns, source.holds, how])
        return told

    @property
    def rejected(self) -> dict[str, int]:
        """Bad lines so far, by reason."""
        return dict(self._rejects.counts)

    def items(self) -> Iterator[Item]:
        """The items in the order of the files."""
        for source in self.sources:
            if source.holds != "events":
                for event in read(source, self._feedback, self._rejects, self.progress):
                    if isinstance(event, Item):
                        yield event
        self._rejects.flush()

    def events(self) -> Iterator[Event]:
        """Clicks, reviews and requests by time; equal times keep the order of the files, no time comes first.

        The first one comes after everything has been read. Memory is bounded: see ``by_time``.
        """
        return by_time(self.unordered(), self._run, self._count)

    def _count(self, read: int) -> None:
        self.events_read = read

    def unordered(self) -> Iterator[Event]:
        """Clicks, reviews and requests in the order of the files."""
        for source in self.sources:
            if source.holds != "items":
                for event in read(source, self._feedback, self._rejects, self.progress):
                    if not isinstance(event, Item):
                        yield event
        self._rejects.flush()

    def close(self) -> None:
        self._rejects.close()

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def open_log(
    paths: Iterable[str | Path],
    *,
    map: dict[str, str] | None = None,
    items: Iterable[str | Path] = (),
    items_map: dict[str, str] | None = None,
    preset: str | None = None,
    feedback: FeedbackConfig | None = None,
    rejects: Path | None = None,
    progress: Progress | None = None,
    run: int = RUN,
) -> Log:
    """The log in ``paths``: files of a ``preset``, files with the columns of ``map``, or JSONL of our own events.

    With ``map``, a row with a text is a Review, any other a Click. ``items`` are further files, of items: their
    columns are those of ``items_map``, else of ``map``; with neither they are JSONL of our own. ``rejects`` is the side
    file of bad lines. Raises ConfigError for files, names and columns that are not there.
    """
    scale = feedback or FeedbackConfig()
    logs = [Path(path) for path in paths]
    if preset is not None and map is not None:
        raise ConfigError("log: expected a preset or a mapping, got both")
    if preset is not None:
        sources = preset_sources(preset, logs, scale)
    elif map is not None:
        mapping = Mapping(map, scale)
        sources = [Source(path, "events", mapping) for path in logs]
    else:
        sources = [Source(path, "any") for path in logs]
    columns = items_map if items_map is not None else map
    for path in items:
        sources.append(
            Source(Path(path), "any") if columns is None else Source(Path(path), "items", Mapping(columns, scale))
        )
    return Log(sources, scale, rejects, progress, run)


def demo_log(feedback: FeedbackConfig | None = None, progress: Progress | None = None) -> Log:
    """The bundled log, MovieLens ml-latest-small; for its terms see ``demo/README.md``."""
    return open_log([str(files("divrec.data") / "demo")], preset="movielens", feedback=feedback, progress=progress)
