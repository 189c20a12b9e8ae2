"""Unexpectedness: how far the items of a slate are from what the user had (Zhang et al., 2012, Auralist).

u(i) = 1 - max(0, cos(x_i, p)),   p = mean of what the user had; the slate's is the mean over its items
"""

import numpy as np
import numpy.typing as npt

from divrec.metrics.hits import Values
from divrec.metrics.places import mean_over_places


def unexpected(vectors: npt.NDArray[np.floating], profile: npt.NDArray[np.floating]) -> Values:
    """u of each item of ``vectors`` float[n, k, d] to ``profile`` float[n, d]: float64[n, k] in [0, 1].

    0 = what the user always has, 1 = nothing in common; what points the other way counts as that. Vectors need not
    have unit length. NaN where the item's vector or the profile is zero.
    """
    norms = np.sqrt(np.einsum("nkd,nkd->nk", vectors, vectors) * np.einsum("nd,nd->n", profile, profile)[:, None])
    norms = norms.astype(np.float64)
    norms[norms == 0] = np.nan
    cosines = np.einsum("nkd,nd->nk", vectors, profile) / norms
    values: Values = 1.0 - np.clip(cosines, 0.0, 1.0)
    return values


def unexpectedness(vectors: npt.NDArray[np.floating], profile: npt.NDArray[np.floating]) -> Values:
    """The mean over the items: float64[n] in [0, 1], higher: further from the user's past. NaN where none is known."""
    return mean_over_places(unexpected(vectors, profile))
