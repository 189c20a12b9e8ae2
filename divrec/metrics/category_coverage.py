"""Category coverage of a slate, or of topics: subtopic recall (S-recall at k, Zhai et al., 2003).

coverage = different categories in the slate / categories there are
"""

import numpy as np
import numpy.typing as npt

from divrec.metrics.hits import Items, Values


def category_coverage(categories: Items, there: int) -> Values:
    """float64[n] in [0, 1], higher: more of them.

    ``categories`` int[n, m] are the numbers of all categories of all items of each slate, in any order, -1 for none;
    ``there`` is how many different ones the catalogue has, so that a slate of few items cannot reach 1 where there are
    many. NaN for a slate whose items have none.
    """
    distinct = count_distinct(categories).astype(np.float64)
    distinct[distinct == 0] = np.nan
    return distinct / max(1, there)


def count_distinct(numbers: Items) -> npt.NDArray[np.int64]:
    """How many different numbers from 0 on each row of int[n, m] holds: int64[n]."""
    ordered = np.sort(numbers, axis=1)
    new = ordered >= 0
    new[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    count: npt.NDArray[np.int64] = new.sum(axis=1)
    return count
