"""The contract checks find what they are for."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from divrec.checks.encoder import check_encoder
from divrec.text.encoder import Encoder

Vectors = NDArray[Any]


class Changed:
    def __init__(self, encoder: Encoder, change: Callable[[Sequence[str], Vectors], Vectors]) -> None:
        self.name, self.dimensions = "changed", encoder.dimensions
        self._encoder, self._change = encoder, change

    def encode(self, texts: Sequence[str]) -> Vectors:
        return self._change(texts, self._encoder.encode(texts))


def sort_texts(texts: Sequence[str], vectors: Vectors) -> Vectors:
    if isinstance(texts, list):
        texts.sort()
    return vectors


calls = iter(range(10_000))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _, v: v, None),
        (lambda _, v: v.astype(np.float64), "float32, got float64"),
        (lambda _, v: v[:, :-1], "expected shape"),
        (lambda _, v: v if len(v) else np.empty((0,), np.float32), "no texts: expected shape"),
        (lambda _, v: 2 * v, "length 1"),
        (
            lambda texts, v: np.where(np.array([[t == ""] for t in texts]), np.float32(0), v) if texts else v,
            "for '', got",
        ),
        (lambda _, v: v * np.float32(np.nan), "length 1"),
        (lambda _, v: v.tolist(), "numpy array, got list"),
        (sort_texts, "changed the list"),
        (lambda _, v: np.roll(v, next(calls), axis=1), "not deterministic"),
        (lambda texts, v: np.roll(v, len(texts), axis=1), "depends on the texts beside it"),
        (lambda _, v: np.roll(v, 1, axis=0), "order of the texts|texts beside it"),
        (lambda _, v: np.tile(np.eye(1, 16, dtype=np.float32), (len(v), 1)), "nothing in common"),
    ],
)
def test_checks(change: Callable[[Sequence[str], Vectors], Vectors], message: str | None, counting: Encoder) -> None:
    encoder = Changed(counting, change)
    if message is None:
        check_encoder(encoder)
        return
    with pytest.raises(AssertionError, match=message):
        check_encoder(encoder)
