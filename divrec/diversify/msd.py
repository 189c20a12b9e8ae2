"""Maximal sum of distances, max-sum diversification (Gollapudi & Sharma, WWW 2009; greedy: Borodin et al., PODS 2012).

Picks, one after the other, the item with the highest

    (1 - diversity) · r(i) + diversity · Σ_{j picked} (1 - cos(v_i, v_j))

where r is the relevance scaled to [0, 1] over the candidates. The first pick is the most relevant item.

The sum is t - v_i · s_t, with t the number and s_t the sum of the picked vectors. Known from an earlier round u, it
is at most t - v_i · s_u + |s_t - s_u|: only candidates whose bound reaches the best value are computed anew.
"""

import numpy as np

from divrec.compiled import compiled, compiled_fast
from divrec.diversify.candidates import Floats, Positions, accepted, ahead, first, product, scaled, unit

SLACK = np.float32(1e-5)
"""What a bound allows for rounding, per pick."""
LONG_VECTORS = 128
"""From so many dimensions on a bound is cheaper than what it spares."""


def msd(relevance: Floats, vectors: Floats, k: int, *, diversity: float) -> Positions:
    """Positions of the slate in the order of picking: int32[min(k, n)].

    ``relevance`` is float32[n], ``vectors`` float32[n, d] of any length, a zero row is unlike everything (cosine 0).
    The sum grows with the slate while relevance does not: the later the pick, the more diversity counts. Ties go to
    the more relevant, then to the first. With relevance in [0, 1] the picks are those of pyversity's ``msd``. Raises
    ValueError for a ``diversity`` outside [0, 1], a negative ``k``, shapes that do not fit, or values that are not
    finite.
    """
    return _msd(*accepted(relevance, vectors, k, diversity), k, np.float32(diversity))


@compiled
def _msd(relevance: Floats, vectors: Floats, k: int, diversity: np.float32) -> Positions:
    n, d = vectors.shape
    k = min(k, n)
    gain = scaled(relevance)
    vectors, inverse = unit(vectors)
    share = np.float32(1.0 - diversity)
    value = np.empty(n, np.float32)
    for i in range(n):
        gain[i] *= share
        value[i] = gain[i]
    bound = value.copy()
    known = np.zeros(n, np.int32)
    free = np.ones(n, np.bool_)
    sums = np.zeros((k + 1, d), np.float32)
    spare = np.zeros(k + 1, np.float32)
    picked = np.empty(k, np.int32)
    lazy = d >= LONG_VECTORS
    for position in range(k):
        if position == 0 or diversity == 0:
            best = first(value, free, relevance)
        elif lazy:
            for i in range(n):
                bound[i] = value[i] + diversity * spare[known[i]]
            start = first(bound, free, relevance)
            best = -1
            best_value = np.float32(0)
            for at in range(-1, n):
                i = start if at < 0 else at
                if not free[i] or (best >= 0 and bound[i] < best_value):
                    continue
                if known[i] < position:
                    near = product(vectors, i, sums, position, d)
                    known[i] = position
                    value[i] = bound[i] = gain[i] + diversity * (position - near * inverse[i])
                if ahead(bound[i], i, best_value, best, relevance):
                    best = i
                    best_value = bound[i]
        else:
            for i in range(n):
                near = product(vectors, i, sums, position, d)
                value[i] = gain[i] + diversity * (position - near * inverse[i])
            best = first(value, free, relevance)
        picked[position] = best
        free[best] = False
        for a in range(d):
            sums[position + 1, a] = sums[position, a] + vectors[best, a] * inverse[best]
        if lazy:
            for before in range(position + 1):
                moved = _moved(sums, before, position + 1)
                spare[before] = position + 1 - before + moved + SLACK * (position + 1)
    return picked


@compiled_fast
def _moved(sums: Floats, before: int, after: int) -> np.float32:
    """|s_after - s_before|."""
    squares = np.float32(0)
    for a in range(sums.shape[1]):
        squares += (sums[after, a] - sums[before, a]) ** 2
    return np.float32(np.sqrt(squares))
