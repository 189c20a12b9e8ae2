"""An encoder that costs nothing and remembers what it was asked for."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class CountingEncoder:
    """Vectors from the hash of name and text."""

    def __init__(self, name: str = "counting", dimensions: int = 16) -> None:
        self.name, self.dimensions = name, dimensions
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.extend(texts)
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        for row, text in enumerate(texts):
            seed = int.from_bytes(hashlib.blake2b(f"{self.name}{text}".encode(), digest_size=8).digest())
            vectors[row] = np.random.default_rng(seed).standard_normal(self.dimensions)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).astype(np.float32)
