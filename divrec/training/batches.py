"""An epoch's batches."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

POOL = 32
"""Batches that are drawn together, so that texts of a length can share one: padding is work for nothing."""


def mixed(lengths: Sequence[int], size: int, random: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """The indices into ``lengths``, each once, in ceil(n / ``size``) batches of ``size`` and a rest, in random order.

    >>> [sorted(batch.tolist()) for batch in mixed([1, 9, 1, 9], 2, np.random.default_rng(0))]
    [[1, 3], [0, 2]]
    """
    order, length = random.permutation(len(lengths)), np.asarray(lengths)
    found = []
    for first in range(0, len(order), POOL * size):
        pool = order[first : first + POOL * size]
        pool = pool[np.argsort(length[pool], kind="stable")]
        found += [pool[at : at + size] for at in range(0, len(pool), size)]
    return [found[n] for n in random.permutation(len(found))]
