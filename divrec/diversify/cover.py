"""Coverage of the candidates by the slate, facility location with a concave sum (Lin & Bilmes, ACL 2011).

Picks, one after the other, the item with the highest

    (1 - diversity) · r(i) + diversity · Σ_j [(c_j + s_ij)^γ - c_j^γ],   c_j = Σ_{p picked} s_pj,  s = max(cos, 0)

where r is the relevance scaled to [0, 1] over the candidates: an item is chosen for the candidates it stands for.
``diversity`` 0 is the relevance order. The gain only shrinks, so a value from an earlier round is an upper bound.
"""

import numpy as np

from divrec.compiled import compiled, compiled_fast
from divrec.diversify.candidates import Floats, Positions, accepted, ahead, first, scaled, unit

SAME = np.float32(1 - 1e-6)
"""A cosine beyond it is 1: the same item twice must not differ by rounding."""


def cover(relevance: Floats, vectors: Floats, k: int, *, diversity: float, gamma: float = 0.5) -> Positions:
    """Positions of the slate in the order of picking: int32[min(k, n)].

    ``relevance`` is float32[n], ``vectors`` float32[n, d] of any length, a zero row covers nothing; ``gamma`` in
    (0, 1]: the lower, the less is gained by covering again. Time and memory grow with n², and coverage with n while
    relevance does not. Ties go to the more relevant, then to the first. With relevance in [0, 1] the picks are those
    of pyversity's ``cover``. Raises ValueError for a ``diversity`` outside [0, 1], a ``gamma`` outside (0, 1], a
    negative ``k``, shapes that do not fit, or values that are not finite.
    """
    if not 0.0 < gamma <= 1.0:
        raise ValueError(f"gamma must be in (0, 1], got {gamma}")
    relevance, vectors = accepted(relevance, vectors, k, diversity)
    vectors, inverse = unit(vectors)
    products = vectors @ vectors.T if diversity > 0 else vectors
    return _cover(relevance, products, inverse, min(k, len(relevance)), np.float32(diversity), np.float32(gamma))


@compiled
def _cover(
    relevance: Floats, similarity: Floats, inverse: Floats, k: int, diversity: np.float32, gamma: np.float32
) -> Positions:
    """``similarity`` comes as inner products and becomes cosines in [0, 1]."""
    n = len(relevance)
    gain = scaled(relevance)
    if diversity == 0:
        value = gain.copy()
    else:
        value = np.full(n, np.float32(np.inf))
        for i in range(n):
            for j in range(n):
                cosine = similarity[i, j] * inverse[i] * inverse[j]
                similarity[i, j] = np.float32(1) if cosine > SAME else max(cosine, np.float32(0))
    share = np.float32(1.0 - diversity)
    covered = np.zeros(n, np.float32)
    before = np.float32(0)
    known = np.full(n, -1)
    free = np.ones(n, np.bool_)
    picked = np.empty(k, np.int32)
    for position in range(k):
        start = first(value, free, relevance)
        best = -1
        best_value = np.float32(0)
        for at in range(-1, n):
            i = start if at < 0 else at
            if not free[i] or (best >= 0 and value[i] < best_value):
                continue
            if diversity > 0 and known[i] < position:
                known[i] = position
                value[i] = share * gain[i] + diversity * (_sum(similarity[i], covered, gamma) - before)
            if ahead(value[i], i, best_value, best, relevance):
                best = i
                best_value = value[i]
        picked[position] = best
        free[best] = False
        if diversity > 0:
            before = _sum(similarity[best], covered, gamma)
            for j in range(n):
                covered[j] += similarity[best, j]
    return picked


@compiled_fast
def _sum(similarity: Floats, covered: Floats, gamma: np.float32) -> np.float32:
    """Σ_j (c_j + s_j)^γ."""
    total = np.float32(0)
    if gamma == np.float32(0.5):
        for j in range(len(covered)):
            total += np.sqrt(covered[j] + similarity[j])
    else:
        for j in range(len(covered)):
            total += (covered[j] + similarity[j]) ** gamma
    return total
