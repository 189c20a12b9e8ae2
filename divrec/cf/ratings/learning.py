"""What one rating changes in the rating model: compiled, and the same on every replica."""

import numpy as np
import numpy.typing as npt

from divrec.cf.ratings.arrays import Doubles, Floats, Prints, RatingArrays, Rows
from divrec.cf.ratings.blend import blended, features, learn_blend
from divrec.cf.ratings.experts import (
    EXPERTS,
    USER_DAMPING,
    USER_DECAY,
    ask,
    item_bias,
    mean_rating,
    residuals,
    user_bias,
    user_factors,
)
from divrec.compiled import compiled

RATE = 0.1
DECAY = 0.02
"""Pull of the items' factors towards 0."""
SOFT = 0.01
"""Added to the squared gradients, so that first steps stay small."""

ALL = 100_000
"""Ratings that all teach the blend; then one in ``SAMPLE`` does: asking the experts is most of the work."""
SAMPLE = 4.0


@compiled
def predict_ratings(
    arrays: RatingArrays, user: np.uint32, items: Rows, ratings: Floats, targets: Rows, said: Doubles
) -> Doubles:
    """The blend's prediction for each of ``targets``, float64[n]; what experts say goes into ``said``[n, expert]."""
    bias = user_bias(arrays, items, ratings, USER_DECAY, USER_DAMPING)
    left = residuals(arrays, items, ratings, bias)
    factors = user_factors(arrays, items, left)
    out = np.empty(len(targets), np.float64)
    for n in range(len(targets)):
        target = targets[n]
        ask(arrays, user, target, items, ratings, bias, left, factors, said[n])
        base = mean_rating(arrays) + item_bias(arrays, target) + bias
        x = features(said[n], base, float(len(items)), float(arrays.counts[target]))
        out[n] = base + blended(arrays.weights, x)
    return out


@compiled
def learn_rating(
    arrays: RatingArrays, user: np.uint32, items: Rows, ratings: Floats, target: int, rating: float
) -> None:
    """Learn that ``user``, who gave ``ratings`` to ``items`` (newest first), now gave ``rating`` to ``target``."""
    bias = user_bias(arrays, items, ratings, USER_DECAY, USER_DAMPING)
    left = residuals(arrays, items, ratings, bias)
    factors = user_factors(arrays, items, left)
    deviation = rating - mean_rating(arrays) - bias
    residual = deviation - item_bias(arrays, target)
    if arrays.totals[0] > 0.0:  # the first rating of all has nothing to deviate from
        every = 1.0 if arrays.totals[0] < ALL else SAMPLE
        if arrays.totals[0] % every == 0.0:
            said = np.empty(len(EXPERTS), np.float64)
            ask(arrays, user, target, items, ratings, bias, left, factors, said)
            x = features(said, rating - residual, float(len(items)), float(arrays.counts[target]))
            learn_blend(arrays.weights, arrays.uncertainty, x, residual, every)
        _learn_factors(arrays, target, factors, residual)
        for a in range(len(items)):
            if items[a] != target:
                _learn_pair(arrays, target, items[a], residual * left[a], rating * ratings[a])
                _learn_pair(arrays, items[a], target, residual * left[a], rating * ratings[a])
        arrays.biases[target] += deviation
        arrays.totals[2] += 1.0
        arrays.totals[3] += residual * residual
    else:
        residual = 0.0
    arrays.spreads[target] += residual * residual
    arrays.counts[target] += 1.0
    arrays.sums[target] += rating
    arrays.squares[target] += rating * rating
    slot = arrays.rated[target] % arrays.raters.shape[1]
    arrays.raters[target, slot] = user
    arrays.rater_residuals[target, slot] = residual
    arrays.rater_ratings[target, slot] = rating
    arrays.rated[target] += 1
    arrays.totals[0] += 1.0
    arrays.totals[1] += rating


@compiled
def learn_ratings(
    arrays: RatingArrays,
    users: Prints,
    items: Rows,
    ratings: Floats,
    rated: Rows,
    rated_ratings: Floats,
    starts: Rows,
) -> None:
    """Many ratings in their order; what the user of rating n had rated stands in ``rated[starts[n]:starts[n + 1]]``."""
    for n in range(len(items)):
        begin, end = starts[n], starts[n + 1]
        learn_rating(arrays, users[n], rated[begin:end], rated_ratings[begin:end], items[n], float(ratings[n]))


@compiled
def _learn_factors(arrays: RatingArrays, item: int, user: Doubles, left: float) -> None:
    error = left
    for x in range(len(user)):
        error -= user[x] * arrays.factors[item, x]
    for x in range(len(user)):
        gradient = DECAY * arrays.factors[item, x] - error * user[x]
        arrays.gradients[item, x] += gradient * gradient
        arrays.factors[item, x] -= RATE * gradient / np.sqrt(arrays.gradients[item, x] + SOFT)


@compiled
def _learn_pair(arrays: RatingArrays, row: int, other: int, product: float, plain: float) -> None:
    """Lossy counting, as in ``divrec.cf.neighbours``; the sums wear down as the count does."""
    ids, together = arrays.neighbours, arrays.together
    weakest = -1
    lowest = np.float32(np.inf)
    for slot in range(ids.shape[1]):
        if ids[row, slot] == other or ids[row, slot] < 0:
            ids[row, slot] = other
            together[row, slot] += np.float32(1)
            arrays.products[row, slot] += product
            arrays.plain_products[row, slot] += plain
            return
        if together[row, slot] < lowest:
            lowest = together[row, slot]
            weakest = slot
    if lowest <= np.float32(1):
        ids[row, weakest] = other
        together[row, weakest] = np.float32(1)
        arrays.products[row, weakest] = product
        arrays.plain_products[row, weakest] = plain
    else:
        kept = (lowest - np.float32(1)) / lowest
        together[row, weakest] -= np.float32(1)
        arrays.products[row, weakest] *= kept
        arrays.plain_products[row, weakest] *= kept


@compiled
def drop_items(arrays: RatingArrays, dropped: npt.NDArray[np.bool_], rows: Rows) -> None:
    """Remove every neighbour with ``dropped[neighbour]`` from ``rows``; the others close up in their order."""
    ids = arrays.neighbours
    for row in rows:
        kept = 0
        for slot in range(ids.shape[1]):
            other = ids[row, slot]
            if other < 0:
                break
            if not dropped[other]:
                ids[row, kept] = other
                arrays.together[row, kept] = arrays.together[row, slot]
                arrays.products[row, kept] = arrays.products[row, slot]
                arrays.plain_products[row, kept] = arrays.plain_products[row, slot]
                kept += 1
        for slot in range(kept, ids.shape[1]):
            ids[row, slot] = -1
            arrays.together[row, slot] = 0.0
            arrays.products[row, slot] = 0.0
            arrays.plain_products[row, slot] = 0.0
