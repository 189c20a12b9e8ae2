"""How a process that holds much for long treats its memory."""

import ctypes
import gc

_M_MMAP_THRESHOLD = -3
"""From glibc's malloc.h."""
LARGE = 1 << 20
"""Bytes."""


def quiet_collector() -> None:
    """Keep the garbage collector from walking the catalogue and all profiles again and again.

    A slate makes dozens of short-lived objects without cycles; with the default thresholds their collection took more
    time than all the rest of a recommendation.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def return_large_blocks() -> None:
    """Have glibc give blocks of ``LARGE`` and more back to the system as soon as they are freed.

    Left to itself it raises that limit to the size of the largest block that was ever freed, up to 32 MiB: the copies
    for snapshots then come from the heaps of whichever threads make them, and between what else lives there their room
    is not found again. Other C libraries have no such limit, or none that can be set.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE)
