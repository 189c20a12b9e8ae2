"""Boosts: relevance times the factors of the rules that match, on the scale [0, 1]."""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.rules.items import Bits, RuleArrays


@compiled
def boost(rules: RuleArrays, bits: Bits, relevance: npt.NDArray[np.float32]) -> None:
    """Change ``relevance`` float32[n] (below 0: not in question) of items that match the rules ``bits``.

    If the greatest is above 1 then, all are divided by it: their order and ratios stay.
    """
    if rules.boosts == np.uint32(0):
        return
    greatest = np.float32(1)
    for n in range(len(relevance)):
        boosts = bits[n] & rules.boosts
        rule = 0
        while boosts != np.uint32(0) and relevance[n] >= 0:
            if boosts & np.uint32(1):
                relevance[n] *= rules.factors[rule]
            boosts >>= np.uint32(1)
            rule += 1
        greatest = max(greatest, relevance[n])
    for n in range(len(relevance)):
        if greatest > 1 and relevance[n] > 0:
            relevance[n] /= greatest
