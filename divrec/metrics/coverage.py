"""Coverage: which part of the catalogue is recommended, and to which part of the users (Ge et al., 2010)."""

import numpy as np

from divrec.metrics.hits import Hits, Items


def catalog_coverage(shown: Items, catalog: int) -> float:
    """Items with ``shown`` > 0 (how often each was in a slate) / items in the ``catalog``: [0, 1], 0 if it is empty."""
    return float(np.count_nonzero(shown)) / max(1, catalog)


def user_coverage(served: Hits) -> float:
    """Share of the users that got a full slate at least once (``served`` bool[users]): [0, 1], 0 without users."""
    return float(np.count_nonzero(served)) / max(1, len(served))
