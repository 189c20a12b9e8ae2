"""A linear item-item model in closed form, for the items used most (EASE: Steck, 2019).

    B = I - P · diag(1 / diag(P)),   P = (G + λ I)⁻¹

where G holds the co-counts c(i, j) of the ``CORE`` items with the most interactions (at least ``LEAST``), n(i) in its
diagonal. The score of j sums B[i, j] · exp(-steps back / 20) over the user's recent items: what a neighbour says counts
only as far as no other neighbour says it.

It is an index of each replica, made from the co-counts anew whenever interactions have grown by a quarter: neither
learned nor kept in snapshots. With ``CORE`` items a fit takes 25 ms (one thread) and 4 MB.
"""

import numpy as np
import numpy.typing as npt

from divrec.cf.item_item import QUERY_HISTORY, TOGETHER
from divrec.cf.neighbours import Ids, NeighbourTable, Weights
from divrec.compiled import compiled_fast
from divrec.items import grown

CORE = 1_024
RIDGE = 200.0
"""λ."""
LEAST = 10.0
"""Interactions that an item of the core has: λ leaves nothing of a rarer one, and early fits are cheap without them."""
PIVOTS = 8
FIRST = 1_000
"""Interactions before the first fit."""
GROWTH = 0.25
LINEAR_RECENCY: Weights = np.exp(-np.arange(QUERY_HISTORY) / 20.0).astype(np.float32)


class Linear:
    """``weights[i, j]`` is B over the core, ``core[item]`` the place of an item in it, -1 for none."""

    def __init__(self) -> None:
        self.core: Ids = np.full(0, -1, np.int32)
        self.weights: Weights = np.zeros((0, 0), np.float32)
        self._fit_at = FIRST

    def fit(self, pairs: NeighbourTable, counts: npt.NDArray[np.float64], order: Ids, interactions: int) -> None:
        """Fit anew if it is time to; ``order`` holds the items of the model."""
        if interactions < self._fit_at:
            return
        self._fit_at = interactions + 1 + int(interactions * GROWTH)
        order = order[counts[order] >= LEAST]
        most = order[np.argsort(-counts[order], kind="stable")[:CORE]]
        self.core.fill(-1)
        self.core[most] = np.arange(len(most), dtype=np.int32)
        self.weights = closed_form(gram(pairs, counts, most, self.core))

    def renew(self) -> None:
        """As before the first fit."""
        self.core.fill(-1)
        self._fit_at = FIRST

    def resize(self, capacity: int) -> None:
        self.core = grown(self.core, capacity, -1)

    def clear(self, index: int) -> None:
        self.core[index] = -1


def gram(pairs: NeighbourTable, counts: npt.NDArray[np.float64], most: Ids, core: Ids) -> Weights:
    """G, float32[m, m]. A pair that one of the two rows has let go of counts as in the other."""
    ids = pairs.ids[most]
    columns = np.where(ids >= 0, core[ids], -1)
    rows, slots = np.nonzero(columns >= 0)
    found: Weights = np.zeros((len(most), len(most)), np.float32)
    found[rows, columns[rows, slots]] = pairs.weights[most[rows], slots, TOGETHER]
    found = np.maximum(found, found.T)
    np.fill_diagonal(found, counts[most])
    return found


def closed_form(found: Weights, ridge: float = RIDGE) -> Weights:
    """B, float32[m, m]. What bounded lists let go of may cost G its positive eigenvalues: then λ doubles."""
    while True:
        damped = found.copy()
        np.fill_diagonal(damped, np.diag(found) + np.float32(ridge))
        if sweep(damped):
            break
        ridge *= 2.0
    return _divided(damped)


@compiled_fast
def sweep(a: Weights) -> bool:
    """Put -a⁻¹ in place of the symmetric float32[m, m], of which the lower half counts; False if it is not positive.

    (Goodnight, 1979, eight pivots at a time: the matrix passes through the cache an eighth as often.) A library's
    inverse would take all processors, and those are other events'.
    """
    m = len(a)
    before, after = np.empty((PIVOTS, m), np.float32), np.empty((PIVOTS, m), np.float32)
    for begin in range(0, m, PIVOTS):
        end = min(begin + PIVOTS, m)
        before[:] = 0
        for i in range(m):  # one cache line a row, whichever way it lies
            for p in range(end - begin):
                before[p, i] = a[begin + p, i] if i < begin + p else a[i, begin + p]
        after[:] = before
        inverse = np.eye(PIVOTS, dtype=np.float32)
        for p in range(end - begin):
            if not after[p, begin + p] > 0:
                return False
            factor = np.float32(1) / after[p, begin + p]
            after[p] *= factor
            inverse[p] *= factor
            for q in range(end - begin):
                if q != p:
                    factor = after[q, begin + p]
                    after[q] -= factor * after[p]
                    inverse[q] -= factor * inverse[p]
        for i in range(m):
            if begin <= i < end:
                continue
            f0, f1, f2, f3 = before[0, i], before[1, i], before[2, i], before[3, i]
            f4, f5, f6, f7 = before[4, i], before[5, i], before[6, i], before[7, i]
            for j in range(i + 1):
                a[i, j] -= (
                    f0 * after[0, j]
                    + f1 * after[1, j]
                    + f2 * after[2, j]
                    + f3 * after[3, j]
                    + f4 * after[4, j]
                    + f5 * after[5, j]
                    + f6 * after[6, j]
                    + f7 * after[7, j]
                )
        for p in range(end - begin):
            for i in range(begin):
                a[begin + p, i] = after[p, i]
            for q in range(p + 1):
                a[begin + p, begin + q] = -inverse[p, q]
        for i in range(end, m):
            for p in range(end - begin):
                a[i, begin + p] = after[p, i]
    return True


@compiled_fast
def _divided(inverse: Weights) -> Weights:
    """B, of the lower half of -P."""
    m = len(inverse)
    weights = np.empty((m, m), np.float32)
    for i in range(m):
        for j in range(i):
            weights[i, j] = inverse[i, j] / -inverse[j, j]
            weights[j, i] = inverse[i, j] / -inverse[i, i]
        weights[i, i] = 0.0
    return weights
