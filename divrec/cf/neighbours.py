"""A bounded list of neighbours per item, each with several weights, as arrays."""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.items import grown

Ids = npt.NDArray[np.int32]
Weights = npt.NDArray[np.float32]


class NeighbourTable:
    """``ids[item, slot]`` (-1: empty, and so are all slots after it) and ``weights[item, slot, kind]``, unordered.

    A row holds at most ``width`` neighbours. In a full row a new pair whose first weight is w wears the first weight
    of the weakest neighbour down by w and takes its slot once nothing is left of it (lossy counting), so that the
    strong ones are exact as long as the bound does not bite. What happens depends on the order of the pairs alone,
    never on index values.
    """

    def __init__(self, width: int, kinds: int) -> None:
        self.width = width
        self.ids: Ids = np.full((0, width), -1, np.int32)
        self.weights: Weights = np.zeros((0, width, kinds), np.float32)

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
def slot_for(ids: Ids, weights: Weights, row: int, neighbour: int, weight: np.float32) -> int:
    """The slot of ``neighbour`` in ``row``, a new one with weights 0 if it gets one, or -1 if it only wore another."""
    width = ids.shape[1]
    found = used = np.int32(0)
    for slot in range(width):  # sums, for it is in one slot at most: many are compared at once
        found += np.int32(slot + 1 if ids[row, slot] == neighbour else 0)
        used += np.int32(1 if ids[row, slot] >= 0 else 0)
    if found > 0:
        return int(found) - 1
    if used < width:
        ids[row, used] = neighbour
        return int(used)
    weakest = 0
    lowest = weights[row, 0, 0]
    for slot in range(1, width):
        if weights[row, slot, 0] < lowest:
            lowest = weights[row, slot, 0]
            weakest = slot
    if lowest > weight:
        weights[row, weakest, 0] -= weight
        return -1
    ids[row, weakest] = neighbour
    weights[row, weakest] = 0.0
    return weakest


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
