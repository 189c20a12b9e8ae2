"""Which places of a slate hold what the user turned to."""

import numpy as np
import numpy.typing as npt

Items = npt.NDArray[np.integer]
Hits = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]


def hits(slates: Items, relevant: Items) -> Hits:
    """bool[n, k] of ``slates`` int[n, k] and ``relevant`` int[n, m], each padded with -1.

    An item that stands in a slate twice counts at its first place alone.
    """
    found: Hits = (slates[:, :, None] == relevant[:, None, :]).any(axis=2) & (slates >= 0)
    same = slates[:, :, None] == slates[:, None, :]
    found &= ~np.tril(same, -1).any(axis=2)
    return found


def hit_rate(found: Hits) -> Values:
    """1 where any place is a hit, else 0 (k = 0: 0): float64[n]; higher is better."""
    return np.asarray(found.any(axis=1), np.float64)
