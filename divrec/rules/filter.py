"""The rule that nothing passes: never a withdrawn, excluded or consumed item."""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.consumed import Words, holds

TABLE = 4_096
MASK = np.uint32(TABLE - 1)


@compiled
def allowed(
    rows: npt.NDArray[np.int32],
    hidden: npt.NDArray[np.bool_],
    fingerprints: npt.NDArray[np.uint32],
    consumed: Words,
    filtered: bool,
    shift: int,
    excluded: npt.NDArray[np.int32],
) -> npt.NDArray[np.bool_]:
    """Which of ``rows[n]`` may be shown: bool[n].

    ``consumed``, ``filtered`` and ``shift`` are the parts of the profile's ``Consumed``; ``excluded`` are sorted item
    indices.
    """
    out = np.empty(len(rows), np.bool_)
    cut = np.uint32(shift)
    # Most are not in the list: a table of last bits, where it is much larger than the list, says so at once.
    listed = not filtered and len(consumed) < TABLE // 2
    table = np.zeros(TABLE, np.bool_)
    if listed:
        for word in consumed:
            table[word & MASK] = True
    for n in range(len(rows)):
        row = rows[n]
        wanted = fingerprints[row] >> cut
        may_be = not listed or table[wanted & MASK]
        out[n] = not hidden[row] and not (may_be and holds(consumed, filtered, wanted))
    if len(excluded) > 0:
        for n in range(len(rows)):
            at = np.searchsorted(excluded, rows[n])
            if at < len(excluded) and excluded[at] == rows[n]:
                out[n] = False
    return out
