"""Files of word vectors: GloVe's, and word2vec's as text and binary, plain or compressed by gzip."""

import importlib.util
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divrec.data.readers import opened
from divrec.errors import EncoderError


class Layout(NamedTuple):
    header: bool
    """It begins with the number of words and of dimensions, as word2vec's do and GloVe's do not."""
    binary: bool


def read_word_vectors(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    """The words in the order of the file, and ``float32[n, d]``.

    Raises EncoderError for what is no such file, ends early or lacks numbers. A GloVe file that was cut between two
    lines does not show it: it tells nowhere how many there should be.
    """
    if importlib.util.find_spec("gensim") is None:
        raise EncoderError("word vectors: expected the package gensim, found none; install divrec[words]")
    from gensim.models import KeyedVectors

    try:
        layout = _layout(path)
        vectors = KeyedVectors.load_word2vec_format(
            str(path), binary=layout.binary, no_header=not layout.header, unicode_errors="replace"
        )
    except EncoderError:
        raise
    except (ValueError, EOFError, OSError, IndexError, zlib.error) as error:
        raise _wrong(path, str(error) or "it ends early") from None
    if not len(vectors):
        raise _wrong(path, "no words")
    return list(vectors.index_to_key), np.asarray(vectors.vectors, np.float32)


def _layout(path: Path) -> Layout:
    """Raises EncoderError where the size of the file contradicts its header, or its last line does not end."""
    with opened(path) as file:
        first = file.readline(1 << 16)
        begins = file.read(1 << 12)
    size, last = _end(path)
    words = first.split()
    header = len(words) == 2 and all(word.isdigit() for word in words)
    binary = False
    if header:
        count, dimensions = map(int, words)
        binary = not _is_text(begins, dimensions)
        least = count * (dimensions * (4 if binary else 2) + 2)
        if not 0 < least <= size:
            raise _wrong(path, f"{count} words of {dimensions} numbers need {least} bytes or more, it has {size}")
    if not binary and last != b"\n":  # a number that was cut is still a number
        raise _wrong(path, "its last line does not end, so it was cut")
    return Layout(header, binary)


def _end(path: Path) -> tuple[int, bytes]:
    """How long the content is, and its last byte. Reads through what is compressed: a cut shows there."""
    with opened(path) as file:
        if path.suffix != ".gz":
            size = file.seek(0, 2)
            file.seek(-min(1, size), 2)
            return size, file.read()
        size, last = 0, b""
        while block := file.read(1 << 20):
            size, last = size + len(block), block[-1:]
        return size, last


def _is_text(begins: bytes, dimensions: int) -> bool:
    """Whether the first word is followed by numbers that are written out."""
    numbers = begins.split(b"\n", 1)[0].split()[1 : dimensions + 1]
    if b"\n" not in begins and len(numbers) > 1:
        numbers.pop()  # cut by us
    try:
        return bool(numbers) and all(np.isfinite(float(number)) for number in numbers)
    except ValueError:
        return False


def _wrong(path: Path, what: str) -> EncoderError:
    return EncoderError(f"word vectors {path}: expected a whole file of GloVe or word2vec: {what}; fetch it again")
