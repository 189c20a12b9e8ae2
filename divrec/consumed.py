"""Which items a user has consumed: a bounded set that never misses one."""

from bisect import bisect_left

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from divrec.compiled import compiled
from divrec.items import fingerprint

Words = npt.NDArray[np.uint32]

PROBES = 4
"""Bits of a filter for one item; more would hide fewer others at twice the bound and more of them at ten times."""

_MULTIPLIER = np.uint64(6_364_136_223_846_793_005)
_INCREMENT = np.uint64(1_442_695_040_888_963_407)


class Consumed(Struct, array_like=True):
    """The sorted 32-bit fingerprints of consumed items, or when they are too many, a Bloom filter over them.

    The filter takes the place of the full list and has its size; nothing leaves it. With n items in b fingerprints'
    room it holds another item by mistake with a probability of about (1 - exp(-PROBES · n / 32b)) ^ PROBES, the list
    with n / 2³² (Bloom, 1970).
    """

    packed: bytes = b""
    shift: int = 0
    """Lowest bits that the fingerprints lack, in sets of before there were filters."""
    filtered: bool = False

    def words(self) -> Words:
        return np.frombuffer(self.packed, "<u4")

    def __contains__(self, item_id: str) -> bool:
        return bool(holds(self.words(), self.filtered, fingerprint(item_id) >> self.shift))

    def added(self, item_id: str, bound: int) -> "Consumed":
        """This set and ``item_id``, in 4 · ``bound`` bytes; a filter keeps the size that it was made with."""
        wanted = fingerprint(item_id) >> self.shift
        if not self.filtered and len(self.packed) < 4 * bound:
            listed = memoryview(self.packed).cast("I")
            at = bisect_left(listed, wanted)
            if at < len(listed) and listed[at] == wanted:
                return self
            data = self.packed[: 4 * at] + wanted.to_bytes(4, "little") + self.packed[4 * at :]
            return Consumed(data, self.shift)
        words = self.words()
        if holds(words, self.filtered, wanted):
            return self
        bits = words.copy() if self.filtered else np.zeros(bound, "<u4")
        mark(bits, np.append(words[:0] if self.filtered else words, np.uint32(wanted)))
        return Consumed(bits.tobytes(), self.shift, True)


@compiled
def holds(words: Words, filtered: bool, wanted: int | np.uint32) -> bool:
    """Whether a list or a filter holds a fingerprint."""
    if filtered:
        state = np.uint64(wanted)
        for _ in range(PROBES):
            state = _next(state)
            bit = _bit(state, len(words))
            if (words[bit >> 5] >> np.uint32(bit & 31)) & np.uint32(1) == 0:
                return False
        return True
    low = 0
    high = len(words)
    while low < high:
        middle = (low + high) >> 1
        if words[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low < len(words) and words[low] == wanted


@compiled
def mark(words: Words, prints: Words) -> None:
    """Put ``prints`` into the filter ``words``."""
    for n in range(len(prints)):
        state = np.uint64(prints[n])
        for _ in range(PROBES):
            state = _next(state)
            bit = _bit(state, len(words))
            words[bit >> 5] |= np.uint32(1) << np.uint32(bit & 31)


@compiled
def _next(state: np.uint64) -> np.uint64:
    """A step of a linear congruential generator modulo 2⁶⁴ (Knuth)."""
    return state * _MULTIPLIER + _INCREMENT


@compiled
def _bit(state: np.uint64, words: int) -> int:
    """Its upper half, scaled to the number of bits."""
    return np.int64(((state >> np.uint64(32)) * np.uint64(32 * words)) >> np.uint64(32))  # type: ignore[return-value]
