"""Known logs: which of their files hold what, and which column is what."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from divrec.config import FeedbackConfig
from divrec.data.mapping import Mapping, Row
from divrec.data.readers import Source
from divrec.errors import ConfigError


@dataclass(frozen=True)
class Part:
    """One file of a known log: the patterns of its name (without ``.gz``) and how its rows are read."""

    names: tuple[str, ...]
    holds: Literal["items", "events"]
    columns: dict[str, str] = field(default_factory=dict)
    separator: str = "|"
    rating_scale: tuple[float, float] | None = None
    clean: Callable[[Row], Row] | None = None


def _nothing(column: str, value: str) -> Callable[[Row], Row]:
    """Empties ``column`` where it holds the word by which these files say that there is nothing."""

    def clean(row: Row) -> Row:
        return {**row, column: None} if row.get(column) == value else row

    return clean


_PRICE = re.compile(r"\$([\d,]+(?:\.\d+)?)")


def _amazon_price(row: Row) -> Row:
    """Prices read ``$1,234.50``, or are ranges or pieces of a page: those are no prices."""
    match = _PRICE.fullmatch(str(row.get("price", "")).strip())
    return {**row, "price": match[1].replace(",", "") if match else None}


PRESETS: dict[str, tuple[Part, ...]] = {
    "movielens": (
        Part(
            ("ratings.csv", "*_ratings.csv"),
            "events",
            {"user": "userId", "item": "movieId", "rating": "rating", "ts": "timestamp"},
            rating_scale=(0.5, 5.0),
        ),
        Part(
            ("tags.csv", "*_tags.csv"),
            "events",
            {"user": "userId", "item": "movieId", "text": "tag", "ts": "timestamp"},
        ),
        Part(
            ("movies.csv", "*_movies.csv"),
            "items",
            {"item": "movieId", "title": "title", "categories": "genres"},
            clean=_nothing("genres", "(no genres listed)"),
        ),
    ),
    "ml-100k": (
        Part(
            ("*.inter", "*inter.tsv"),
            "events",
            {"user": "user_id", "item": "item_id", "rating": "rating", "ts": "timestamp"},
            rating_scale=(1.0, 5.0),
        ),
        Part(
            ("*.item", "*item.tsv"),
            "items",
            {"item": "item_id", "title": "movie_title", "categories": "class"},
            separator=" ",
            clean=_nothing("class", "unknown"),
        ),
    ),
    "amazon-reviews": (
        Part(
            ("meta_*.json", "meta_*.jsonl", "*_meta_*.json", "*_meta_*.jsonl"),
            "items",
            {
                **{"item": "asin", "title": "title", "description": "description", "categories": "category"},
                **{"brand": "brand", "price": "price"},
            },
            clean=_amazon_price,
        ),
        Part(
            ("*.json", "*.jsonl"),
            "events",
            {
                **{"user": "reviewerID", "item": "asin", "ts": "unixReviewTime", "rating": "overall"},
                **{"text": "reviewText", "title": "summary"},
            },
            rating_scale=(1.0, 5.0),
        ),
    ),
}
"""``movielens``: ratings.csv as clicks, tags.csv as reviews, movies.csv as items. ``ml-100k``: the typed files
``….inter`` and ``….item``. ``amazon-reviews``: reviews and ``meta_…`` of the 2014 and 2018 collections.

Each knows its scale of ratings, which is laid over the configured one: half a star of MovieLens is ``rating_min``."""


def preset_sources(name: str, paths: Iterable[Path], feedback: FeedbackConfig) -> list[Source]:
    """The files of the log ``name`` among ``paths``; of a directory, those with known names (``F`` before ``F.gz``).

    Raises ConfigError for an unknown name, a file that the log does not have, or a directory without any.
    """
    parts = PRESETS.get(name)
    if parts is None:
        raise ConfigError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    sources: list[Source] = []
    for path in paths:
        known = [source for file in _files(path) if (source := _source(parts, file, feedback))]
        if not known:
            raise ConfigError(
                f"preset {name}: {path} is not, and holds no, file of this log; "
                f"expected names like {', '.join(name for part in parts for name in part.names)}"
            )
        sources += known
    return sources


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for file in sorted(path.iterdir()):
        if file.is_file() and not (file.suffix == ".gz" and file.with_suffix("").is_file()):
            yield file


def _source(parts: Iterable[Part], path: Path, feedback: FeedbackConfig) -> Source | None:
    name = path.name.removesuffix(".gz")
    for part in parts:
        if any(fnmatchcase(name, pattern) for pattern in part.names):
            mapping = Mapping(part.columns, feedback, part.separator, part.rating_scale)
            return Source(path, part.holds, mapping, part.clean)
    return None
