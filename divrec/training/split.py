"""What is trained on and what is validated on."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.errors import ConfigError

VALIDATED = 0.1
"""Of what is trained on, the latest: no model may learn from what comes after its test."""

Rows = npt.NDArray[np.int64]


class Split(NamedTuple):
    train: Rows
    valid: Rows


def by_time(ts: Sequence[int], texts: Sequence[str], *, seed: int = 0, share: float = VALIDATED) -> Split:
    """Row numbers, oldest first: the latest ``share`` of the rows is validated on, equal times shuffled by ``seed``.

    A row whose text training holds too is not validated on: logs repeat texts, and remembering is not understanding.
    Raises ConfigError if one of the two would be empty.

    >>> by_time([3, 1, 2, 4], ["c", "a", "b", "a"], share=0.5)
    Split(train=array([1, 2]), valid=array([0]))
    """
    shuffled = np.random.default_rng(seed).permutation(len(ts))
    order = shuffled[np.argsort(np.asarray(ts, np.int64)[shuffled], kind="stable")]
    first = len(order) - max(1, round(share * len(order)))
    known = {texts[row] for row in order[:first]}
    valid = np.array([row for row in order[first:] if texts[row] not in known], np.int64)
    if not first > 0 or not len(valid):
        raise ConfigError(
            f"training: expected texts to learn from and later, other ones to validate on, got {len(set(texts)):,} "
            f"different texts"
        )
    return Split(order[:first], valid)
