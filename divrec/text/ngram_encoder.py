"""Encoders without a neural network: hashed words and pairs of words, plain or weighted by how rare they are.

    v = Σ_j ± idf_j e_{h(j)},   scaled to unit length

over the distinct words and pairs j of a text (``ngrams``); h gives each one of d dimensions and a sign, so that the
expected dot product of two texts is the (weighted) number of what they share. They know nothing of meaning, but cost
next to nothing, in any language.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.errors import EncoderError
from divrec.text.clean import clean
from divrec.text.content import MAX_CHARACTERS
from divrec.text.ngrams import Hashes, hashed_ngrams, mixed

Vectors = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

NOTHING: Hashes = np.zeros(1, np.uint32)
"""What stands for a text without words: it has a vector too."""


class NgramEncoder:
    """Hashed words and pairs: always the same vectors, whatever was read before. ``dimensions`` in 2 to 4,096.

    >>> vectors = NgramEncoder().encode(["a red guitar", "red guitar strings", "blue socks"])
    >>> bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[2])
    True
    """

    def __init__(self, dimensions: int = 512) -> None:
        _check(dimensions)
        self.name = f"ngrams-{dimensions}"
        self.dimensions = dimensions

    def encode(self, texts: Sequence[str]) -> Vectors:
        """``float32[n, d]``, unit rows in the order of ``texts``."""
        return _encoded([_hashes(text) for text in texts], self.dimensions, np.zeros(0), 0)


class TfidfEncoder:
    """The same, where what many texts have counts less: idf = log((1 + n) / (1 + n_j)), n of all texts learned.

    ``learn`` changes the space, and with it ``name``: do not compare vectors of before and after. ``buckets``, a power
    of two, bounds the state: 8 bytes each.

    >>> encoder = TfidfEncoder()
    >>> encoder.learn(["the guitar", "the drums", "the flute"])
    >>> the, guitar, both = encoder.encode(["the", "guitar", "the guitar"])
    >>> bool(both @ guitar > both @ the)
    True
    """

    def __init__(self, dimensions: int = 512, *, buckets: int = 2**18) -> None:
        _check(dimensions)
        self.dimensions = dimensions
        self.learned = 0
        self._counts: Doubles = np.zeros(buckets)
        self._name: str | None = None

    @property
    def name(self) -> str:
        if self._name is None:
            state = hashlib.blake2b(self._counts.tobytes() + str(self.learned).encode(), digest_size=6)
            self._name = f"tfidf-{self.dimensions}-{state.hexdigest()}"
        return self._name

    def learn(self, texts: Iterable[str]) -> None:
        """Count which words and pairs ``texts`` have."""
        for text in texts:
            self._counts[np.unique(_hashes(text) & np.uint32(len(self._counts) - 1))] += 1.0
            self.learned += 1
        self._name = None

    def encode(self, texts: Sequence[str]) -> Vectors:
        """``float32[n, d]``, unit rows in the order of ``texts``."""
        return _encoded([_hashes(text) for text in texts], self.dimensions, self._counts, self.learned)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {"counts": self._counts.copy(), "learned": np.array([self.learned])}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._counts, self.learned = state["counts"].copy(), int(state["learned"][0])
        self._name = None


def _check(dimensions: int) -> None:
    if not 2 <= dimensions <= 4_096:
        raise EncoderError(f"hashed words: expected 2 to 4,096 dimensions, got {dimensions}")


def _hashes(text: str) -> Hashes:
    found = hashed_ngrams(clean(text, MAX_CHARACTERS))
    return found if len(found) else NOTHING


def _encoded(texts: Sequence[Hashes], dimensions: int, counts: Doubles, learned: int) -> Vectors:
    vectors = np.empty((len(texts), dimensions), np.float32)
    for row, hashes in enumerate(texts):
        vectors[row] = _projected(hashes, dimensions, counts, learned)
    return vectors


@compiled
def _projected(hashes: Hashes, dimensions: int, counts: Doubles, learned: int) -> Doubles:
    """The unit vector; what is in all texts still counts a little, so that no vector is zero."""
    out = np.zeros(dimensions, np.float64)
    mask = np.int64(len(counts) - 1)
    for value in hashes:
        weight = 1.0
        if learned > 0:
            weight = np.log((1.0 + learned) / (1.0 + counts[np.int64(value) & mask])) + 1e-3
        place = mixed(np.uint64(value))  # not the bits that chose the bucket
        out[np.int64(place >> np.uint32(1)) % dimensions] += weight if place & np.uint32(1) else -weight
    norm = 0.0
    for n in range(dimensions):
        norm += out[n] * out[n]
    if norm > 0.0:
        norm = np.sqrt(norm)
        for n in range(dimensions):
            out[n] /= norm
    else:
        out[0] = 1.0  # all of it cancelled
    return out
