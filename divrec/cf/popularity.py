"""Decayed popularity in event time.

    p(i, t) = Σ weight · 2^(-(t - t_event) / half-life) = s(i) · 2^(-(t - base) / half-life)

Since all items decay alike, s(i) = Σ weight · 2^((t_event - base) / half-life) orders them at any time t without
touching the ones nothing happened to. The base moves on by whole half-lives before the numbers grow too large.
"""

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

HEADROOM = 500
"""Half-lives past the base after which it moves: 2^500 is far from the end of float64."""
GRAIN = 4_096
"""Times are rounded to this part of a half-life, so that every replica computes the very same number."""
NOTHING_LEFT = 2_000
"""Half-lives after which nothing is left of any float64."""

# Rounded to float32: the last bit of exp2 differs between processors, and replicas must not.
_POWERS = np.exp2(np.arange(GRAIN) / GRAIN).astype(np.float32).astype(np.float64)


class Popularity:
    """``values[item]`` is s(i), in [0, inf); comparable with each other, not over time."""

    def __init__(self, half_life_ms: float) -> None:
        self.half_life = half_life_ms
        self.base: float | None = None
        self.values: Values = np.zeros(0, np.float64)

    def shares(self, ts: npt.NDArray[np.int64]) -> Values:
        """What one unit of weight at each ``ts`` adds: float64[n]. Moves the base on if needed."""
        if self.base is None:
            self.base = float(ts[0])
        lives = (float(ts.max()) - self.base) / self.half_life
        if lives > HEADROOM:
            steps = int(lives)
            self.values = np.ldexp(self.values, -min(steps, NOTHING_LEFT))
            self.base += steps * self.half_life
        whole, part = np.divmod(np.floor((ts - self.base) / self.half_life * GRAIN), GRAIN)
        shares: Values = np.ldexp(_POWERS[part.astype(np.intp)], np.maximum(whole, -NOTHING_LEFT).astype(np.int32))
        return shares
