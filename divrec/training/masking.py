"""Which tokens a masked language model must guess (Devlin et al., 2019)."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SHARE, MASKED, RANDOM = 0.15, 0.8, 0.1
"""Of the tokens that are guessed, so many become the mask and so many any other token; the rest stays as it is."""

Ids = npt.NDArray[np.int64]


class Masked(NamedTuple):
    ids: Ids
    """What the model sees."""
    guessed: npt.NDArray[np.bool_]
    """What it must guess: at least one token, if there is any but special ones."""


def mask(ids: Ids, lead: int, mask_id: int, vocabulary: Ids, random: np.random.Generator) -> Masked:
    """``ids[l]`` of a text, some of them hidden, but never the first ``lead`` and the last, which are not of the text.
    Others are drawn from ``vocabulary``."""
    open_ = np.arange(lead, len(ids) - 1)
    guessed = np.zeros(len(ids), np.bool_)
    if not len(open_):
        return Masked(ids.copy(), guessed)
    chosen = open_[random.random(len(open_)) < SHARE]
    if not len(chosen):
        chosen = random.choice(open_, 1)
    guessed[chosen] = True
    seen, chance = ids.copy(), random.random(len(chosen))
    seen[chosen[chance < MASKED]] = mask_id
    other = chosen[(chance >= MASKED) & (chance < MASKED + RANDOM)]
    seen[other] = random.choice(vocabulary, len(other))
    return Masked(seen, guessed)
