"""What slates and lessons are made from, packed for compiled code."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.interest.vectors import Vectors

Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


class Asks(NamedTuple):
    """What the slates of a batch are made from: lists of all asks one after the other, with where each begins."""

    history: Ids
    """The user's last items, newest first, -1 where unknown."""
    feedback: Floats
    liked: npt.NDArray[np.bool_]
    history_starts: Ids
    older: Ids
    """The items before them, newest first, where slates are to be varied: for the user's categories."""
    older_feedback: Floats
    older_starts: Ids
    shown: Ids
    """Items that the user was shown and did not turn to, newest first, -1 where unknown."""
    shown_starts: Ids
    habits: Ids
    """Items that the user turned to, -1 where unknown; none unless they may be recommended again."""
    habit_counts: Floats
    habit_starts: Ids
    rejected: Ids
    rejected_feedback: Floats
    rejected_starts: Ids
    consumed: npt.NDArray[np.uint32]
    filtered: npt.NDArray[np.bool_]
    shifts: Ids
    consumed_starts: Ids
    excluded: Ids
    excluded_starts: Ids
    reviews: Vectors
    """Centred review vectors, float32[asks, d], zero where there is none."""
    users: Ids
    """The user's own number in the model, -1 for none."""
    contexts: Ids
    """Context of the blend."""
    now: npt.NDArray[np.int64]
    k: Ids
    diversity: Floats
    repeats: bool
    """Items of the history may be recommended again."""
