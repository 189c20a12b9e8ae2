"""Normalised discounted cumulative gain at k (Järvelin & Kekäläinen, 2002), binary relevance.

    DCG = Σ_p hit(p) / log2(p + 1),   NDCG = DCG / (DCG of the min(k, relevant) first places all hits)

With one relevant item it is 1 / log2(p + 1) at the place p of that item.
"""

import numpy as np

from divrec.metrics.hits import Hits, Items, Values


def ndcg(found: Hits, relevant: Items) -> Values:
    """float64[n] in [0, 1], higher is better; ``relevant`` int[n] counts the relevant items. Nothing relevant: 0."""
    k = found.shape[1]
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate(([np.inf], np.cumsum(discounts)))
    values: Values = (found @ discounts) / ideal[np.clip(relevant, 0, k)]
    return values
