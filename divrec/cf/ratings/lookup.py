"""A small open-addressing table: where in a short list a key stands."""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled

Slots = npt.NDArray[np.int16]


@compiled
def table_for(count: int) -> Slots:
    """An empty table for up to ``count`` keys, at most a sixteenth full: what is not in it is told by one look."""
    size = 16
    while size < 16 * count:
        size *= 2
    return np.full(size, -1, np.int16)


@compiled
def put(table: Slots, keys: npt.NDArray[np.uint32], slot: int) -> None:
    """Let ``keys[slot]`` be found; of equal keys the first one put is."""
    mask = len(table) - 1
    at = np.int64(keys[slot]) & mask
    while table[at] >= 0:
        if keys[table[at]] == keys[slot]:
            return
        at = (at + 1) & mask
    table[at] = slot


@compiled
def find(table: Slots, keys: npt.NDArray[np.uint32], key: np.uint32) -> int:
    """The slot of ``key``, or -1."""
    mask = len(table) - 1
    at = np.int64(key) & mask
    while table[at] >= 0:
        if keys[table[at]] == key:
            return int(table[at])
        at = (at + 1) & mask
    return -1
