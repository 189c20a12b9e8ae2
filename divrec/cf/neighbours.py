"""A bounded, weighted neighbour list per item, as arrays."""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.items import grown

Ids = npt.NDArray[np.int32]
Weights = npt.NDArray[np.float32]


class NeighbourTable:
    """``ids[item, slot]`` (-1: empty, and so are all slots after it) and ``weights[item, slot]``, unordered.

    A row holds at most ``width`` neighbours. In a full row a new pair of weight w wears the weakest neighbour down
    by w and takes its slot once nothing is left of it (lossy counting), so that the strong ones are exact as long
    as the bound does not bite. What happens depends on the order of the pairs alone, never on index values.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.ids: Ids = np.full((0, width), -1, np.int32)
        self.weights: Weights = np.zeros((0, width), np.float32)

    def resize(self, capacity: int) -> None:
        self.ids = grown(self.ids, capacity, -1)
        self.weights = grown(self.weights, capacity)

    def clear(self, index: int) -> None:
        self.ids[index] = -1
        self.weights[index] = 0.0

    @property
    def nbytes(self) -> int:
        return self.ids.nbytes + self.weights.nbytes


@compiled
def add_pair(ids: Ids, weights: Weights, row: int, neighbour: int, weight: np.float32) -> None:
    """Add ``weight`` to ``neighbour`` in ``row``."""
    weakest = -1
    lowest = np.float32(np.inf)
    for slot in range(ids.shape[1]):
        other = ids[row, slot]
        if other == neighbour:
            weights[row, slot] += weight
            return
        if other < 0:
            ids[row, slot] = neighbour
            weights[row, slot] = weight
            return
        if weights[row, slot] < lowest:
            lowest = weights[row, slot]
            weakest = slot
    if lowest <= weight:
        ids[row, weakest] = neighbour
        weights[row, weakest] = weight
    else:
        weights[row, weakest] -= weight


@compiled
def drop_items(ids: Ids, weights: Weights, dropped: npt.NDArray[np.bool_], rows: npt.NDArray[np.int32]) -> None:
    """Remove every neighbour with ``dropped[neighbour]`` from ``rows``; the others close up in their order."""
    for row in rows:
        kept = 0
        for slot in range(ids.shape[1]):
            other = ids[row, slot]
            if other < 0:
                break
            if not dropped[other]:
                ids[row, kept] = other
                weights[row, kept] = weights[row, slot]
                kept += 1
        for slot in range(kept, ids.shape[1]):
            ids[row, slot] = -1
            weights[row, slot] = 0.0
