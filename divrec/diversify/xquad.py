"""xQuAD, explicit aspects of what is wanted (Santos, Macdonald & Ounis, WWW 2010; for interests of users: Vargas,
Castells & Vallet, SIGIR 2011).

Picks, one after the other, the item with the highest

    (1 - diversity) · r(i) + diversity · Σ_a p(a) x_ia r(i) Π_{j picked} (1 - x_ja r(j))

where r is the relevance scaled to [0, 1] over the candidates, p(a) the share of category a among the user's interests
and x_ia the share of item i that belongs to it: an interest that was served counts less and less.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.diversify.candidates import Floats, Positions, accepted, ahead, scaled
from divrec.diversify.categories import as_profile, interests, sparse


def xquad(
    relevance: Floats, categories: Floats, k: int, *, diversity: float, profile: npt.NDArray[Any] | None = None
) -> Positions:
    """Positions of the slate in the order of picking: int32[min(k, n)].

    ``relevance`` is float32[n], ``categories`` float32[n, c] how much each item belongs to each category (0: not),
    ``profile`` float32[c] how much the user turned to each, by default what the relevance of the candidates says.
    Ties go to the more relevant, then to the first. Raises ValueError for a ``diversity`` outside [0, 1], a negative
    ``k``, shapes that do not fit, or values that are not finite or, in ``categories`` and ``profile``, negative.
    """
    relevance, categories = accepted(relevance, categories, k, diversity)
    return _xquad(relevance, categories, as_profile(profile, categories.shape[1]), k, np.float32(diversity))


@compiled
def _xquad(relevance: Floats, categories: Floats, profile: Floats, k: int, diversity: np.float32) -> Positions:
    n = len(relevance)
    k = min(k, n)
    gain = scaled(relevance)
    starts, members, shares = sparse(categories)
    open_interest = interests(relevance, profile, starts, members, shares)
    free = np.ones(n, np.bool_)
    picked = np.empty(k, np.int32)
    for position in range(k):
        best = -1
        best_value = np.float32(0)
        for i in range(n):
            if not free[i]:
                continue
            novel = np.float32(0)
            for e in range(starts[i], starts[i + 1]):
                novel += open_interest[members[e]] * shares[e]
            value = (np.float32(1) - diversity) * gain[i] + diversity * gain[i] * novel
            if ahead(value, i, best_value, best, relevance):
                best = i
                best_value = value
        picked[position] = best
        free[best] = False
        for e in range(starts[best], starts[best + 1]):
            open_interest[members[e]] *= np.float32(1) - shares[e] * gain[best]
    return picked
