"""The rule that nothing passes: never a withdrawn, excluded or consumed item."""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled


@compiled
def allowed(
    rows: npt.NDArray[np.int32],
    hidden: npt.NDArray[np.bool_],
    fingerprints: npt.NDArray[np.uint32],
    consumed: npt.NDArray[np.uint32],
    shift: int,
    excluded: npt.NDArray[np.int32],
) -> npt.NDArray[np.bool_]:
    """Which of ``rows[n]`` may be shown: bool[n].

    ``consumed`` are the sorted fingerprints of the profile, each without its lowest ``shift`` bits; ``excluded`` are
    sorted item indices.
    """
    out = np.empty(len(rows), np.bool_)
    cut = np.uint32(shift)
    for n in range(len(rows)):
        row = rows[n]
        wanted = fingerprints[row] >> cut
        low = 0
        high = len(consumed)
        while low < high:
            middle = (low + high) >> 1
            if consumed[middle] < wanted:
                low = middle + 1
            else:
                high = middle
        out[n] = not hidden[row] and not (low < len(consumed) and consumed[low] == wanted)
    if len(excluded) > 0:
        for n in range(len(rows)):
            at = np.searchsorted(excluded, rows[n])
            if at < len(excluded) and excluded[at] == rows[n]:
                out[n] = False
    return out
