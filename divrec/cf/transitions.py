"""Transitions: what users turn to after an item.

t(i → j) sums 0.8^steps over interactions with j that came ``steps`` after i, for the last 20 items. The score of a
candidate j sums over the user's last items

    0.8^steps · t(i → j) / √((n(i) + β) (n(j) + β)).
"""

import numpy as np

from divrec.cf.neighbours import Weights

STEPS = 20
DECAY = 0.8
# Rounded to float32: the last bit of a power differs between processors, and replicas must not.
STEP_WEIGHTS: Weights = (DECAY ** np.arange(STEPS)).astype(np.float32)
