"""What every text encoder has to keep, ours and yours.

In a test of your own::

    from divrec.checks.encoder import check_encoder

    def test_my_encoder():
        check_encoder(MyEncoder())
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from divrec.text.encoder import Encoder

TOLERANCE = 1e-3
"""Largest difference of a component, and of a row's length from 1: batches add up in another order."""

TEXTS = (
    "The battery lasts two days and charges quickly.",
    "",
    " ",
    "电池可以用两天,充电很快。",
    "البطارية تدوم يومين",
    "הסוללה מחזיקה יומיים",
    "バッテリーは二日持ちます",
    "배터리가 이틀 갑니다",
    "🎸🔥👩‍👩‍👧‍👦",
    "e\u0301 \u200b\ufeff\x00\x07\n\t",
    "a",
    "12345",
    "word " * 20_000,
    "长" * 20_000,
    "x" * 100_000,
    "The battery lasts two days and charges quickly.",
)


def check_encoder(encoder: Encoder) -> None:
    """Raises AssertionError, which says what is wrong with ``encoder``. Encodes about 80 texts."""
    _check(isinstance(encoder.name, str) and bool(encoder.name), f"name: expected a text, got {encoder.name!r}")
    _check("|" not in encoder.name, f"name: expected no '|', which separates it in topic keys, got {encoder.name!r}")
    _check(
        isinstance(encoder.dimensions, int) and 1 <= encoder.dimensions <= 4_096,
        f"dimensions: expected an int in 1..4096 (an event carries no longer vector), got {encoder.dimensions!r}",
    )
    name, dimensions = encoder.name, encoder.dimensions

    _vectors(encoder, [], "no texts")
    texts = list(TEXTS)
    vectors = _vectors(encoder, texts, "many kinds of texts")
    _check(texts == list(TEXTS), "encode changed the list of texts that it was given")
    kept = vectors.copy()
    _same(_vectors(encoder, texts, "the same texts again"), kept, "encode is not deterministic")
    _check(bool(np.array_equal(vectors, kept)), "a later call of encode changed vectors that it had returned")
    _same(_vectors(encoder, tuple(texts), "a tuple"), kept, "a tuple of texts gives other vectors than a list")
    _same(_vectors(encoder, texts[::-1], "the reverse order")[::-1], kept, "a vector depends on the order of the texts")
    for text, vector in zip(texts, kept, strict=True):
        alone = _vectors(encoder, [text], f"{text[:30]!r} alone")[0]
        _same(alone, vector, f"the vector of {text[:30]!r} depends on the texts beside it")
    _same(kept[0], kept[-1], "equal texts in one call have different vectors")

    apart = float(np.abs(kept[0] - kept[3]).max())
    _check(apart > 1e-5, f"texts that have nothing in common got the same vector (components differ by {apart:.1e})")
    _check((encoder.name, encoder.dimensions) == (name, dimensions), "name or dimensions changed while encoding")


def _vectors(encoder: Encoder, texts: Sequence[str], what: str) -> NDArray[np.float32]:
    vectors = encoder.encode(texts)
    _check(isinstance(vectors, np.ndarray), f"{what}: expected a numpy array, got {type(vectors).__name__}")
    expected = (len(texts), encoder.dimensions)
    _check(vectors.shape == expected, f"{what}: expected shape {expected}, got {vectors.shape}")
    _check(vectors.dtype == np.float32, f"{what}: expected float32, got {vectors.dtype}")
    for text, vector in zip(texts, vectors, strict=True):
        norm = float(np.linalg.norm(vector))
        _check(abs(norm - 1) <= TOLERANCE, f"{what}: expected a vector of length 1 for {text[:30]!r}, got {norm}")
    return vectors


def _same(vectors: NDArray[np.float32], expected: NDArray[np.float32], what: str) -> None:
    difference = float(np.abs(vectors - expected).max(initial=0.0))
    _check(difference <= TOLERANCE, f"{what}: components differ by {difference:.2e}, at most {TOLERANCE:g} is allowed")


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
