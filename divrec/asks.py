"""What slates and lessons are made from, packed for compiled code."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.interest.vectors import Vectors

Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


LISTS = HISTORY, OLDER, SHOWN, HABITUAL, REJECTED, EXCLUDED = range(6)
"""Of each ask's items: the user's last interactions, newest first; those before them, newest first, where slates are to
be varied (for the user's categories); what the user was shown and did not turn to, newest first; what the user turned
to, in any order, where it may be recommended again; rejected items, newest first; excluded ones, sorted, all known."""


class Asks(NamedTuple):
    """What the slates of a batch are made from. Of list l, ask n has ``items[starts[l, n] : starts[l, n + 1]]``."""

    items: Ids
    """Item indices, -1 where unknown: one list of all asks after the other."""
    values: Floats
    """Beside ``items``: feedback in the history, before it and of rejections; counts of habits; else nothing."""
    starts: Ids
    """int32[len(LISTS), asks + 1]."""
    liked: npt.NDArray[np.bool_]
    """Beside ``items`` as far as the histories go, which come first."""
    consumed: npt.NDArray[np.uint32]
    filtered: Ids
    """1 where ``consumed`` is a filter, else 0."""
    shifts: Ids
    consumed_starts: Ids
    own_hidden: npt.NDArray[np.uint32]
    """What the user does not want to see again, as ``consumed``."""
    own_hidden_filtered: Ids
    own_hidden_starts: Ids
    impressions: npt.NDArray[np.uint32]
    """The log of impressions, where rules look at it."""
    impression_starts: Ids
    sellers: npt.NDArray[np.uint32]
    """The mark of the user as a seller."""
    reviews: Vectors
    """Centred review vectors, float32[asks, d], zero where there is none."""
    users: Ids
    """The user's own number in the model, -1 for none."""
    contexts: Ids
    """Context of the blend."""
    now: npt.NDArray[np.int64]
    k: Ids
    diversity: Floats
    keywords: npt.NDArray[np.uint32]
    """Hashes of the users' keywords."""
    lifts: Floats
    """Their lifts."""
    keyword_starts: Ids
    repeats: bool
    """Items of the history may be recommended again."""
