"""From the places of a slate to the slate."""

import numpy as np
import numpy.typing as npt

from divrec.metrics.hits import Values


def mean_over_places(values: npt.NDArray[np.floating]) -> Values:
    """Means float64[n] of ``values`` float[n, k]; a NaN (an empty place, or unknown) is left out, NaN if all are."""
    known = ~np.isnan(values)
    count = known.sum(axis=1).astype(np.float64)
    count[count == 0] = np.nan
    means: Values = np.where(known, values, 0.0).sum(axis=1, dtype=np.float64) / count
    return means
