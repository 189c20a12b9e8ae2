"""The blend: how far to follow each expert, learned from every rating.

    r̂ = b + Σ_f w_f x_f,   x = (1, experts - b) ⊗ (1, h / (h + 20), n_i / (n_i + 20))

so that each expert's weight depends on how much is known of the user (h ratings) and the item (n_i). The weights are
those of ridge regression on all ratings so far, where old ones fade (recursive least squares as a Kalman filter whose
weights walk randomly by ``WALK``, never more uncertain than at the start).
"""

import numpy as np

from divrec.cf.ratings.arrays import Doubles
from divrec.cf.ratings.experts import EXPERTS
from divrec.compiled import compiled

KNOWN = 20.0
CONTEXTS = 3
FEATURES = CONTEXTS * (1 + len(EXPERTS))
START = 0.1
"""Variance of a weight before any rating, in units of the noise's."""
WALK = 3e-7


def first_weights() -> Doubles:
    """All experts alike, whatever is known: float64[feature]."""
    weights = np.zeros(FEATURES, np.float64)
    weights[1 : 1 + len(EXPERTS)] = 1.0 / len(EXPERTS)
    return weights


def first_uncertainty() -> Doubles:
    return np.eye(FEATURES, dtype=np.float64) * START


@compiled
def features(said: Doubles, base: float, user_count: float, item_count: float) -> Doubles:
    """x, float64[feature]."""
    width = 1 + len(said)
    out = np.empty(CONTEXTS * width, np.float64)
    out[0] = 1.0
    for n in range(len(said)):
        out[1 + n] = said[n] - base
    user_known = user_count / (user_count + KNOWN)
    item_known = item_count / (item_count + KNOWN)
    for n in range(width):
        out[width + n] = out[n] * user_known
        out[2 * width + n] = out[n] * item_known
    return out


@compiled
def blended(weights: Doubles, x: Doubles) -> float:
    """What is to be added to b."""
    total = 0.0
    for n in range(len(x)):
        total += weights[n] * x[n]
    return total


@compiled
def learn_blend(weights: Doubles, uncertainty: Doubles, x: Doubles, left: float, steps: float) -> None:
    """One step towards ``left`` = r - b, after which the weights walk ``steps`` times."""
    n = len(x)
    gain = np.zeros(n, np.float64)
    scale = 1.0
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += uncertainty[i, j] * x[j]
        gain[i] = total
        scale += total * x[i]
    error = (left - blended(weights, x)) / scale
    for i in range(n):
        weights[i] += gain[i] * error
        for j in range(i + 1):  # one half, mirrored: it stays symmetric to the last bit
            value = uncertainty[i, j] - gain[i] * gain[j] / scale
            uncertainty[i, j] = value
            uncertainty[j, i] = value
        uncertainty[i, i] = min(uncertainty[i, i] + steps * WALK, START)
