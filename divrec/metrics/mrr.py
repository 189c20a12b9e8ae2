"""Mean reciprocal rank at k: 1 / place of the first hit (Voorhees, 1999)."""

import numpy as np

from divrec.metrics.hits import Hits, Values


def reciprocal_rank(found: Hits) -> Values:
    """float64[n] in [0, 1], higher is better, 0 without a hit."""
    if not found.shape[1]:
        return np.zeros(len(found))
    return np.where(found.any(axis=1), 1.0 / (1 + found.argmax(axis=1)), 0.0)
