"""Where the codes of items lie: in blocks, and when there are many, in cells, so that a search looks at a part of them.

A cell is the set of items whose codes are nearest to that of its centre; centres are items drawn at random (an inverted
file, Jégou et al., 2011, on binary codes). The codes of a cell lie in blocks of contiguous memory, which the processor
goes through many words at a time. While there are few items there is one cell, and everything is looked at.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.items import grown
from divrec.retrieve.popcount import popcount

Ids = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]

BLOCK = 256
"""Codes of a block: a cell wastes half of one on average."""
FROM = 65_536
"""From so many items on there are cells."""
CELLS = 1_024


class CellArrays(NamedTuple):
    """What compiled code reads and writes. A cell's first block is the only one that may not be full."""

    codes: Words
    """uint64[blocks, words, BLOCK]: word w of the code at slot s lies at [block, w, s]."""
    items: Ids
    """int32[blocks, BLOCK]."""
    held: Ids
    """Codes in each block."""
    cell: Ids
    """By block."""
    following: Ids
    """The next block of the same cell or of the free ones, -1 for none."""
    first: Ids
    """By cell, -1 for an empty one; the last entry is the first free block."""
    centres: Words
    """uint64[cells, words]."""
    place: Ids
    """By item: block · BLOCK + slot, -1 for none."""


class Cells:
    def __init__(self, capacity: int = 0, dimensions: int = 0) -> None:
        self._capacity = capacity
        self.clear(dimensions)

    def clear(self, dimensions: int) -> None:
        """Forget all codes; from now on they are of vectors with ``dimensions``."""
        words = (dimensions + 63) // 64
        self._count = 0
        self.arrays = CellArrays(
            np.zeros((0, words, BLOCK), np.uint64),
            np.zeros((0, BLOCK), np.int32),
            np.zeros(0, np.int32),
            np.zeros(0, np.int32),
            np.zeros(0, np.int32),
            np.full(2, -1, np.int32),
            np.zeros((1, words), np.uint64),
            np.full(self._capacity, -1, np.int32),
        )

    def __len__(self) -> int:
        return self._count

    def resize(self, capacity: int) -> None:
        self._capacity = capacity
        self.arrays = self.arrays._replace(place=grown(self.arrays.place, capacity, -1))

    def put(self, item: int, code: Words) -> None:
        """Note the ``code`` of an item, in place of the one it had."""
        self.remove(item)
        self._reserve()
        insert(self.arrays, item, code)
        self._count += 1
        if self._count == FROM and len(self.arrays.centres) == 1:
            self.rebuild(*self._all())

    def remove(self, item: int) -> None:
        if self.arrays.place[item] >= 0:
            take_out(self.arrays, item)
            self._count -= 1

    def rebuild(self, items: Ids, codes: Words) -> None:
        """Hold ``codes[n, words]`` of ``items[n]`` and nothing else, in cells with new centres if they are many."""
        self.clear(64 * codes.shape[1])
        if len(items) >= FROM:
            centres = codes[np.random.default_rng(0).choice(len(items), CELLS, replace=False)]
            self.arrays = self.arrays._replace(centres=centres, first=np.full(CELLS + 1, -1, np.int32))
        for at in range(0, len(items), BLOCK):
            self._reserve(CELLS if len(items) >= FROM else 1)
            insert_all(self.arrays, items[at : at + BLOCK], codes[at : at + BLOCK])
        self._count = len(items)

    def _all(self) -> tuple[Ids, Words]:
        arrays = self.arrays
        blocks, slots = np.nonzero(np.arange(BLOCK) < arrays.held[:, None])
        return arrays.items[blocks, slots], arrays.codes[blocks, :, slots]

    def _reserve(self, blocks: int = 1) -> None:
        """Have so many free blocks."""
        arrays = self.arrays
        free, block = 0, arrays.first[-1]
        while block >= 0 and free < blocks:
            free, block = free + 1, arrays.following[block]
        if free == blocks:
            return
        before = len(arrays.held)
        after = max(2 * before, before + blocks)
        following = grown(arrays.following, after, -1)
        following[before : after - 1] = np.arange(before + 1, after)
        following[after - 1] = arrays.first[-1]
        arrays.first[-1] = before
        self.arrays = arrays._replace(
            codes=grown(arrays.codes, after),
            items=grown(arrays.items, after),
            held=grown(arrays.held, after),
            cell=grown(arrays.cell, after),
            following=following,
        )

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.arrays)


@compiled
def distance(a: Words, b: Words) -> int:
    """Bits in which two codes differ."""
    bits = np.uint64(0)
    for word in range(len(a)):
        bits += popcount(a[word] ^ b[word])
    return np.int64(bits)  # type: ignore[return-value]


@compiled
def nearest_cell(centres: Words, code: Words) -> int:
    """The first of equally near ones."""
    if len(centres) == 1:
        return 0
    best = 0
    least = distance(centres[0], code)
    for cell in range(1, len(centres)):
        far = distance(centres[cell], code)
        if far < least:
            least = far
            best = cell
    return best


@compiled
def insert(arrays: CellArrays, item: int, code: Words) -> None:
    """Put in an item that is not there. There must be a free block."""
    cell = nearest_cell(arrays.centres, code)
    block = arrays.first[cell]
    if block < 0 or arrays.held[block] == BLOCK:
        fresh = arrays.first[-1]
        arrays.first[-1] = arrays.following[fresh]
        arrays.following[fresh] = block
        arrays.first[cell] = fresh
        arrays.cell[fresh] = cell
        arrays.held[fresh] = 0
        block = fresh
    slot = arrays.held[block]
    arrays.codes[block, :, slot] = code
    arrays.items[block, slot] = item
    arrays.place[item] = block * BLOCK + slot
    arrays.held[block] = slot + 1


@compiled
def insert_all(arrays: CellArrays, items: Ids, codes: Words) -> None:
    for n in range(len(items)):
        insert(arrays, items[n], codes[n])


@compiled
def take_out(arrays: CellArrays, item: int) -> None:
    """Take out an item that is there: the last of the cell's first block comes into its place."""
    block = arrays.place[item] // BLOCK
    slot = arrays.place[item] % BLOCK
    cell = arrays.cell[block]
    first = arrays.first[cell]
    last = arrays.held[first] - 1
    moved = arrays.items[first, last]
    arrays.codes[block, :, slot] = arrays.codes[first, :, last]
    arrays.items[block, slot] = moved
    arrays.place[moved] = block * BLOCK + slot
    arrays.place[item] = -1
    arrays.held[first] = last
    if last == 0:
        arrays.first[cell] = arrays.following[first]
        arrays.following[first] = arrays.first[-1]
        arrays.first[-1] = first


@compiled
def cells_by_distance(centres: Words, code: Words) -> Ids:
    """The cells, nearest first (counting sort)."""
    count = len(centres)
    far = np.empty(count, np.int32)
    starts = np.zeros(64 * len(code) + 2, np.int32)
    for cell in range(count):
        far[cell] = distance(centres[cell], code)
        starts[far[cell] + 1] += 1
    for bits in range(1, len(starts)):
        starts[bits] += starts[bits - 1]
    order = np.empty(count, np.int32)
    for cell in range(count):
        order[starts[far[cell]]] = cell
        starts[far[cell]] += 1
    return order
