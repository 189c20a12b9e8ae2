"""Nearest items to an interest vector: by binary codes first, then by exact cosines of the best.

The code of a vector is the sign of each dimension after centring, packed into 64-bit words; the Hamming distance of
codes orders vectors roughly by angle (Charikar, 2002). A code of 384 dimensions takes 48 bytes, the vector 1,536, and
the exact cosine decides among several times as many codes as are asked for. Few codes are all looked at, of many those
in the cells nearest to the interest (``cells``).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled, compiled_fast
from divrec.retrieve.cells import BLOCK, CellArrays, cells_by_distance
from divrec.retrieve.popcount import popcount

Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]

LOOKED_AT = 65_536
"""Codes that a search looks at, and one more in ``SHARE_LOOKED_AT`` items."""
SHARE_LOOKED_AT = 32
OVERSAMPLING = 4
SHARE = 512
"""One more in so many codes looked at is compared exactly: the more there are, the less a code tells."""


class Space(NamedTuple):
    """What is searched, by item index."""

    vectors: Vectors
    cells: CellArrays
    usable: npt.NDArray[np.bool_]


@compiled
def encode_code(vector: Vectors, code: npt.NDArray[np.uint64]) -> None:
    """Write the signs of ``vector[d]`` into ``code[ceil(d / 64)]``."""
    code[:] = 0
    for i in range(len(vector)):
        if vector[i] > 0:
            code[i >> 6] |= np.uint64(1) << np.uint64(i & 63)


@compiled
def nearest(space: Space, query: Vectors, count: int) -> tuple[Ids, Vectors]:
    """The ``count`` usable items nearest to the unit ``query[d]``: indices and cosines, nearest first.

    Nothing is near to a zero query.
    """
    if len(query) == 0 or not query.any():
        return np.empty(0, np.int32), np.empty(0, np.float32)
    code = np.empty(space.cells.centres.shape[1], np.uint64)
    encode_code(query, code)
    most = max(LOOKED_AT, len(space.usable) // SHARE_LOOKED_AT)
    rows = nearest_codes(space, code, OVERSAMPLING * count + min(most, len(space.usable)) // SHARE, most)
    cosine = cosines(space.vectors, rows, query)
    if len(cosine) > count:
        kept = cosine >= np.partition(cosine, len(cosine) - count)[len(cosine) - count]
        rows, cosine = rows[kept], cosine[kept]
    order = np.argsort(-cosine, kind="mergesort")[:count]
    return rows[order], cosine[order]


@compiled
def nearest_codes(space: Space, code: npt.NDArray[np.uint64], count: int, most: int) -> Ids:
    """Up to ``count`` usable items whose codes are nearest to ``code``, of the about ``most`` in the nearest cells.

    Items no farther than ``limit`` are noted, and ``limit`` falls as soon as there are enough of nearer ones. It ends
    at the distance of the last that is taken. In the order in which they lie.
    """
    cells = space.cells
    limit = 64 * len(code)
    histogram = np.zeros(limit + 1, np.int32)
    within = 0
    distances = np.empty(BLOCK, np.uint16)
    noted = 0
    looked_at = 0
    room = min(len(space.usable), most + BLOCK * len(cells.held)) + BLOCK
    found = np.empty(room, np.int32)
    far = np.empty(room, np.uint16)
    for cell in cells_by_distance(cells.centres, code):
        block = cells.first[cell]
        while block >= 0:
            held = cells.held[block]
            hamming(cells.codes[block], code, distances[:held])
            for slot in range(held):
                item = cells.items[block, slot]
                if distances[slot] <= limit and space.usable[item]:
                    found[noted] = item
                    far[noted] = distances[slot]
                    noted += 1
                    histogram[distances[slot]] += 1
                    within += 1
                    while limit > 0 and within - histogram[limit] >= count:
                        within -= histogram[limit]
                        limit -= 1
            looked_at += held
            block = cells.following[block]
        if looked_at >= most:
            break
    at_limit = count - (within - histogram[limit])
    taken = 0
    for n in range(noted):
        if far[n] > limit or (far[n] == limit and at_limit <= 0):
            continue
        at_limit -= far[n] == limit
        found[taken] = found[n]
        taken += 1
    return found[:taken].copy()


@compiled
def hamming(codes: npt.NDArray[np.uint64], code: npt.NDArray[np.uint64], out: npt.NDArray[np.uint16]) -> None:
    """Write into ``out[n]`` in how many bits each of ``codes[words, n]`` differs from ``code[words]``."""
    out[:] = 0
    for word in range(len(code)):
        row = codes[word]
        wanted = code[word]
        for n in range(len(out)):
            out[n] += popcount(row[n] ^ wanted)


@compiled_fast
def cosines(vectors: Vectors, rows: Ids, query: Vectors) -> Vectors:
    """``vectors[rows] · query`` of unit vectors: float32[len(rows)]."""
    out = np.empty(len(rows), np.float32)
    for n in range(len(rows)):
        total = np.float32(0)
        row = rows[n]
        for i in range(len(query)):
            total += vectors[row, i] * query[i]
        out[n] = total
    return out
