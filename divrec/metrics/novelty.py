"""Novelty: the mean self-information of the items in a slate (Zhou et al., 2010).

novelty = mean over items of -log2 p(i),   p(i) = interactions with i / all interactions so far
"""

import numpy as np

from divrec.metrics.hits import Items, Values


def novelty(counts: Items, total: Items) -> Values:
    """Bits, float64[n] in [0, log2 total]: 0 = everybody's only item, higher = less known.

    ``counts`` int[n, k] are the interactions with each item (-1: an empty place, left out; 0 counts as 1), ``total``
    int[n] all interactions. NaN for an empty slate.
    """
    filled = counts >= 0
    rarity = np.log2(np.maximum(total, 1))[:, None] - np.log2(np.maximum(counts, 1))
    size = np.where(filled.any(axis=1), filled.sum(axis=1), np.nan)
    values: Values = np.where(filled, np.maximum(rarity, 0.0), 0.0).sum(axis=1) / size
    return values
