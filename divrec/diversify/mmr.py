"""Maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998).

Picks, one after the other, the item with the highest

    (1 - diversity) · r(i) - diversity · max_{j picked} cos(v_i, v_j)

where r is the relevance scaled to [0, 1] over the candidates. The first pick is the most relevant item unless
``diversity`` is 1 (then the first candidate). Ties go to the candidate that comes first.
"""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled_fast

Floats = npt.NDArray[np.float32]


def mmr(relevance: Floats, vectors: Floats, k: int, *, diversity: float) -> npt.NDArray[np.int32]:
    """Positions of the slate in the order of picking: int32[min(k, n)].

    ``relevance`` is float32[n], ``vectors`` float32[n, d] of unit length, a zero row is unlike everything (cosine 0).
    Raises ValueError for a ``diversity`` outside [0, 1], a negative ``k``, shapes that do not fit, or values that
    are not finite.
    """
    if not 0.0 <= diversity <= 1.0:
        raise ValueError(f"diversity must be in [0, 1], got {diversity}")
    if k < 0:
        raise ValueError(f"k must be at least 0, got {k}")
    if relevance.ndim != 1 or vectors.ndim != 2 or len(relevance) != len(vectors):
        raise ValueError(f"expected relevance[n] and vectors[n, d], got shapes {relevance.shape} and {vectors.shape}")
    with np.errstate(over="ignore"):
        relevance, vectors = np.array(relevance, np.float32, order="C"), np.array(vectors, np.float32, order="C")
    if not (np.isfinite(relevance).all() and np.isfinite(vectors).all()):
        raise ValueError("relevance and vectors must be finite in float32, got NaN, infinity or a larger number")
    return pick(relevance, vectors, k, np.float32(diversity))


@compiled_fast
def pick(relevance: Floats, vectors: Floats, k: int, diversity: np.float32) -> npt.NDArray[np.int32]:
    """``mmr`` without its checks."""
    n, d = vectors.shape
    k = min(k, n)
    picked = np.empty(k, np.int32)
    if k == 0:
        return picked
    low = np.float64(relevance.min())  # their difference may be too much for float32
    scale = relevance.max() - low
    gain = np.zeros(n, np.float32)
    if scale > 0:
        for i in range(n):
            gain[i] = (1.0 - diversity) * (relevance[i] - low) / scale
    nearest = np.full(n, np.float32(-2))
    free = np.ones(n, np.bool_)
    for position in range(k):
        best = -1
        best_value = np.float32(-np.inf)
        for i in range(n):
            if free[i]:
                value = gain[i] if position == 0 else gain[i] - diversity * nearest[i]
                if best < 0 or value > best_value:
                    best_value = value
                    best = i
        picked[position] = best
        free[best] = False
        if diversity > 0 and position + 1 < k:
            for i in range(n):
                if free[i]:
                    cosine = np.float32(0)
                    for a in range(d):
                        cosine += vectors[i, a] * vectors[best, a]
                    nearest[i] = max(nearest[i], cosine)
    return picked
