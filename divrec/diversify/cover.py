"""Coverage of the candidates by the slate, facility location with a concave sum (Lin & Bilmes, ACL 2011).

Picks, one after the other, the item with the highest

    (1 - diversity) · r(i) + diversity · Σ_j [(c_j + s_ij)^γ - c_j^γ],   c_j = Σ_{p picked} s_pj,  s = max(cos, 0)

where r is the relevance scaled to [0, 1] over the candidates: an item is chosen for the candidates it stands for.
``diversity`` 0 is the relevance order. The gain only shrinks, so a value from an earlier round is an upper bound.
"""

import numpy as np

from divrec.compiled import compiled_fast
from divrec.diversify.candidates import Floats, Positions, accepted, ahead, first, scaled, unit


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
    rows = vectors * inverse[:, None]
    similarity = rows @ rows.T if diversity > 0 else np.zeros((1, 1), np.float32)
    return _cover(relevance, similarity, min(k, len(relevance)), np.float32(diversity), np.float32(gamma))


@compiled_fast
def _cover(relevance: Floats, similarity: Floats, k: int, diversity: np.float32, gamma: np.float32) -> Positions:
    n = len(relevance)
    gain = scaled(relevance)
    share = np.float32(1.0 - diversity)
    value = np.full(n, np.float32(np.inf)) if diversity > 0 else gain.copy()
    covered = np.zeros(n, np.float32)
    before = np.float64(0)
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
                after = _sum(similarity[i], covered, gamma)
                value[i] = share * gain[i] + diversity * (after - before)
            if ahead(value[i], i, best_value, best, relevance):
                best = i
                best_value = value[i]
        picked[position] = best
        free[best] = False
        if diversity > 0:
            before = _sum(similarity[best], covered, gamma)
            for j in range(n):
                covered[j] += min(max(similarity[best, j], np.float32(0)), np.float32(1))
    return picked


@compiled_fast
def _sum(similarity: Floats, covered: Floats, gamma: np.float32) -> np.float64:
    """Σ_j (c_j + s_j)^γ; a part at a time in float32, so that it is both vectorised and exact enough."""
    total = np.float64(0)
    n = len(covered)
    for start in range(0, n, 64):
        part = np.float32(0)
        if gamma == np.float32(0.5):
            for j in range(start, min(start + 64, n)):
                part += np.sqrt(covered[j] + min(max(similarity[j], np.float32(0)), np.float32(1)))
        else:
            for j in range(start, min(start + 64, n)):
                part += (covered[j] + min(max(similarity[j], np.float32(0)), np.float32(1))) ** gamma
        total += part
    return total
