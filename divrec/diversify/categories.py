"""Which categories items have and the user wants, and how far a slate's are from those (Steck, RecSys 2018).

    KL(p ‖ q̃) = Σ_a p(a) ln (p(a) / q̃(a)),   q̃ = (1 - α) q + α p,   α = 0.01

p are the shares of the categories in the profile, q those in the slate, where every item with categories counts alike.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.diversify.candidates import Floats, Positions, as_floats, scaled

SMOOTHING = np.float32(0.01)
"""α, as in ``divrec.metrics.calibration``."""
ABSENT = np.float32(-np.log(SMOOTHING))
"""ln(p / (α p)): logarithms are most of what divergences cost."""


def as_profile(profile: npt.NDArray[Any] | None, categories: int) -> Floats:
    """``profile`` as the kernels take it, 0 where it is None. Raises ValueError for another shape than [categories]."""
    if profile is None:
        return np.zeros(categories, np.float32)
    wanted = as_floats(profile)
    if wanted.shape != (categories,):
        raise ValueError(f"expected profile[{categories}] as categories has it, got shape {wanted.shape}")
    return wanted


@compiled
def sparse(categories: Floats) -> tuple[Positions, Positions, Floats]:
    """The categories of item i: ``members[starts[i]:starts[i + 1]]``, with shares that sum to 1."""
    n, c = categories.shape
    starts = np.zeros(n + 1, np.int32)
    for i in range(n):
        starts[i + 1] = starts[i]
        for a in range(c):
            if not 0 <= categories[i, a] < np.inf:
                raise ValueError("categories must be finite and not negative")
            starts[i + 1] += categories[i, a] > 0
    members = np.empty(starts[n], np.int32)
    shares = np.empty(starts[n], np.float32)
    for i in range(n):
        at = starts[i]
        total = 0.0
        for a in range(c):
            if categories[i, a] > 0:
                members[at] = a
                total += categories[i, a]
                at += 1
        for e in range(starts[i], starts[i + 1]):
            shares[e] = categories[i, members[e]] / total
    return starts, members, shares


@compiled
def normalised(profile: Floats) -> Floats:
    """``profile`` with the sum 1, or all 0."""
    total = 0.0
    for value in profile:
        if not 0 <= value < np.inf:
            raise ValueError("profile must be finite and not negative")
        total += value
    wanted = np.zeros(len(profile), np.float32)
    if total > 0:
        for a in range(len(profile)):
            wanted[a] = profile[a] / total
    return wanted


@compiled
def hold(
    i: int, sign: int, starts: Positions, members: Positions, shares: Floats, have: Positions, held: Floats
) -> int:
    """Put item ``i`` into the slate's categories (or, with ``sign`` -1, take it out): 1 if it has any."""
    for e in range(starts[i], starts[i + 1]):
        have[members[e]] += sign
        held[members[e]] = held[members[e]] + sign * shares[e] if have[members[e]] > 0 else np.float32(0)
    return 1 if starts[i + 1] > starts[i] else 0


@compiled
def part(wanted: np.float32, held: np.float32, total: np.float32) -> np.float32:
    """What a category adds to the divergence: p ln(p / ((1 - α) q + α p))."""
    if held == 0:
        return np.float32(wanted * ABSENT)
    return np.float32(wanted * np.log(wanted / ((1 - SMOOTHING) * held / total + SMOOTHING * wanted)))


@compiled
def diverges(wanted: Floats, held: Floats, total: np.float32) -> np.float32:
    """KL(p ‖ q) of a slate; 0 without a profile."""
    value = np.float32(0)
    for a in range(len(wanted)):
        if wanted[a] > 0:
            value += part(wanted[a], held[a], max(total, np.float32(1)))
    return value


@compiled
def diverging(wanted: Floats, held: Floats, total: np.float32, base: Floats) -> np.float32:
    """The divergence after one more item before its own categories are counted, and in ``base`` each one's part."""
    value = np.float32(0)
    for a in range(len(wanted)):
        base[a] = part(wanted[a], held[a], total + 1) if wanted[a] > 0 else np.float32(0)
        value += base[a]
    return value


@compiled
def interests(relevance: Floats, profile: Floats, starts: Positions, members: Positions, shares: Floats) -> Floats:
    """The profile with the sum 1; if it is 0, what the relevance of the candidates says of it; else all alike."""
    wanted = normalised(profile)
    if wanted.sum() > 0:
        return wanted
    gain = scaled(relevance)
    for i in range(len(relevance)):
        for e in range(starts[i], starts[i + 1]):
            wanted[members[e]] += gain[i] * shares[e]
    return normalised(wanted)
