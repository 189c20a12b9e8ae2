"""Greedy cover of the user's interests (Ashkan, Kveton, Berkovsky & Wen, IJCAI 2015).

Picks, one after the other, the item with the highest

    (1 - diversity) · r(i) + diversity · Σ_{a of i, not covered} p(a)

where r is the relevance scaled to [0, 1] over the candidates and p(a) the share of category a among the user's
interests. Once nothing that is left to cover can be covered, covering begins anew.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.diversify.candidates import Floats, Positions, accepted, ahead, scaled
from divrec.diversify.categories import as_profile, interests, sparse


def set_cover(
    relevance: Floats, categories: Floats, k: int, *, diversity: float, profile: npt.NDArray[Any] | None = None
) -> Positions:
    """Positions of the slate in the order of picking: int32[min(k, n)].

    ``relevance`` is float32[n], ``categories`` float32[n, c] not 0 where an item belongs to a category, ``profile``
    float32[c] how much the user turned to each, by default what the relevance of the candidates says. Ties go to the
    more relevant, then to the first. Raises ValueError for a ``diversity`` outside [0, 1], a negative ``k``, shapes
    that do not fit, or values that are not finite or, in ``categories`` and ``profile``, negative.
    """
    relevance, categories = accepted(relevance, categories, k, diversity)
    return _set_cover(relevance, categories, as_profile(profile, categories.shape[1]), k, np.float32(diversity))


@compiled
def _set_cover(relevance: Floats, categories: Floats, profile: Floats, k: int, diversity: np.float32) -> Positions:
    n = len(relevance)
    k = min(k, n)
    gain = scaled(relevance)
    starts, members, shares = sparse(categories)
    wanted = interests(relevance, profile, starts, members, shares)
    uncovered = wanted.copy()
    free = np.ones(n, np.bool_)
    picked = np.empty(k, np.int32)
    for position in range(k):
        best = -1
        best_value = np.float32(0)
        for anew in range(2):
            best = -1
            most = np.float32(0)
            for i in range(n):
                if not free[i]:
                    continue
                covers = np.float32(0)
                for e in range(starts[i], starts[i + 1]):
                    covers += uncovered[members[e]]
                most = max(most, covers)
                value = (np.float32(1) - diversity) * gain[i] + diversity * covers
                if ahead(value, i, best_value, best, relevance):
                    best = i
                    best_value = value
            if most > 0 or anew == 1:
                break
            uncovered[:] = wanted
        picked[position] = best
        free[best] = False
        for e in range(starts[best], starts[best + 1]):
            uncovered[members[e]] = 0
    return picked
