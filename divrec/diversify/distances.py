"""What "alike" means: vectors whose cosine is the similarity that is wanted, for any of the diversifiers.

Text, images or anything else: their vectors as they are. Categories: flags as they are (cosine), or
``jaccard_vectors``. Several at once: ``mixed``.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.diversify.candidates import Floats, as_floats, unit

REST = 1e-6
"""Less than this squared length is rounding."""


def jaccard_vectors(categories: npt.NDArray[Any]) -> Floats:
    """Unit vectors float32[n, d] whose cosine is |A ∩ B| / |A ∪ B| of the category sets; zero for an empty set.

    ``categories`` [n, c] is not 0 where an item belongs to one; d is at most the number of different sets among the
    items. Jaccard similarity is positive definite (Gower, 1971), so its Cholesky factor is exact up to rounding; that
    takes n · d² steps.
    """
    flags = np.asarray(categories) != 0
    if flags.ndim != 2:
        raise ValueError(f"expected categories[n, c], got shape {flags.shape}")
    if not len(flags):
        return np.zeros((0, 0), np.float32)
    sets, which = np.unique(flags, axis=0, return_inverse=True)
    counts = sets.astype(np.float64)
    both = counts @ counts.T
    sizes = counts.sum(axis=1)
    either = sizes[:, None] + sizes[None, :] - both
    factor: Floats = _factor(np.divide(both, either, out=np.zeros_like(both), where=either > 0)).astype(np.float32)
    return factor[which.reshape(-1)]


def mixed(*weighted: tuple[float, npt.NDArray[Any]]) -> Floats:
    """Vectors float32[n, Σ d] whose inner product is Σ weight · cosine, for pairs (weight, vectors[n, d]).

    An item that lacks one kind of vector is compared by the others alone. Raises ValueError without any pair, for a
    negative weight, another number of rows, or values that are not finite.
    """
    if not weighted or any(weight < 0 for weight, _ in weighted):
        raise ValueError(f"expected pairs of a weight >= 0 and vectors, got weights {[w for w, _ in weighted]}")
    parts = []
    for weight, vectors in weighted:
        rows, inverse = unit(as_floats(vectors))
        parts.append(rows * (inverse[:, None] * np.float32(np.sqrt(weight))))
    if len({len(part) for part in parts}) > 1:
        raise ValueError(f"expected vectors of the same items, got {[len(part) for part in parts]} rows")
    together: Floats = np.concatenate(parts, axis=1)
    return together


@compiled
def _factor(similarity: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """L with L Lᵀ = ``similarity``, by Cholesky with the largest rest first."""
    n = len(similarity)
    factor = np.zeros((n, n))
    rest = np.empty(n)
    for i in range(n):
        rest[i] = similarity[i, i]
    for column in range(n):
        pivot = int(np.argmax(rest))
        if rest[pivot] <= REST:
            return factor[:, :column].copy()
        root = np.sqrt(rest[pivot])
        for i in range(n):
            value = similarity[i, pivot]
            for c in range(column):
                value -= factor[i, c] * factor[pivot, c]
            factor[i, column] = value / root
            rest[i] -= factor[i, column] ** 2
        rest[pivot] = 0.0
    return factor
