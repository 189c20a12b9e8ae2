"""A linear item-item model in closed form, for the items used most (EASE: Steck, 2019).

    B = I - P · diag(1 / diag(P)),   P = (G + λ I)⁻¹

where G holds the co-counts c(i, j) of the ``CORE`` items with the most interactions (at least ``LEAST``), n(i) in its
diagonal. The score of j sums B[i, j] · exp(-steps back / 20) over the user's recent items: what a neighbour says counts
only as far as no other neighbour says it.

It is an index of each replica, made from the co-counts anew whenever interactions have grown by a fifth: neither
learned nor kept in snapshots. With ``CORE`` items a fit takes 50 ms (one thread) and 4 MB.
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
FIRST = 1_000
"""Interactions before the first fit."""
GROWTH = 0.2
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
    lower = np.tril(damped, -1)
    weights: Weights = lower + lower.T
    weights /= -np.diag(damped)
    return weights


@compiled_fast
def sweep(a: Weights) -> bool:
    """Put -a⁻¹ in place of the symmetric float32[m, m], of which the lower half counts; False if it is not positive.

    (Goodnight, 1979.) A library's inverse would take all processors, and those are other events'.
    """
    m = len(a)
    column = np.empty(m, np.float32)
    for k in range(m):
        for i in range(m):
            column[i] = a[k, i] if i < k else a[i, k]
        if not column[k] > 0:
            return False
        inverse = np.float32(1) / column[k]
        for i in range(m):
            factor = column[i] * inverse
            if i != k and factor != 0:
                for j in range(i + 1):
                    a[i, j] -= factor * column[j]
        for i in range(m):
            if i < k:
                a[k, i] = column[i] * inverse
            elif i > k:
                a[i, k] = column[i] * inverse
        a[k, k] = -inverse
    return True
