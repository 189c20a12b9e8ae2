"""Maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998).

Picks, one after the other, the item with the highest

    (1 - diversity) · r(i) - diversity · max_{j picked} cos(v_i, v_j)

where r is the relevance scaled to [0, 1] over the candidates and a cosine below 0 counts as 0. The first pick is the
most relevant item.

The penalty only grows, so a value from an earlier round is an upper bound: cosines are computed only for candidates
whose bound reaches the best value of the round (Minoux, 1978).
"""

import numpy as np

from divrec.compiled import compiled
from divrec.diversify.candidates import Floats, Positions, accepted, ahead, cosine, first, scaled, unit


def mmr(relevance: Floats, vectors: Floats, k: int, *, diversity: float) -> Positions:
    """Positions of the slate in the order of picking: int32[min(k, n)].

    ``relevance`` is float32[n], ``vectors`` float32[n, d] of any length, a zero row is unlike everything (cosine 0).
    Ties go to the more relevant, then to the first. With relevance in [0, 1] the picks are those of pyversity's
    ``mmr``. Raises ValueError for a ``diversity`` outside [0, 1], a negative ``k``, shapes that do not fit, or values
    that are not finite.
    """
    return _mmr(*accepted(relevance, vectors, k, diversity), k, np.float32(diversity))


@compiled
def _mmr(relevance: Floats, vectors: Floats, k: int, diversity: np.float32) -> Positions:
    vectors, inverse = unit(vectors)
    n = len(relevance)
    k = min(k, n)
    gain = scaled(relevance)
    share = np.float32(1.0 - diversity)
    bound = np.empty(n, np.float32)
    for i in range(n):
        gain[i] *= share
        bound[i] = gain[i]
    nearest = np.zeros(n, np.float32)
    known = np.zeros(n, np.int32)  # how many of the picks the bound knows of
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
                    nearest[i] = max(nearest[i], cosine(vectors, inverse, i, picked[before]))
                known[i] = position
                bound[i] = gain[i] - diversity * min(nearest[i], np.float32(1))
            if ahead(bound[i], i, best_value, best, relevance):
                best = i
                best_value = bound[i]
        picked[position] = best
        free[best] = False
    return picked
