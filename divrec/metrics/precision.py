"""Precision, recall and F1 at k: how much of the slate is relevant, and how much of the relevant is in the slate."""

import numpy as np

from divrec.metrics.hits import Hits, Items, Values


def precision(found: Hits) -> Values:
    """hits / k: float64[n] in [0, 1], higher is better; empty places count as misses, k = 0 gives 0."""
    values: Values = found.sum(axis=1) / max(1, found.shape[1])
    return values


def recall(found: Hits, relevant: Items) -> Values:
    """hits / ``relevant`` (how many items are relevant, int[n]): float64[n] in [0, 1], 0 where nothing is relevant."""
    values: Values = found.sum(axis=1) / np.maximum(relevant, 1)
    return values


def f1(found: Hits, relevant: Items) -> Values:
    """2 hits / (k + ``relevant``), the harmonic mean of precision and recall: float64[n] in [0, 1]."""
    values: Values = 2.0 * found.sum(axis=1) / np.maximum(found.shape[1] + relevant, 1)
    return values
