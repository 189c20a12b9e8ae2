"""Hamming distance of binary codes, by the processor's own instruction."""

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from divrec.compiled import compiled

Codes = npt.NDArray[np.uint64]


@intrinsic
def popcount(typingctx, value):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Set bits of a uint64, counted."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]  # noqa: ARG001
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), codegen


@compiled
def distance(a: Codes, b: Codes) -> int:
    """Bits in which two codes differ."""
    bits = np.uint64(0)
    for word in range(len(a)):
        bits += popcount(a[word] ^ b[word])
    return np.int64(bits)  # type: ignore[return-value]
