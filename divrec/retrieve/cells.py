"""The catalogue cut into cells, so that a search for nearest items looks at a part of it.

A cell is the set of items whose codes are nearest to the code of its centre; centres are items drawn at random. A
search goes through the cells in the order of their centres' distance until it has seen ``quota`` items (an inverted
file, Jégou et al., 2011, on binary codes). Few items need no cells.
"""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.items import grown
from divrec.retrieve.popcount import Codes, distance

Ids = npt.NDArray[np.int32]

FROM = 2_048
"""Below so many items a scan of all is as quick."""
PER_ROOT = 2.5
"""Cells, in multiples of √items: finer ones follow the query more closely, but there are more centres to compare."""
LEAST_QUOTA = 1_024
SHARE = 32
"""At least one in so many items is looked at."""


class Cells:
    """Doubly linked lists of items, one a cell; ``centres`` is empty while all items are to be scanned."""

    def __init__(self) -> None:
        self.centres: Codes = np.zeros((0, 1), np.uint64)
        self.heads: Ids = np.zeros(0, np.int32)
        self.next: Ids = np.zeros(0, np.int32)
        self.previous: Ids = np.zeros(0, np.int32)
        self.cell: Ids = np.zeros(0, np.int32)
        """By item, -1 for none."""

    def resize(self, capacity: int) -> None:
        self.next = grown(self.next, capacity, -1)
        self.previous = grown(self.previous, capacity, -1)
        self.cell = grown(self.cell, capacity, -1)

    def rebuild(self, codes: Codes, rows: npt.NDArray[np.intp]) -> None:
        """Cells for the items at ``rows``, with new centres among them."""
        self.cell[:] = -1
        count = int(PER_ROOT * len(rows) ** 0.5) if len(rows) >= FROM else 0
        chosen = np.random.default_rng(len(rows)).choice(rows, count, replace=False)
        self.centres = codes[chosen]
        self.heads = np.full(count, -1, np.int32)
        if count:
            for row in rows:
                self.add(int(row), codes[row])

    def add(self, row: int, code: Codes) -> None:
        """Put an item into the cell of its ``code``, out of the one it is in."""
        self.remove(row)
        if len(self.centres):
            link(row, code, self.centres, self.heads, self.next, self.previous, self.cell)

    def remove(self, row: int) -> None:
        if self.cell[row] >= 0:
            unlink(row, self.heads, self.next, self.previous, self.cell)


@compiled
def link(row: int, code: Codes, centres: Codes, heads: Ids, following: Ids, previous: Ids, cell: Ids) -> None:
    best = 0
    nearest = 1 << 30
    for c in range(len(centres)):
        d = distance(centres[c], code)
        if d < nearest:
            nearest = d
            best = c
    cell[row] = best
    previous[row] = -1
    following[row] = heads[best]
    if heads[best] >= 0:
        previous[heads[best]] = row
    heads[best] = row


@compiled
def unlink(row: int, heads: Ids, following: Ids, previous: Ids, cell: Ids) -> None:
    if previous[row] >= 0:
        following[previous[row]] = following[row]
    else:
        heads[cell[row]] = following[row]
    if following[row] >= 0:
        previous[following[row]] = previous[row]
    cell[row] = -1


@compiled
def gather(code: Codes, centres: Codes, heads: Ids, following: Ids, quota: int) -> Ids:
    """Items of the cells nearest to ``code``, nearest cell first, at most ``quota``."""
    distances = np.empty(len(centres), np.int32)
    for c in range(len(centres)):
        distances[c] = distance(centres[c], code)
    found = np.empty(quota, np.int32)
    taken = 0
    for c in np.argsort(distances):
        row = heads[c]
        while row >= 0 and taken < quota:
            found[taken] = row
            taken += 1
            row = following[row]
        if taken == quota:
            break
    return found[:taken]
