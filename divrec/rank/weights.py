"""The blend's weights, learned online.

There are two for each signal (``blend``), in common and, added to them, per context: how long the user's history is,
and whether a session begins. A lesson is the gradient g of one choice (``lesson``); both levels take an online
Newton step with it (Hazan, Agarwal & Kale, 2007):

    P ← (P - P g gᵀ P / (1 + gᵀ P g)) / φ,   w ← w + P g / (1 + gᵀ P g)   with the P of before

so that signals which say the same share one weight, and no learning rate is to be tuned. φ forgets; P never exceeds
where it began, or it would grow without end along signals that are always silent.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.retrieve.signals import FRESH, SIGNALS

Wide = npt.NDArray[np.float64]

FEATURES = 2 * len(SIGNALS)
HISTORIES = (8, 32, 96)
"""Interactions in the history from which on it is in the next context."""
SESSION_MS = 1_800_000
CONTEXTS = 2 * (len(HISTORIES) + 1)
COMMON = CONTEXTS
"""Row of the weights that all contexts share."""
PRIOR = 0.3
PRIOR_FRESH = 0.1
SPREAD = 0.3
"""P at the beginning, in its diagonal."""
FORGETTING = 0.9998
LONGEST = 16.0
"""No true lesson has a larger number: features are in [0, 1] and [0, 3.1]."""


class BlendWeights:
    """``values[context, feature]`` and ``spread[context, feature, feature]`` (P); the last row is in common."""

    def __init__(self) -> None:
        self.values: Wide = np.zeros((CONTEXTS + 1, FEATURES))
        self.values[COMMON] = PRIOR
        self.values[COMMON, [FRESH, len(SIGNALS) + FRESH]] = PRIOR_FRESH
        self.spread: Wide = np.tile(SPREAD * np.eye(FEATURES), (CONTEXTS + 1, 1, 1))

    def learn(self, lessons: Sequence[bytes]) -> None:
        """Take lessons, one after the other; those of another version, with other signals, are passed over."""
        taken = [lesson for lesson in lessons if len(lesson) == 1 + 4 * FEATURES and lesson[0] < CONTEXTS]
        if taken:
            contexts = np.array([lesson[0] for lesson in taken], np.int32)
            gradients = np.frombuffer(b"".join(lesson[1:] for lesson in taken), "<f4").reshape(-1, FEATURES)
            steps(self.values, self.spread, contexts, gradients.astype(np.float64))

    def effective(self) -> npt.NDArray[np.float32]:
        """The weights that hold in each context, float32[CONTEXTS, FEATURES]."""
        found: npt.NDArray[np.float32] = (self.values[:CONTEXTS] + self.values[COMMON]).astype(np.float32)
        return found

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.spread.nbytes


def pack_lesson(context: int, gradient: npt.NDArray[np.floating[Any]]) -> bytes:
    return bytes([context]) + gradient.astype("<f4").tobytes()


def is_lesson(data: bytes) -> bool:
    """Whether ``data`` may be applied: nothing, or a context and numbers of the size that gradients have."""
    if not data:
        return True
    if len(data) % 4 != 1:
        return False
    numbers = np.frombuffer(data, "<f4", offset=1)
    return bool((np.abs(numbers) <= LONGEST).all())  # NaN is not


def context_of(history: int, pause_ms: float) -> int:
    """The context of a user with so many interactions in the history, the last of them so long ago."""
    length = sum(history >= least for least in HISTORIES)
    return 2 * length + (pause_ms > SESSION_MS)


@compiled
def steps(values: Wide, spread: Wide, contexts: npt.NDArray[np.int32], gradients: Wide) -> None:
    for n in range(len(contexts)):
        step(values, spread, contexts[n], gradients[n])
        step(values, spread, COMMON, gradients[n])


@compiled
def step(values: Wide, spread: Wide, level: int, gradient: Wide) -> None:
    """One Newton step of one level. Plain loops: a library's sums differ between processors."""
    n = len(gradient)
    p = spread[level]
    moved = np.zeros(n)
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += p[i, j] * gradient[j]
        moved[i] = total
    length = 1.0
    for i in range(n):
        length += gradient[i] * moved[i]
    for i in range(n):
        values[level, i] += moved[i] / length
        for j in range(i + 1):
            p[i, j] = (p[i, j] - moved[i] * moved[j] / length) / FORGETTING
            p[j, i] = p[i, j]
    for i in range(n):
        if p[i, i] > SPREAD:
            shrink = math.sqrt(SPREAD / p[i, i])
            for j in range(n):
                p[i, j] *= shrink
                p[j, i] *= shrink
