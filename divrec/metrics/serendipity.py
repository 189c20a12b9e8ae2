"""Serendipity: what is relevant and was not to be expected (Murakami et al., 2008; Ge et al., 2010).

serendipity = Σ_p hit(p) (1 - expected(p)) / relevant

It is recall in which a hit counts as much as it was unexpected: a slate of the obvious has none, nor has one of what
nobody wants.
"""

import numpy as np

from divrec.metrics.hits import Hits, Items, Values


def serendipity(found: Hits, unexpected: Values, relevant: Items) -> Values:
    """float64[n] in [0, 1], at most the recall, higher is better.

    ``unexpected`` float[n, k] in [0, 1] is 1 - expected (``unexpectedness.unexpected``), ``relevant`` int[n] how many
    items are relevant. 0 without a hit or where nothing is relevant; NaN where it is not known of a hit.
    """
    values: Values = np.where(found, unexpected, 0.0).sum(axis=1) / np.maximum(relevant, 1)
    return values
