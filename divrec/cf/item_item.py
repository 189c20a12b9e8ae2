"""Item-item cosine from co-counts.

    sim(i, j) = c(i, j) / √((n(i) + β) (n(j) + β))

c(i, j) counts interactions with i by users who had j among their last ``history`` items, or the other way round;
n(i) counts interactions with i; β damps similarities that rest on few users (Deshpande & Karypis, 2004; Sarwar et
al., 2001). The score of a candidate sums sim over the user's recent items, each weighted exp(-steps back / 10).
"""

import numpy as np
import numpy.typing as npt

from divrec.cf.neighbours import Ids, Weights, add_pair
from divrec.compiled import compiled

DAMPING = 5.0
RECENCY = 10.0
QUERY_HISTORY = 20
"""Recent items that a recommendation asks for neighbours: beyond it exp(-steps/10) is below 0.14."""


@compiled
def learn_pairs(ids: Ids, weights: Weights, item: int, recent: npt.NDArray[np.int32], weight: np.float32) -> None:
    """Count ``item`` together with each of ``recent``, both ways."""
    for other in recent:
        if other != item:
            add_pair(ids, weights, item, other, weight)
            add_pair(ids, weights, other, item, weight)
