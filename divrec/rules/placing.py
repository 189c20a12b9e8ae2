"""Pins and sponsored slots: what stands where before anything is chosen, and the finished list."""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.rules.items import Bits, Ids, RuleArrays

NONE = -1


@compiled
def placed(
    rules: RuleArrays, rows: Ids, bits: Bits, may: npt.NDArray[np.bool_], relevance: npt.NDArray[np.float32], k: int
) -> tuple[Ids, Ids]:
    """By position of the slate: which of ``rows`` stands there, and by which rule; -1 for none.

    Pins first, then sponsored slots that are left, each with the most relevant that matches (ties: the first).
    ``bits`` are the rules that ``rows`` match, ``may`` which may be shown.
    """
    at = np.full(k, NONE, np.int32)
    by = np.full(k, NONE, np.int32)
    free = may.copy()
    for n in range(len(rules.pins)):
        position = rules.pin_positions[n]
        if rules.pins[n] < 0 or position >= k:
            continue
        for candidate in range(len(rows)):
            if rows[candidate] == rules.pins[n] and free[candidate]:
                at[position], by[position] = candidate, rules.pin_rules[n]
                free[candidate] = False
    for n in range(len(rules.slots)):
        position, rule = rules.slot_positions[n], rules.slots[n]
        if position >= k or at[position] != NONE:
            continue
        best = NONE
        for candidate in range(len(rows)):
            fits = free[candidate] and bits[candidate] >> np.uint32(rule) & np.uint32(1)
            if fits and (best == NONE or relevance[candidate] > relevance[best]):
                best = candidate
        if best != NONE:
            at[position], by[position] = best, rule
            free[best] = False
    return at, by


@compiled
def arranged(at: Ids, others: Ids) -> Ids:
    """What stands where in ``at`` (-1: free) with ``others`` in the free positions; where these end all move up."""
    out = np.empty(len(at), np.int32)
    held = taken = 0
    for position in range(len(at)):
        if at[position] != NONE:
            out[held] = at[position]
            held += 1
        elif taken < len(others):
            out[held] = others[taken]
            taken += 1
            held += 1
    return out[:held]
