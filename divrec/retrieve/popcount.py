"""Set bits of a word, counted by the processor's own instruction."""

from numba import types
from numba.extending import intrinsic


@intrinsic
def popcount(typingctx, value):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Set bits of a uint64."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]  # noqa: ARG001
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), codegen
