"""Intra-list diversity: the mean distance of the pairs in a slate (Ziegler et al., 2005).

ILD = mean over pairs of 1 - cos(x_i, x_j) = 1 - (|Σ x_i|² - n) / (n (n - 1)),   n items with unit vectors x_i
"""

import numpy as np
import numpy.typing as npt

from divrec.metrics.hits import Items, Values


def ild(vectors: npt.NDArray[np.floating]) -> Values:
    """float64[n] of ``vectors`` float[n, k, d]: [0, 2], or [0, 1] where no component is negative; higher: more unlike.

    Vectors need not have unit length; an item whose vector is zero is left out. NaN where fewer than two are left.
    """
    norms = np.sqrt(np.einsum("nkd,nkd->nk", vectors, vectors, dtype=np.float64))
    known = norms > 0
    scales = np.divide(1.0, norms, out=np.zeros_like(norms), where=known)
    total = np.einsum("nkd,nk->nd", vectors, scales)
    return _from_sum(np.einsum("nd,nd->n", total, total), known.sum(axis=1))


def ild_of_sets(categories: Items) -> Values:
    """``ild`` of flags, from the numbers of the categories int[n, k, m], -1 for none: there may be many thousands.

    No item has a category twice.
    """
    size = (categories >= 0).sum(axis=2)
    lists, places, slots = np.nonzero(categories >= 0)
    scales = 1.0 / np.sqrt(size[lists, places])
    width = int(categories.max(initial=0)) + 1
    cells, cell = np.unique(lists * width + categories[lists, places, slots].astype(np.int64), return_inverse=True)
    sums = np.bincount(cell, scales, minlength=len(cells))
    squares = np.bincount(cells // width, sums**2, minlength=len(categories))
    return _from_sum(np.asarray(squares, np.float64), (size > 0).sum(axis=1))


def _from_sum(squares: Values, count: Items) -> Values:
    """From |Σ x_i|² and n of each slate."""
    pairs = (count * (count - 1)).astype(np.float64)
    pairs[count < 2] = np.nan
    values: Values = np.clip(1.0 - (squares - count) / pairs, 0.0, 2.0)
    return values
