"""Calibrated recommendations (Steck, RecSys 2018): the slate's categories in the shares of the user's profile.

Picks, one after the other, the item with the highest

    (1 - diversity) · r(i) - diversity · KL(profile ‖ shares of the picked items and i)

where r is the relevance scaled to [0, 1] over the candidates; the divergence is that of ``categories``.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.diversify.candidates import Floats, Positions, accepted, ahead, scaled
from divrec.diversify.categories import as_profile, diverges, diverging, hold, interests, part, sparse


def calibrated(
    relevance: Floats, categories: Floats, k: int, *, diversity: float, profile: npt.NDArray[Any] | None = None
) -> Positions:
    """Positions of the slate in the order of picking: int32[min(k, n)].

    ``relevance`` is float32[n], ``categories`` float32[n, c] how much each item belongs to each category (0: not),
    ``profile`` float32[c] how much the user turned to each, by default what the relevance of the candidates says. An
    item without categories leaves the shares as they are. Ties go to the more relevant, then to the first. Raises
    ValueError for a ``diversity`` outside [0, 1], a negative ``k``, shapes that do not fit, or values that are not
    finite or, in ``categories`` and ``profile``, negative.
    """
    relevance, categories = accepted(relevance, categories, k, diversity)
    return _calibrated(relevance, categories, as_profile(profile, categories.shape[1]), k, np.float32(diversity))


@compiled
def _calibrated(relevance: Floats, categories: Floats, profile: Floats, k: int, diversity: np.float32) -> Positions:
    n, c = categories.shape
    k = min(k, n)
    gain = scaled(relevance)
    starts, members, shares = sparse(categories)
    wanted = interests(relevance, profile, starts, members, shares)
    have = np.zeros(c, np.int32)
    held = np.zeros(c, np.float32)
    base = np.empty(c, np.float32)
    total = np.float32(0)
    free = np.ones(n, np.bool_)
    picked = np.empty(k, np.int32)
    for position in range(k):
        without = diverging(wanted, held, total, base)
        plain = diverges(wanted, held, total)
        best = -1
        best_value = np.float32(0)
        for i in range(n):
            if not free[i]:
                continue
            after = without if starts[i + 1] > starts[i] else plain
            for e in range(starts[i], starts[i + 1]):
                a = members[e]
                if wanted[a] > 0:
                    after += part(wanted[a], held[a] + shares[e], total + 1) - base[a]
            value = (1 - diversity) * gain[i] - diversity * after
            if ahead(value, i, best_value, best, relevance):
                best = i
                best_value = value
        picked[position] = best
        free[best] = False
        total += hold(best, 1, starts, members, shares, have, held)
    return picked
