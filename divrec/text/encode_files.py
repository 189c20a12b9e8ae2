"""Vectors of whole files, into a Parquet file; whoever is killed goes on where he was.

While it is made, ``OUT.partial`` holds the vectors so far, float32 one behind the other, and of which texts and which
model they are. At the end ids and vectors go into one file, which appears complete or not at all.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from divrec.errors import ConfigError
from divrec.text.encoder import Encoder
from divrec.text.text_files import Text, TextFiles

CHUNK = 256
"""Texts encoded, and lost by a kill, at once."""
ROWS = 8_192
"""Of one row group of the result."""
TORN = 1e-2
"""A vector on disk whose length is this far from 1 was never written whole."""

T = TypeVar("T")
Vectors = npt.NDArray[np.float32]


class Encoded(NamedTuple):
    vectors: int
    """In the file."""
    resumed: int
    """Of them, made by earlier runs."""
    without_text: int
    """Rows that say nothing, and are left out."""


def encode_files(
    texts: TextFiles, encoder: Encoder, out: Path, told: Callable[[int, int], None] | None = None
) -> Encoded:
    """Write ``out``: Parquet with ``id``, ``vector`` (float32[d], unit) and ``model``, in the order of ``texts``.

    ``told(done, total)`` hears of texts encoded. An earlier call for the same texts, model and file that was killed is
    taken up, with the loss of at most ``CHUNK`` texts. Memory is that of ``ROWS`` vectors. Raises ConfigError if
    ``out`` is there, or the unfinished work of another call is, and EncoderError.
    """
    tell = told or (lambda *_: None)
    if out.exists():
        raise ConfigError(f"--out: expected a file that is not there yet, found {out}")
    rows = total = 0
    for text in texts:
        rows, total = rows + 1, total + bool(text.text)
    if not total:
        raise ConfigError("expected texts, found none: name the columns in --map, item=…,title=… or text=…")
    partial = out.with_name(f"{out.name}.partial")
    try:
        _begin(partial, [texts.identity(), encoder.name, encoder.dimensions])
        with (partial / "vectors.f32").open("a+b") as file:
            _alone(file, partial)
            resumed = done = min(total, _whole(file, encoder.dimensions))
            tell(done, total)
            for chunk in chunks(islice(_spoken(texts), done, None), CHUNK):
                file.write(encoder.encode([text.text for text in chunk]).tobytes())
                file.flush()
                os.fdatasync(file.fileno())
                done += len(chunk)
                tell(done, total)
        _together(_spoken(texts), partial, encoder, out)
        shutil.rmtree(partial)
    except OSError as error:
        raise ConfigError(f"--out: expected a file that can be written at {out}: {error.strerror}") from None
    return Encoded(total, resumed, rows - total)


def chunks(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """
    >>> list(chunks("abc", 2))
    [['a', 'b'], ['c']]
    """
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _spoken(texts: TextFiles) -> Iterator[Text]:
    return (text for text in texts if text.text)


def _begin(partial: Path, about: list[object]) -> None:
    """Make the directory, or check that what is there is the begun work of the same call."""
    partial.mkdir(parents=True, exist_ok=True)
    told, wanted = partial / "about.json", msgspec.json.encode(about)
    if told.exists() and told.read_bytes() != wanted:
        raise ConfigError(
            f"{partial} was begun for other files, columns or another text model: "
            f"finish it with those, or delete it to begin anew"
        )
    told.write_bytes(wanted)


def _alone(file: IO[bytes], partial: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(f"{partial}: expected nobody else at work on it, found another divrec encode") from None


def _whole(file: IO[bytes], dimensions: int) -> int:
    """Vectors at the front of ``file`` that are whole; it is cut behind them."""
    size = 4 * dimensions
    count = file.seek(0, os.SEEK_END) // size
    first = max(0, count - CHUNK)  # what stands before was on disk when these were written
    file.seek(first * size)
    last = np.frombuffer(file.read((count - first) * size), np.float32).reshape(-1, dimensions)
    whole = np.abs(np.linalg.norm(last, axis=1) - 1.0) < TORN
    count = first + (len(whole) if whole.all() else int(whole.argmin()))
    file.truncate(count * size)
    return count


def _together(texts: Iterator[Text], partial: Path, encoder: Encoder, out: Path) -> None:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    vector = pa.list_(pa.field("element", pa.float32(), nullable=False), encoder.dimensions)
    schema = pa.schema([("id", pa.string()), ("vector", vector), ("model", pa.string())])
    written = partial / "out.parquet"
    with (
        (partial / "vectors.f32").open("rb") as file,
        pq.ParquetWriter(written, schema, compression="zstd", use_dictionary=["model"]) as writer,
    ):
        for chunk in chunks(texts, ROWS):
            values = np.frombuffer(file.read(4 * encoder.dimensions * len(chunk)), np.float32)
            columns = [
                pa.array([text.id for text in chunk], pa.string()),
                pa.FixedSizeListArray.from_arrays(pa.array(values), type=vector),
                pa.array([encoder.name] * len(chunk), pa.string()),
            ]
            writer.write_table(pa.table(columns, schema=schema))
    written.rename(out)


def read_vectors(path: Path) -> tuple[list[str], Vectors, str]:
    """Ids, ``float32[n, d]`` and the model's name, of a file that ``encode_files`` wrote. Raises ConfigError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=["id", "vector", "model"])
        vectors = table["vector"].combine_chunks()
        rows: Vectors = vectors.flatten().to_numpy(zero_copy_only=False).reshape(len(table), vectors.type.list_size)
        return table["id"].to_pylist(), rows, table["model"][0].as_py()
    except (pa.ArrowException, OSError, AttributeError, IndexError) as error:
        raise ConfigError(f"{path}: expected a file that divrec encode wrote: {error}") from None
