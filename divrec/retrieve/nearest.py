"""Nearest items to an interest vector: a scan of binary codes, then exact cosines of the best.

The code of a vector is the sign of each dimension after centring, packed into 64-bit words; the Hamming distance of
codes orders vectors roughly by angle (Charikar, 2002). A scan reads 48 bytes an item at 384 dimensions instead of
1,536, and the exact cosine decides among the ``OVERSAMPLING`` times as many codes that come nearest.
"""

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from divrec.compiled import compiled, compiled_fast

Codes = npt.NDArray[np.uint64]
Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]

OVERSAMPLING = 2


@intrinsic
def popcount(typingctx, value):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Set bits of a uint64, by the processor's own instruction."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]  # noqa: ARG001
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), codegen


@compiled
def encode_code(vector: Vectors, code: Codes) -> None:
    """Write the signs of ``vector[d]`` into ``code[ceil(d / 64)]``."""
    code[:] = 0
    for i in range(len(vector)):
        if vector[i] > 0:
            code[i >> 6] |= np.uint64(1) << np.uint64(i & 63)


@compiled
def nearest_codes(codes: Codes, usable: npt.NDArray[np.bool_], query: Codes, count: int) -> Ids:
    """Up to ``count`` usable rows whose codes are nearest to ``query``, in no order.

    Counting sort by distance: one pass for the histogram, one to take all below the cut and enough at it.
    """
    n, words = codes.shape
    distances = np.zeros(n, np.int32)
    for row in range(n):
        distance = np.uint64(0)
        for word in range(words):
            distance += popcount(codes[row, word] ^ query[word])
        distances[row] = np.int32(distance) if usable[row] else np.int32(-1)
    histogram = np.zeros(64 * words + 1, np.int32)
    for row in range(n):
        if distances[row] >= 0:
            histogram[distances[row]] += 1
    cut = 0
    below = 0
    while cut < 64 * words and below + histogram[cut] < count:
        below += histogram[cut]
        cut += 1
    at_cut = count - below
    found = np.empty(count, np.int32)
    taken = 0
    for row in range(n):
        distance_ = distances[row]
        if distance_ < 0 or distance_ > cut:
            continue
        if distance_ == cut:
            if at_cut == 0:
                continue
            at_cut -= 1
        found[taken] = row
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


@compiled
def nearest(
    codes: Codes, usable: npt.NDArray[np.bool_], vectors: Vectors, query: Vectors, count: int
) -> tuple[Ids, Vectors]:
    """The ``count`` usable rows nearest to the unit ``query[d]``: indices and cosines, nearest first.

    Nothing is near to a zero query.
    """
    if len(query) == 0 or not query.any():
        return np.empty(0, np.int32), np.empty(0, np.float32)
    code = np.empty(codes.shape[1], np.uint64)
    encode_code(query, code)
    rows = nearest_codes(codes, usable, code, OVERSAMPLING * count)
    cosine = cosines(vectors, rows, query)
    order = np.argsort(-cosine, kind="mergesort")[:count]
    return rows[order], cosine[order]
