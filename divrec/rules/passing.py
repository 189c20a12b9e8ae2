"""What the rules take out: filters, what the user sells himself, caps and cool-downs."""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.rules.config import CAP as CAP_NAME
from divrec.rules.config import FIXED
from divrec.rules.items import Bits, Ids, RuleArrays

Flags = npt.NDArray[np.bool_]

HIDDEN = FIXED.index("hidden")
OWN = FIXED.index("own-items")
CAP = FIXED.index(CAP_NAME)
COOL_DOWN = FIXED.index("cool-down")
RULES = len(FIXED)
"""Where the rules by number begin in counts of what was taken out: before them stand ``FIXED``."""


@compiled
def matching(rules: RuleArrays, row: int, ts: int, now: int) -> np.uint32:
    """The rules with conditions that an item matches, as bits."""
    if len(rules.bits) == 0:
        return np.uint32(0)
    bits: np.uint32 = rules.bits[row]
    aged = bits & rules.aged
    rule = 0
    while aged != np.uint32(0):
        if aged & np.uint32(1) and not rules.youngest[rule] <= now - ts < rules.oldest[rule]:
            bits &= ~(np.uint32(1) << np.uint32(rule))
        aged >>= np.uint32(1)
        rule += 1
    return bits


@compiled
def bits_of(rules: RuleArrays, rows: Ids, ts: npt.NDArray[np.int64], now: int) -> Bits:
    """``matching`` of each of ``rows``."""
    bits = np.empty(len(rows), np.uint32)
    for n in range(len(rows)):
        bits[n] = matching(rules, rows[n], ts[rows[n]], now)
    return bits


@compiled
def first_of(bits: np.uint32) -> int:
    """The lowest bit that is set, of at least one."""
    rule = 0
    while bits & np.uint32(1) == np.uint32(0):
        bits >>= np.uint32(1)
        rule += 1
    return rule


@compiled
def take_out(
    may: Flags,
    rules: RuleArrays,
    rows: Ids,
    bits: Bits,
    fingerprints: Bits,
    user: np.uint32,
    prints: Bits,
    capped: Flags,
    removed: Ids,
) -> None:
    """Take out of ``may`` bool[n] what rules forbid of ``rows`` and count it in ``removed``, by the first that does.

    ``bits`` are the rules that ``rows`` match, ``fingerprints`` by item index, ``user`` is the mark of the user as a
    seller, ``prints`` and ``capped`` are as ``resting`` gives them.
    """
    for n in range(len(rows)):
        if not may[n]:
            continue
        row = rows[n]
        forbids = bits[n] & rules.filters
        by = -1
        if forbids != np.uint32(0):
            by = RULES + first_of(forbids)
        elif rules.own and rules.sellers[row] == user:
            by = OWN
        elif len(prints) > 0:
            at = np.searchsorted(prints, fingerprints[row])
            if at < len(prints) and prints[at] == fingerprints[row]:
                by = CAP if capped[at] else COOL_DOWN
        if by >= 0:
            may[n] = False
            removed[by] += 1
