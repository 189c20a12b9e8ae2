"""Nearest items to an interest vector: by binary codes first, then by exact cosines of the best.

The code of a vector is the sign of each dimension after centring, packed into 64-bit words; the Hamming distance of
codes orders vectors roughly by angle (Charikar, 2002). A code of 384 dimensions takes 48 bytes, the vector 1,536, and
the exact cosine decides among several times as many codes as are asked for. All codes are looked at: it is one pass
over contiguous memory, which the processor does many words at a time, and nothing has to be kept in order as items
come and go.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled, compiled_fast
from divrec.retrieve.popcount import popcount

Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]

Codes = npt.NDArray[np.uint64]
"""uint64[blocks, words, BLOCK]: the words of item i lie at [i // BLOCK, :, i % BLOCK]."""

BLOCK = 1_024
OVERSAMPLING = 4
SHARE = 512
"""One more in so many items is compared exactly: the more there are, the less a code tells."""


class Space(NamedTuple):
    """What is searched, by item index."""

    vectors: Vectors
    codes: Codes
    usable: npt.NDArray[np.bool_]


def empty_codes(capacity: int, dimensions: int) -> Codes:
    return np.zeros((blocks(capacity), (dimensions + 63) // 64, BLOCK), np.uint64)


def blocks(capacity: int) -> int:
    return -(-capacity // BLOCK)


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
    code = np.empty(space.codes.shape[1], np.uint64)
    encode_code(query, code)
    rows = nearest_codes(space, code, OVERSAMPLING * count + len(space.usable) // SHARE)
    cosine = cosines(space.vectors, rows, query)
    order = np.argsort(-cosine, kind="mergesort")[:count]
    return rows[order], cosine[order]


@compiled
def nearest_codes(space: Space, code: npt.NDArray[np.uint64], count: int) -> Ids:
    """Up to ``count`` usable items whose codes are nearest to ``code``, by index; of equal distances the first.

    Items no farther than ``limit`` are noted, and ``limit`` falls as soon as there are enough of nearer ones. It ends
    at the distance of the last that is taken.
    """
    limit = 64 * len(code)
    histogram = np.zeros(limit + 1, np.int32)
    within = 0
    distances = np.empty(BLOCK, np.uint16)
    noted = 0
    found = np.empty(len(space.usable), np.int32)
    far = np.empty(len(space.usable), np.uint16)
    for start in range(0, len(space.usable), BLOCK):
        hamming(space.codes[start // BLOCK], code, distances)
        for at in range(min(BLOCK, len(space.usable) - start)):
            if distances[at] <= limit and space.usable[start + at]:
                found[noted] = start + at
                far[noted] = distances[at]
                noted += 1
                histogram[distances[at]] += 1
                within += 1
                while limit > 0 and within - histogram[limit] >= count:
                    within -= histogram[limit]
                    limit -= 1
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
