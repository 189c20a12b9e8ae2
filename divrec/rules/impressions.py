"""What the user was shown lately and did not turn to gives way to other items.

    relevance · max(1/4, Π_q (1 - 0.4 · 2^(-q / 10)))

over the impressions of the item among the user's last ones without an answer (``Profile.shown``), q counting back from
the newest: an item loses 40 % right after it was shown, 20 % ten impressions later, 10 % after twenty; it loses more if
it was shown more often.
"""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.profile import SHOWN

LEAST = np.float32(0.25)
KEPT: npt.NDArray[np.float32] = (1.0 - 0.4 * 2.0 ** (-np.arange(SHOWN) / 10)).astype(np.float32)
"""By how many impressions ago."""


@compiled
def give_way(
    rows: npt.NDArray[np.int32], shown: npt.NDArray[np.int32], relevance: npt.NDArray[np.float32]
) -> npt.NDArray[np.int32]:
    """Take off ``relevance`` float32[n] of ``rows`` what they lose; how many impressions each had, int32[n].

    ``shown`` are items, newest first, -1 where unknown.
    """
    impressions = np.zeros(len(rows), np.int32)
    if len(shown) == 0:
        return impressions
    for i in range(len(rows)):
        kept = np.float32(1)
        for q in range(len(shown)):
            if shown[q] == rows[i]:
                impressions[i] += 1
                kept *= KEPT[q]
        relevance[i] *= max(LEAST, kept)
    return impressions
