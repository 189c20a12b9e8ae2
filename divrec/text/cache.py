"""An encoder that reads each text once."""

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from divrec.events import pack_vector, unpack_vector
from divrec.text.encoder import Encoder
from divrec.text.vector_file import VectorFile

SECONDS_PER_DAY = 86_400

Vector = NDArray[np.float32]


class CachedEncoder:
    """``encoder`` with its vectors kept in the file ``path``, by a hash of model name and text.

    Vectors are rounded to float16 and made unit again, whether they come from the model or the file, so both are
    equal bit by bit. The file stays below about ``max_bytes``, the vectors used longest ago leaving first (``clock``
    gives seconds; use is noted once a day). Several threads and processes may share it. ``hits`` counts the distinct
    texts of a call that the file answered, ``misses`` those that the model encoded.
    """

    def __init__(self, encoder: Encoder, path: Path, max_bytes: int, *, clock: Callable[[], float] = time.time) -> None:
        self.name = encoder.name
        self.dimensions = encoder.dimensions
        self.hits = 0
        self.misses = 0
        self._encoder, self._clock = encoder, clock
        self._file = VectorFile(path, max_bytes, 2 * encoder.dimensions)
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """``float32[n, d]``, unit rows in the order of ``texts``; equal texts are encoded once. Raises EncoderError."""
        found = self._known(texts)
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            packed = [pack_vector(vector) for vector in self._encoder.encode(missing)]
            self._file.write(dict(zip(map(self._key, missing), packed, strict=True)), self._day())
            found.update((text, self._unpack(blob)) for text, blob in zip(missing, packed, strict=True))
        self._count(hits=len(found) - len(missing), misses=len(missing))
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        for row, text in enumerate(texts):
            vectors[row] = found[text]
        return vectors

    def lookup(self, texts: Sequence[str]) -> list[Vector | None]:
        """The cached vector ``float32[d]`` of each text, None where the model is needed (``encode`` counts those)."""
        found = self._known(texts)
        self._count(hits=len(found), misses=0)
        return [found.get(text) for text in texts]

    def close(self) -> None:
        self._file.close()

    def _known(self, texts: Sequence[str]) -> dict[str, Vector]:
        keys = {self._key(text): text for text in texts}
        blobs = self._file.read(list(keys), self._day())
        return {keys[key]: self._unpack(blob) for key, blob in blobs.items()}

    def _unpack(self, blob: bytes) -> Vector:
        return unpack_vector(blob, self.dimensions)

    def _key(self, text: str) -> bytes:
        content = f"{self.name}\0{text}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(content, digest_size=16).digest()

    def _day(self) -> int:
        return int(self._clock() // SECONDS_PER_DAY)

    def _count(self, *, hits: int, misses: int) -> None:
        with self._lock:
            self.hits += hits
            self.misses += misses
