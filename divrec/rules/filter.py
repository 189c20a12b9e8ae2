"""The rule that nothing passes: never a withdrawn, excluded or consumed item."""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.profile import Consumed


def allowed(
    rows: npt.NDArray[np.int32],
    hidden: npt.NDArray[np.bool_],
    fingerprints: npt.NDArray[np.uint32],
    consumed: Consumed,
    excluded: npt.NDArray[np.int32],
) -> npt.NDArray[np.bool_]:
    """Which of ``rows[n]`` may be shown: bool[n]. ``excluded`` are item indices."""
    out = _allowed(rows, hidden, fingerprints, consumed.array(), np.uint32(consumed.shift))
    if len(excluded):
        out &= ~np.isin(rows, excluded)
    return out


@compiled
def _allowed(
    rows: npt.NDArray[np.int32],
    hidden: npt.NDArray[np.bool_],
    fingerprints: npt.NDArray[np.uint32],
    consumed: npt.NDArray[np.uint32],
    shift: np.uint32,
) -> npt.NDArray[np.bool_]:
    out = np.empty(len(rows), np.bool_)
    last = len(consumed)
    for n in range(len(rows)):
        row = rows[n]
        wanted = fingerprints[row] >> shift
        low = 0
        high = last
        while low < high:
            middle = (low + high) // 2
            if consumed[middle] < wanted:
                low = middle + 1
            else:
                high = middle
        out[n] = not hidden[row] and not (low < last and consumed[low] == wanted)
    return out
