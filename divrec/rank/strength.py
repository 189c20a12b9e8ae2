"""How much diversity: as much as costs next to nothing, learned from what users turn to.

Of a sample of choices a verdict tells the place of the chosen item in two slates that were never shown: by relevance
alone, and varied with the strength ``PROBE``. Its gain is 1 / log2(1 + place), 0 where the item is not in the slate.
The part q of the gain that varied slates lose grows with the third power of the strength (docs/diversity.md), so a
slate loses as much as it would with the configured strength where nothing is known yet if

    strength = configured · (EXPECTED / q)^(1/3),   held between floor and ceiling

Each context of the blend has its q, drawn towards that of all contexts, and that towards what is expected:

    q = (lost + KNOWN · q of all) / (gain + KNOWN),   q of all = (lost' + KNOWN · EXPECTED) / (gain' + KNOWN)
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from divrec.rank.weights import COMMON, CONTEXTS

PROBE = 0.6
"""Strength of the varied slate: its loss is large enough to be seen in a few hundred choices."""
EXPECTED = 0.095
"""q where nothing is known."""
KNOWN = 100.0
"""What is expected counts as much as so much gain: with a tenth of the gain for a choice, 1,000 choices."""
FORGETTING = 0.9999
"""What is left of the older verdicts with each new one."""
PLACES = 200
GAINS = [0.0] + [float(np.float32(1 / math.log2(1 + place))) for place in range(1, PLACES + 1)]
"""By place, 0 = not in the slate; rounded, so that processors with other last bits agree."""


class Strengths:
    """``sums[context]``: gain by relevance alone, and what varied slates lost of it; the last row is of all."""

    def __init__(self) -> None:
        self.sums: npt.NDArray[np.float64] = np.zeros((CONTEXTS + 1, 2))

    def learn(self, verdicts: Sequence[bytes]) -> None:
        """Take verdicts, one after the other; those of another version are passed over."""
        for verdict in verdicts:
            if len(verdict) != 3 or verdict[0] >= CONTEXTS or max(verdict[1:]) > PLACES:
                continue
            plain, varied = GAINS[verdict[1]], GAINS[verdict[2]]
            for level in (verdict[0], COMMON):
                gain, lost = self.sums[level].tolist()
                self.sums[level] = gain * FORGETTING + plain, lost * FORGETTING + plain - varied

    def effective(self, configured: float, floor: float, ceiling: float) -> list[float]:
        """The strength that holds in each context, to three decimals."""
        if floor == ceiling:
            return [configured] * CONTEXTS
        *contexts, (gain, lost) = self.sums.tolist()
        of_all = _lost_part(gain, lost, EXPECTED)
        found = []
        for gain, lost in contexts:
            part = _lost_part(gain, lost, of_all)
            strength = configured * math.cbrt(EXPECTED / part) if part > 0 else ceiling
            found.append(round(min(max(strength, floor), ceiling), 3))
        return found


def pack_verdict(context: int, plain: int, varied: int) -> bytes:
    """Places of the chosen item, from 1; 0 where it is not in the slate. Nothing if it is in neither."""
    return bytes([context, plain, varied]) if plain or varied else b""


def _lost_part(gain: float, lost: float, expected: float) -> float:
    return (lost + KNOWN * expected) / (gain + KNOWN)
