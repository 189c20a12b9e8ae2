"""What compiled code reads and writes of the rating model, by item index; and the raw material of its factors."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.items import hash64

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int32]
Prints = npt.NDArray[np.uint32]

FACTOR_SPREAD = 0.1
"""Standard deviation of the factors of an item that nobody has rated."""


class RatingArrays(NamedTuple):
    """Everything on the scale of ratings. e = r - μ - b_i - b_u is the residual of a rating when it was learned."""

    counts: Doubles
    """[item] ratings."""
    sums: Doubles
    """[item] Σ r."""
    squares: Doubles
    """[item] Σ r²."""
    biases: Doubles
    """[item] Σ (r - μ - b_u)."""
    spreads: Doubles
    """[item] Σ e²."""
    neighbours: Rows
    """[item, slot] the other item of a pair, -1: empty, and so are all slots after it."""
    together: Floats
    """[item, slot] users who rated both, one after the other."""
    products: Floats
    """[item, slot] Σ e_i e_j."""
    plain_products: Floats
    """[item, slot] Σ r_i r_j."""
    raters: Prints
    """[item, slot] fingerprints of the latest users who rated it, a ring."""
    rater_residuals: Floats
    """[item, slot] their e."""
    rater_ratings: Floats
    """[item, slot] their r."""
    rated: Rows
    """[item] ratings ever put into the ring."""
    factors: Floats
    """[item, factor]."""
    gradients: Floats
    """[item, factor] Σ of squared gradients (Adagrad)."""
    totals: Doubles
    """[4] number of ratings, Σ r, number of residuals, Σ e²."""
    weights: Doubles
    """[feature] of the blend."""
    uncertainty: Doubles
    """[feature, feature] covariance of the weights, in units of the noise's variance."""


def first_factors(item_id: str, count: int) -> Floats:
    """Factors of an item before its first rating, float32[count]: random, but the same on every replica.

    A sum of four uniform numbers from a hash of the id (splitmix64); no function whose last bit differs by processor.
    """
    state = np.uint64(hash64(item_id)) + np.arange(1, 4 * count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    uniform = ((state ^ (state >> np.uint64(31))) >> np.uint64(40)).astype(np.float64) / 2.0**24 - 0.5
    a, b, c, d = uniform.reshape(4, count)
    factors: Floats = ((a + b + c + d) * (FACTOR_SPREAD * 3.0**0.5)).astype(np.float32)
    return factors
