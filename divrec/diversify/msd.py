"""Maximal sum of distances, max-sum diversification (Gollapudi & Sharma, WWW 2009; greedy: Borodin et al., PODS 2012).

Picks, one after the other, the item with the highest

    (1 - diversity) · r(i) + diversity · Σ_{j picked} (1 - cos(v_i, v_j))

where r is the relevance scaled to [0, 1] over the candidates. The first pick is the most relevant item.

The sum is t - v_i · s_t, with t the number and s_t the sum of the picked vectors. Known from an earlier round u, it
is at most t - v_i · s_u + |s_t - s_u|: only candidates whose bound reaches the value of a good one, the second best of
the round before, are computed anew. Each step is a loop of its own over them: what waits for memory then overlaps.
"""

import numpy as np

from divrec.compiled import compiled, compiled_fast
from divrec.diversify.balanced import most_relevant
from divrec.diversify.candidates import Floats, Positions, accepted, ahead, scaled, unit

SLACK = np.float32(1e-5)
"""What a bound allows for rounding, per pick."""


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
    if diversity == 0:
        return most_relevant(relevance, k)
    share = np.float32(1.0 - diversity)
    for i in range(n):
        gain[i] *= share
    value = gain.copy()  # as it was known last; -inf: picked
    known = np.zeros(n, np.int32)
    bound = np.empty(n, np.float32)
    able = np.empty(n, np.int32)
    near = np.empty(n, np.float32)
    sums = np.zeros((k + 1, d), np.float32)
    spare = np.zeros(k + 1, np.float32)
    picked = np.empty(k, np.int32)
    second = -1
    for position in range(k):
        for i in range(n):
            bound[i] = value[i] + spare[known[i]]
        able[0] = second if second >= 0 else np.argmax(bound)
        nearness(vectors, able[:1], sums[position], near)
        least = gain[able[0]] + diversity * (position - near[0] * inverse[able[0]])
        count = 0
        for i in range(n):  # no branch, for nobody could foretell it
            able[count] = i
            count += bound[i] >= least
        nearness(vectors, able[:count], sums[position], near)
        for at in range(count):
            i = able[at]
            known[i] = position
            value[i] = gain[i] + diversity * (position - near[at] * inverse[i])
        best = second = -1
        best_value = second_value = np.float32(-np.inf)
        for at in range(count):
            i = able[at]
            if value[i] >= second_value:
                if ahead(value[i], i, best_value, best, relevance):
                    second, second_value = best, best_value
                    best, best_value = i, value[i]
                else:
                    second, second_value = i, value[i]
        picked[position] = best
        value[best] = -np.inf
        for a in range(d):
            sums[position + 1, a] = sums[position, a] + vectors[best, a] * inverse[best]
        for before in range(position + 1):
            moved = _moved(sums, before, position + 1)
            spare[before] = diversity * (position + 1 - before + moved + SLACK * (position + 1))
    return picked


@compiled_fast
def nearness(vectors: Floats, rows: Positions, to: Floats, out: Floats) -> None:
    """Write the inner product of each of ``rows`` with ``to`` into ``out``."""
    for at in range(len(rows)):
        total = np.float32(0)
        for a in range(len(to)):
            total += vectors[rows[at], a] * to[a]
        out[at] = total


@compiled_fast
def _moved(sums: Floats, before: int, after: int) -> np.float32:
    """|s_after - s_before|."""
    squares = np.float32(0)
    for a in range(sums.shape[1]):
        squares += (sums[after, a] - sums[before, a]) ** 2
    return np.float32(np.sqrt(squares))
