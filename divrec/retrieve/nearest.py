"""Nearest items to an interest vector: by binary codes first, then by exact cosines of the best.

The code of a vector is the sign of each dimension after centring, packed into 64-bit words; the Hamming distance of
codes orders vectors roughly by angle (Charikar, 2002). A code of 384 dimensions takes 48 bytes, the vector 1,536, and
the exact cosine decides among the ``OVERSAMPLING`` times as many codes that come nearest.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled, compiled_fast
from divrec.retrieve.cells import LEAST_QUOTA, SHARE, gather
from divrec.retrieve.popcount import Codes, distance

Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]

OVERSAMPLING = 2


class Space(NamedTuple):
    """What is searched, by item index; no ``centres``: everything is scanned."""

    vectors: Vectors
    codes: Codes
    usable: npt.NDArray[np.bool_]
    centres: Codes
    heads: Ids
    following: Ids


@compiled
def encode_code(vector: Vectors, code: Codes) -> None:
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
    if len(space.centres) > 0:
        quota = max(LEAST_QUOTA, len(space.codes) // SHARE)
        rows = gather(code, space.centres, space.heads, space.following, quota)
    else:
        rows = np.arange(len(space.codes)).astype(np.int32)
    rows = nearest_codes(space, rows, code, OVERSAMPLING * count)
    cosine = cosines(space.vectors, rows, query)
    order = np.argsort(-cosine, kind="mergesort")[:count]
    return rows[order], cosine[order]


@compiled
def nearest_codes(space: Space, rows: Ids, code: Codes, count: int) -> Ids:
    """Up to ``count`` usable ones of ``rows`` whose codes are nearest to ``code``, in their order.

    Counting sort by distance: one pass for the histogram, one to take all below the cut and enough at it.
    """
    distances = np.empty(len(rows), np.int32)
    histogram = np.zeros(64 * len(code) + 1, np.int32)
    for n in range(len(rows)):
        row = rows[n]
        distances[n] = distance(space.codes[row], code) if space.usable[row] else -1
        if distances[n] >= 0:
            histogram[distances[n]] += 1
    cut = 0
    below = 0
    while cut < 64 * len(code) and below + histogram[cut] < count:
        below += histogram[cut]
        cut += 1
    at_cut = count - below
    found = np.empty(count, np.int32)
    taken = 0
    for n in range(len(rows)):
        if distances[n] < 0 or distances[n] > cut:
            continue
        if distances[n] == cut:
            if at_cut == 0:
                continue
            at_cut -= 1
        found[taken] = rows[n]
        taken += 1
    return found[:taken]


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
