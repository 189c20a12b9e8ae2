"""Determinantal point process, fast greedy MAP inference (Chen, Zhang & Zhou, NeurIPS 2018).

Picks, one after the other, the item that adds most to the determinant of the picked part of the kernel

    L_ij = w_i cos(v_i, v_j) w_j,   w_i = exp((1 - diversity) · z_i),   z = (r - mean r) / deviation of r

by its incremental Cholesky factor. ``diversity`` 0 is the relevance order.

What an item adds only shrinks, so a value from an earlier round is an upper bound: the factor's rows are carried on
only for candidates whose bound reaches the best value of the round (Hemmi, Oki, Sakaue, Fujii & Iwata, NeurIPS 2022).
"""

import numpy as np

from divrec.compiled import compiled
from divrec.diversify.candidates import Floats, Positions, accepted, ahead, cosine, first, product, standard, unit

EPSILON = np.finfo(np.float32).eps
DEPENDENT = np.float32(1e-5)
"""An item that adds less than this part of its own w² lies in the span of the picked ones: it adds nothing."""
STEEPEST = np.float32(40)
"""The largest (1 - diversity) z: beyond it w² would leave float32."""


def dpp(relevance: Floats, vectors: Floats, k: int, *, diversity: float) -> Positions:
    """Positions of the slate in the order of picking: int32[min(k, n)].

    ``relevance`` is float32[n], ``vectors`` float32[n, d] of any length; a zero row has no diversity to give and comes
    last. Where nothing adds anything (k beyond the rank of the vectors) the rest goes by relevance, then position. The
    picks are those of pyversity's ``dpp``. Raises ValueError for a ``diversity`` outside [0, 1], a negative ``k``,
    shapes that do not fit, or values that are not finite.
    """
    return _dpp(*accepted(relevance, vectors, k, diversity), k, np.float32(diversity))


@compiled
def _dpp(relevance: Floats, vectors: Floats, k: int, diversity: np.float32) -> Positions:
    n = len(relevance)
    k = min(k, n)
    weight = standard(relevance)
    vectors, inverse = unit(vectors)
    bound = np.empty(n, np.float32)
    least = np.empty(n, np.float32)
    for i in range(n):
        if diversity > 0:
            weight[i] = np.exp(min(np.float32(1.0 - diversity) * weight[i], STEEPEST))
            bound[i] = weight[i] * weight[i] + EPSILON
            least[i] = DEPENDENT * weight[i] * weight[i]
        else:
            bound[i] = relevance[i]
    factor = np.empty((n, k), np.float32)
    root = np.zeros(k, np.float32)
    known = np.zeros(n, np.int32)
    free = np.ones(n, np.bool_)
    picked = np.empty(k, np.int32)
    for position in range(k):
        start = first(bound, free, relevance)
        best = -1
        best_value = np.float32(0)
        for at in range(-1, n):
            i = start if at < 0 else at
            if not free[i] or (best >= 0 and bound[i] < best_value):
                continue
            if diversity > 0 and known[i] < position:
                for before in range(known[i], position):
                    j = picked[before]
                    entry = weight[i] * cosine(vectors, inverse, i, j) * weight[j]
                    factor[i, before] = (entry - product(factor, i, factor, j, before)) * root[before]
                    bound[i] -= factor[i, before] * factor[i, before]
                known[i] = position
                if bound[i] < least[i]:
                    bound[i] = 0.0
            if ahead(bound[i], i, best_value, best, relevance):
                best = i
                best_value = bound[i]
        picked[position] = best
        free[best] = False
        if diversity > 0 and best_value > 0:
            root[position] = 1.0 / (np.sqrt(best_value) + EPSILON)
    return picked
