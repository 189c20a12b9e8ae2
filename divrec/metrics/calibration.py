"""Calibration: how far the categories of a slate are from those the user turned to (Steck, 2018).

    KL(p ‖ q̃) = Σ_g p(g) ln (p(g) / q̃(g)),   q̃ = (1 - α) q + α p,   α = 0.01

p are the shares of the categories in the user's profile, q those in the slate.
"""

import numpy as np
import numpy.typing as npt

from divrec.metrics.hits import Values

SMOOTHING = 0.01
"""α: keeps the divergence finite where the slate lacks a category."""


def calibration(profile: npt.NDArray[np.floating], slate: npt.NDArray[np.floating]) -> Values:
    """Nats, float64[n] in [0, ln 1/α = 4.6], lower is better, 0 = the same shares.

    ``profile`` and ``slate`` float[n, categories] are not negative and need not sum to 1. NaN where either is all 0.
    """
    p, q = _shares(profile), _shares(slate)
    smooth = (1.0 - SMOOTHING) * q + SMOOTHING * p
    ratio = np.divide(p, smooth, out=np.ones_like(p), where=p > 0)
    values: Values = np.maximum((p * np.log(ratio)).sum(axis=1), 0.0)
    return values


def _shares(counts: npt.NDArray[np.floating]) -> Values:
    total = counts.sum(axis=1, keepdims=True, dtype=np.float64)
    total[total <= 0] = np.nan
    shares: Values = counts / total
    return shares
