"""Intra-list diversity: the mean distance of the pairs in a slate (Ziegler et al., 2005).

ILD = mean over pairs of 1 - cos(x_i, x_j) = 1 - (|Σ x_i|² - n) / (n (n - 1)),   n items with unit vectors x_i
"""

import numpy as np
import numpy.typing as npt

from divrec.metrics.hits import Values


def ild(vectors: npt.NDArray[np.floating]) -> Values:
    """float64[n] of ``vectors`` float[n, k, d]: [0, 2], or [0, 1] where no component is negative; higher: more unlike.

    Vectors need not have unit length; an item whose vector is zero is left out. NaN where fewer than two are left.
    """
    norms = np.sqrt(np.einsum("nkd,nkd->nk", vectors, vectors, dtype=np.float64))
    known = norms > 0
    scales = np.divide(1.0, norms, out=np.zeros_like(norms), where=known)
    total = np.einsum("nkd,nk->nd", vectors, scales)
    count = known.sum(axis=1)
    pairs = (count * (count - 1)).astype(np.float64)
    pairs[count < 2] = np.nan
    values: Values = np.clip(1.0 - (np.einsum("nd,nd->n", total, total) - count) / pairs, 0.0, 2.0)
    return values
