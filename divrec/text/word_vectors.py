"""Word vectors as an encoder: GloVe and word2vec files, read by gensim (the extra ``words``).

    v = Σ_w n_w · a / (a + p(w)) · v_w,   scaled to unit length,   a = 0.001

over the words of a text: smooth inverse frequency (Arora, Liang and Ma, 2017). p(w) is learned online: the share of w
among all words learned and ``PRIOR`` more that lie as Zipf's law has it over the order of the file, which is by
frequency. Unknown words count as a direction of their own, chosen by a hash, so that a shared name is still shared.
"""

import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from divrec.errors import EncoderError
from divrec.text.clean import clean
from divrec.text.content import MAX_CHARACTERS
from divrec.text.ngrams import mixed
from divrec.text.segment import words
from divrec.text.word_vector_files import read_word_vectors

Vectors = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

SMOOTHING = 1e-3
PRIOR = 10_000.0
"""Words that the law of Zipf counts for."""


class WordVectorEncoder:
    """``vectors[n, d]`` of ``vocabulary``, the most frequent first. ``learn`` changes the space, and ``name`` with it.

    Case does not count: of two spellings the first is taken. Chinese is segmented by its dictionary; a word that is
    unknown counts by its characters.
    """

    def __init__(self, vocabulary: Sequence[str], vectors: Vectors, name: str) -> None:
        if vectors.ndim != 2 or not 2 <= vectors.shape[1] <= 4_096 or len(vectors) != len(vocabulary):
            raise EncoderError(
                f"word vectors {name}: expected a vector of 2 to 4,096 numbers for each of {len(vocabulary)} words, "
                f"got {vectors.shape}"
            )
        if not np.isfinite(vectors).all():
            raise EncoderError(f"word vectors {name}: expected finite numbers, got others")
        self.dimensions = int(vectors.shape[1])
        self._base, self._name, self._vectors = name, name, vectors
        self._rows: dict[str, int] = {}
        for row, word in enumerate(vocabulary):
            self._rows.setdefault(word.lower(), row)
        share = 1.0 / np.arange(2.0, len(vocabulary) + 2.0)
        self._prior: Doubles = PRIOR * share / max(share.sum(), 1e-9)
        self._counts: Doubles = np.zeros(len(vocabulary))
        self._length = float(np.linalg.norm(vectors, axis=1).mean()) if len(vectors) else 1.0
        self.learned = 0
        """Words."""

    @classmethod
    def load(cls, path: Path) -> "WordVectorEncoder":
        """From a file of GloVe or word2vec, text or binary. Raises EncoderError."""
        vocabulary, vectors = read_word_vectors(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=6)).hexdigest()
        return cls(vocabulary, vectors, f"{re.sub(r'[^A-Za-z0-9._-]', '_', path.name)}-{digest}")

    @property
    def name(self) -> str:
        return self._name

    def learn(self, texts: Iterable[str]) -> None:
        """Count the words of ``texts``: what is frequent here says less here."""
        for text in texts:
            for word in self._words(text):
                self.learned += 1
                if (row := self._rows.get(word)) is not None:
                    self._counts[row] += 1.0
        state = hashlib.blake2b(self._counts.tobytes() + str(self.learned).encode(), digest_size=4)
        self._name = f"{self._base}+{state.hexdigest()}"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """``float32[n, d]``, unit rows in the order of ``texts``."""
        out = np.empty((len(texts), self.dimensions), np.float32)
        for at, text in enumerate(texts):
            out[at] = self._encoded(self._words(text))
        return out

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {"counts": self._counts.copy(), "learned": np.array([self.learned])}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._counts, self.learned = state["counts"].copy(), int(state["learned"][0])
        self.learn(())

    def _words(self, text: str) -> Iterable[str]:
        for word in words(clean(text, MAX_CHARACTERS)):
            if word in self._rows or word.isascii():
                yield word
            else:
                yield from (filter(self._rows.__contains__, word) if any(c in self._rows for c in word) else (word,))

    def _encoded(self, known: Iterable[str]) -> Vectors:
        rows, vector = [], np.zeros(self.dimensions, np.float32)
        for word in itertools.islice(known, MAX_CHARACTERS):
            row = self._rows.get(word)
            if row is not None:
                rows.append(row)
            else:
                self._add_unknown(vector, word)
        if rows:
            at = np.array(rows)
            share = (self._counts[at] + self._prior[at]) / (self.learned + PRIOR)
            vector += (SMOOTHING / (SMOOTHING + share)).astype(np.float32) @ self._vectors[at]
        norm = float(np.linalg.norm(vector))
        if norm < 1e-12:
            vector[:] = 0.0
            self._add_unknown(vector, "")  # a text that says nothing has a vector too
            norm = float(np.linalg.norm(vector))
        unit: Vectors = vector / np.float32(norm)
        return unit

    def _add_unknown(self, vector: Vectors, word: str) -> None:
        code = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        place = int(mixed(np.uint64(int.from_bytes(code, "little"))))
        vector[(place >> 1) % self.dimensions] += self._length if place & 1 else -self._length
