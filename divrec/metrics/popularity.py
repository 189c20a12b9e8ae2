"""Popularity bias: how popular the shown items are, and how much more so than what the user had.

The measures of Abdollahpouri et al. (2019), ARP and ΔGAP, over percentiles in place of counts: counts have so heavy a
tail that a few items would be the whole figure, and grow with the stream.
"""

import numpy as np

from divrec.metrics.hits import Items, Values
from divrec.metrics.places import mean_over_places


def percentiles(counts: Items, among: Values) -> Values:
    """Where each of ``counts`` int[n, k] stands among all items' counts ``among`` float[m], sorted: float64[n, k].

    In [0, 1]: the share of items with a lower count, and half of those with the same. -1, an empty place, gives NaN.
    """
    below, upto = (np.searchsorted(among, counts, side) for side in ("left", "right"))
    return np.where(counts < 0, np.nan, (below + upto) / (2.0 * max(1, len(among))))


def popularity(shown: Values) -> Values:
    """Mean percentile of the items (ARP): float64[n] in [0, 1], 1: the most popular ones, ½: as drawn at random.

    ``shown`` float[n, k] are ``percentiles``. NaN for an empty slate.
    """
    return mean_over_places(shown)


def popularity_lift(shown: Values, had: Values) -> Values:
    """``popularity`` of the slate minus that of what the user had (ΔGAP): float64[n] in [-1, 1].

    0: as popular as the user's own taste; above it the model pushes towards what everybody has, below it away from it.
    ``shown`` float[n, k] and ``had`` float[n, h] are ``percentiles``. NaN without the one or the other.
    """
    return mean_over_places(shown) - mean_over_places(had)
