"""What the diversifiers share: what they accept, relevance on one scale, and which of two candidates comes first."""

from typing import Any

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled, compiled_fast

Floats = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int32]

SHORT, LONG = np.float32(1e-30), np.float32(1e30)
"""Squared lengths between these are computed in float32."""


def accepted(relevance: npt.NDArray[Any], vectors: npt.NDArray[Any], k: int, diversity: float) -> tuple[Floats, Floats]:
    """Relevance and vectors as the kernels take them: float32, C order, writeable; copied only where they are not.

    Raises ValueError for a ``diversity`` outside [0, 1], a negative ``k`` or shapes that do not fit; values that are
    not finite in float32 are refused by ``scaled`` and ``unit``.
    """
    if not 0.0 <= diversity <= 1.0:
        raise ValueError(f"diversity must be in [0, 1], got {diversity}")
    if k < 0:
        raise ValueError(f"k must be at least 0, got {k}")
    if relevance.ndim != 1 or vectors.ndim != 2 or len(relevance) != len(vectors):
        raise ValueError(f"expected relevance[n] and rows [n, d], got shapes {relevance.shape} and {vectors.shape}")
    return as_floats(relevance), as_floats(vectors)


def as_floats(values: npt.NDArray[Any]) -> Floats:
    """``values`` as float32 in C order, writeable: itself where it is that already."""
    flags = values.flags
    if values.dtype == np.float32 and flags.c_contiguous and flags.writeable:
        return values
    with np.errstate(over="ignore"):
        return np.array(values, np.float32, order="C")


@compiled
def scaled(relevance: Floats) -> Floats:
    """Relevance over the candidates in [0, 1], all 0 where it is the same for all. Raises ValueError unless finite."""
    n = len(relevance)
    gain = np.zeros(n, np.float32)
    if n == 0:
        return gain
    low = np.float64(np.inf)  # their difference may be too much for float32
    high = np.float64(-np.inf)
    for i in range(n):
        if not np.isfinite(relevance[i]):
            raise ValueError("relevance must be finite in float32, got NaN, infinity or a larger number")
        low = min(low, np.float64(relevance[i]))
        high = max(high, np.float64(relevance[i]))
    if high > low:
        scale = 1.0 / (high - low)
        for i in range(n):
            gain[i] = (relevance[i] - low) * scale
    return gain


@compiled
def standard(relevance: Floats) -> Floats:
    """(relevance - mean) / standard deviation over the candidates, all 0 where it is the same for all."""
    gain = scaled(relevance)
    n = len(gain)
    mean = 0.0
    for i in range(n):
        mean += gain[i]
    mean /= max(1, n)
    variance = 0.0
    for i in range(n):
        variance += (gain[i] - mean) ** 2
    deviation = np.sqrt(variance / max(1, n))
    if deviation > 0:
        for i in range(n):
            gain[i] = (gain[i] - mean) / deviation
    return gain


@compiled_fast
def unit(vectors: Floats) -> tuple[Floats, Floats]:
    """``vectors`` and one over the length of each, 0 for a zero vector. Raises ValueError unless finite.

    Where a square would leave float32 the vectors come back as a copy of unit length.
    """
    n, d = vectors.shape
    inverse = np.zeros(n, np.float32)
    odd = False
    for i in range(n):
        squares = np.float32(0)
        for a in range(d):
            squares += vectors[i, a] * vectors[i, a]
        if SHORT < squares < LONG:
            inverse[i] = np.float32(1) / np.sqrt(squares)
        else:
            odd = True
    return _rescued(vectors, inverse) if odd else (vectors, inverse)


@compiled
def _rescued(vectors: Floats, inverse: Floats) -> tuple[Floats, Floats]:
    """``unit`` where some rows are zero, very short, very long or not finite."""
    n, d = vectors.shape
    copy = vectors
    for i in range(n):
        if inverse[i] > 0:
            continue
        squares = 0.0
        for a in range(d):
            if not np.isfinite(vectors[i, a]):
                raise ValueError("vectors must be finite in float32, got NaN, infinity or a larger number")
            squares += np.float64(vectors[i, a]) ** 2
        if squares > 0:
            if copy is vectors:
                copy = vectors.copy()
            for a in range(d):
                copy[i, a] = vectors[i, a] / np.sqrt(squares)
            inverse[i] = 1.0
    return copy, inverse


@compiled
def ahead(value: np.float32, i: int, best_value: np.float32, best: int, relevance: Floats) -> bool:
    """Whether candidate ``i`` goes before ``best`` (-1: none): by value, then by relevance, then by position."""
    if best < 0 or value > best_value:
        return True
    if value < best_value:
        return False
    return relevance[i] > relevance[best] or (relevance[i] == relevance[best] and i < best)


@compiled
def first(values: Floats, free: npt.NDArray[np.bool_], relevance: Floats) -> int:
    """The candidate that goes before all others that are free, -1 for none."""
    best = -1
    best_value = np.float32(0)
    for i in range(len(values)):
        if (values[i] >= best_value or best < 0) and free[i] and ahead(values[i], i, best_value, best, relevance):
            best = i
            best_value = values[i]
    return best


@compiled_fast
def product(left: Floats, i: int, right: Floats, j: int, width: int) -> np.float32:
    """Inner product of the first ``width`` components of two rows.

    Sums may go in any order only in here: what is made of them must be the same wherever the compiler puts it, or
    equals would not tie.
    """
    total = np.float32(0)
    for a in range(width):
        total += left[i, a] * right[j, a]
    return total


@compiled
def cosine(vectors: Floats, inverse: Floats, i: int, j: int) -> np.float32:
    """Cosine of two candidates, 0 where one has no vector."""
    return np.float32(product(vectors, i, vectors, j, vectors.shape[1]) * inverse[i] * inverse[j])
