"""Transitions: what users turn to after an item.

t(i → j) sums 0.8^steps over interactions with j that came ``steps`` after i, for the last 10 items. The score of a
candidate j sums over the user's last 10 items

    0.8^steps · t(i → j) / √((out(i) + β) (n(j) + β)),   out(i) = Σ_j t(i → j).
"""

import numpy as np
import numpy.typing as npt

from divrec.cf.neighbours import Ids, Weights, add_pair
from divrec.cf.popularity import Values
from divrec.compiled import compiled

STEPS = 10
DECAY = 0.8


@compiled
def learn_steps(
    ids: Ids, weights: Weights, out: Values, item: int, recent: npt.NDArray[np.int32], weight: np.float32
) -> None:
    """Count the way from each of the last items (``recent``, newest first) to ``item``."""
    strength = weight
    for step in range(min(STEPS, len(recent))):
        previous = recent[step]
        if previous != item:
            add_pair(ids, weights, previous, item, np.float32(strength))
            out[previous] += np.float32(strength)
        strength *= np.float32(DECAY)
