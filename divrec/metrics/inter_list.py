"""Inter-list distance: how much of a user's slate was not in the one before (temporal diversity: Lathia et al., 2010).

distance = 1 - |A ∩ B| / |A ∪ B|,   A and B the items of consecutive slates of the same user (Jaccard)
"""

import numpy as np

from divrec.metrics.hits import Items, Values, hits


def inter_list_distance(slates: Items, before: Items) -> Values:
    """float64[n] in [0, 1] of ``slates`` int[n, k] and those ``before`` int[n, m], padded with -1.

    0 = the same items in whatever order, 1 = all are new to the user's screen. No slate holds an item twice. NaN where
    either is empty: the first slate of a user has no distance.
    """
    both = hits(slates, before).sum(axis=1)
    sizes = (slates >= 0).sum(axis=1), (before >= 0).sum(axis=1)
    either = (sizes[0] + sizes[1] - both).astype(np.float64)
    either[(sizes[0] == 0) | (sizes[1] == 0)] = np.nan
    values: Values = 1.0 - both / either
    return values
