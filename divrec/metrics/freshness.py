"""Freshness: the share of a slate that appeared lately."""

import numpy as np
import numpy.typing as npt

from divrec.metrics.hits import Values
from divrec.metrics.places import mean_over_places


def freshness(ages: npt.NDArray[np.floating], within: float) -> Values:
    """Share of the items not older than ``within``, the unit of ``ages`` float[n, k]: float64[n] in [0, 1].

    Neither direction is better by itself. NaN is an empty place or an item of unknown age, and is left out; NaN where
    all are.
    """
    return mean_over_places(np.where(np.isnan(ages), np.nan, ages <= within))
