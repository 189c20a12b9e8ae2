"""Popularity bias: how unevenly the places in slates fall on items."""

import numpy as np

from divrec.metrics.hits import Items


def gini(shown: Items, catalog: int = 0) -> float:
    """Gini coefficient of ``shown``, how often each item of the catalogue was in a slate; lower is more even.

    ``catalog`` says how many items there are, where ``shown`` does not hold those that never were.

        G = Σ_i (2 i - n - 1) s_i / (n Σ s),   s sorted upwards, i from 1

    In [0, 1 - 1/n]: 0 = all items alike, near 1 = one item has it all. 0 where nothing was shown.
    """
    counts = np.asarray(shown, np.float64)
    n, total = max(catalog, len(counts)), counts.sum()
    if total <= 0:
        return 0.0
    ordered = np.sort(counts[counts > 0])
    return max(0.0, float((2.0 * np.arange(n - len(ordered) + 1, n + 1) - n - 1) @ ordered / (n * total)))


def entropy(shown: Items) -> float:
    """Shannon entropy of ``shown`` in bits: [0, log2 n], higher is more even; 0 where nothing was shown."""
    counts = np.asarray(shown, np.float64)
    total = counts.sum()
    if total <= 0:
        return 0.0
    shares = counts[counts > 0] / total
    return max(0.0, float(-(shares @ np.log2(shares))))
