"""Parquet files as rows, a batch at a time. pyarrow is imported when one is opened."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from divrec.errors import ConfigError

BATCH = 8_192
Row = dict[str, Any]


class Damaged(Exception):
    """The rest of a Parquet file cannot be read."""


def check_columns(path: Path, wanted: Iterable[str]) -> None:
    """Raises ConfigError unless ``path`` is a Parquet file with the columns ``wanted`` (dots reach into structs)."""
    try:
        with _opened(path) as file:
            names = file.schema_arrow.names
    except Damaged as error:
        raise ConfigError(f"{path}: expected a Parquet file: {error}") from None
    if missing := sorted(column for column in wanted if _top(column, names) not in names):
        raise ConfigError(f"{path}: no column {', '.join(missing)}; it has {', '.join(names)}")


def parquet_rows(path: Path, wanted: Iterable[str], progress: Callable[[int], None] | None = None) -> Iterator[Row]:
    """The rows with the columns that ``wanted`` names; at most ``BATCH`` of them are held at once.

    Times come as seconds since 1970 (UTC where the file names no zone), decimals as numbers. ``progress`` is told how
    many more bytes were read, as a share of the file. Raises Damaged.
    """
    size, told, done = path.stat().st_size, 0, 0
    with _opened(path) as file:
        names = file.schema_arrow.names
        columns = list(dict.fromkeys(_top(column, names) for column in wanted))
        total = max(1, file.metadata.num_rows)
        for batch in file.iter_batches(BATCH, columns=columns, use_threads=False):
            values = [_plain(column).to_pylist() for column in batch.columns]
            for cells in zip(*values, strict=True):
                yield dict(zip(batch.schema.names, cells, strict=True))
            done += batch.num_rows
            if progress:
                progress(size * done // total - told)
                told = size * done // total
        if progress:
            progress(size - told)


def _top(column: str, names: list[str]) -> str:
    """The column of the file that ``column`` lies in."""
    return column if column in names else column.partition(".")[0]


def _plain(column: Any) -> Any:
    """``column`` (an arrow array) with values of types that the mapping knows."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    kind = column.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        micros = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        return pc.divide(micros.cast(pa.float64()), 1e6)
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    return column


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise Damaged(str(error)) from error
