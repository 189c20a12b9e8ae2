"""What each expert says a user would give an item.

μ is the mean of all ratings, r_1 … r_h are those of the user, newest first, the items a = 1 … h. The bias prediction

    b = μ + b_i + b_u,   b_i = Σ_v (r_vi - μ - b_v) / (n_i + 5),
    b_u = Σ_a .95^a (r_a - μ - b_a) / (Σ_a .95^a + 1.5)

follows the user's mood: the latest ratings count most. e_a = r_a - μ - b_a - b_u is what it leaves. The experts:

- ``mood``: μ + b_i + the same mean with .7^a and damping 0.5, the last few ratings alone
- ``steady``: μ + b_i + the same mean over all of the user's ratings alike, with damping 5
- ``item_mean``, ``user_mean``: (Σ r + 2μ) / (n + 2)
- ``factors``: b + p·q_i, where p solves (Σ_a q_a q_aᵀ + σ²/0.1 I) p = Σ_a q_a e_a: the user's factors are the ridge
  regression of the residuals on the items' factors (Paterek, 2007; only the items' are stored)
- ``item_cosine``: b + Σ_a s(i, a) e_a / (Σ_a s(i, a) + .5) over s > 0, s the damped cosine of the residuals
  (Sarwar et al., 2001)
- ``user_cosine``: b + Σ_v s(u, v) e_vi / (Σ_v s(u, v) + .5) over s > 0, v the latest raters of i, s the damped cosine
  over what both rated
- ``together``: b + Σ_a t(i, a) e_a / (Σ_a t(i, a) + .1), t the damped cosine of who rated, whatever the rating
- ``item_cosine_plain``: Σ_a s(i, a) r_a / Σ_a s(i, a), s the cosine of the ratings themselves
- ``user_cosine_plain``: Σ_v s(u, v) r_vi / Σ_v s(u, v), s the cosine of the ratings of what both rated

Without anybody to ask the plain ones say μ, the others b.
"""

import numpy as np
import numpy.typing as npt

from divrec.cf.ratings.arrays import Doubles, Floats, RatingArrays, Rows
from divrec.cf.ratings.lookup import find, put, table_for
from divrec.compiled import compiled

EXPERTS = (
    "mood",
    "item_mean",
    "user_mean",
    "factors",
    "item_cosine",
    "user_cosine",
    "together",
    "item_cosine_plain",
    "user_cosine_plain",
    "steady",
)
BIAS_DAMPING = 5.0
USER_DECAY, USER_DAMPING = 0.95, 1.5
MOOD_DECAY, MOOD_DAMPING = 0.7, 0.5
STEADY_DAMPING = 5.0
MEAN_DAMPING = 2.0
DAMPING = 20.0
"""Of cosines: similarities that rest on few ratings count less."""
SHY = 0.5
"""Added to the sum of similarities: few and weak neighbours move the prediction less."""
SHY_TOGETHER = 0.1
FACTOR_PRIOR = 0.1
"""Variance of a user's factor before any rating."""


@compiled
def mean_rating(arrays: RatingArrays) -> float:
    """μ; 0 before the first rating."""
    return float(arrays.totals[1] / arrays.totals[0]) if arrays.totals[0] > 0.0 else 0.0


@compiled
def noise(arrays: RatingArrays) -> float:
    """σ², the variance that the bias prediction leaves."""
    return float((arrays.totals[3] + 1.0) / (arrays.totals[2] + 1.0))


@compiled
def item_bias(arrays: RatingArrays, item: int) -> float:
    return float(arrays.biases[item] / (arrays.counts[item] + BIAS_DAMPING))


@compiled
def user_bias(arrays: RatingArrays, items: Rows, ratings: Floats, decay: float, damping: float) -> float:
    """The user's decayed mean deviation from μ + b_a, damped towards 0."""
    mean = mean_rating(arrays)
    total = 0.0
    weights = damping
    weight = 1.0
    for a in range(len(items)):
        total += weight * (ratings[a] - mean - item_bias(arrays, items[a]))
        weights += weight
        weight *= decay
    return total / weights


@compiled
def residuals(arrays: RatingArrays, items: Rows, ratings: Floats, bias: float) -> Doubles:
    """e_a, float64[h]."""
    mean = mean_rating(arrays)
    out = np.empty(len(items), np.float64)
    for a in range(len(items)):
        out[a] = ratings[a] - mean - item_bias(arrays, items[a]) - bias
    return out


@compiled
def solve(matrix: Doubles, vector: Doubles) -> None:
    """``vector`` becomes x with matrix·x = vector, by Cholesky; of the symmetric matrix only the lower half is read."""
    n = len(vector)
    for i in range(n):
        for j in range(i + 1):
            value = matrix[i, j]
            for k in range(j):
                value -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = np.sqrt(max(value, 1e-12)) if i == j else value / matrix[j, j]
    for i in range(n):
        for k in range(i):
            vector[i] -= matrix[i, k] * vector[k]
        vector[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            vector[i] -= matrix[k, i] * vector[k]
        vector[i] /= matrix[i, i]


@compiled
def user_factors(arrays: RatingArrays, items: Rows, left: Doubles) -> Doubles:
    """p, float64[factor], from the user's items and their residuals."""
    factors = arrays.factors
    count = factors.shape[1]
    matrix = np.zeros((count, count), np.float64)
    vector = np.zeros(count, np.float64)
    for x in range(count):
        matrix[x, x] = noise(arrays) / FACTOR_PRIOR
    for a in range(len(items)):
        item = items[a]
        for x in range(count):
            q = float(factors[item, x])
            vector[x] += q * left[a]
            for y in range(x + 1):
                matrix[x, y] += q * factors[item, y]
    solve(matrix, vector)
    return vector


@compiled
def item_similarity(arrays: RatingArrays, target: int, slot: int) -> float:
    """Damped cosine of the residuals of ``target`` and its neighbour in ``slot``."""
    other = arrays.neighbours[target, slot]
    extra = DAMPING * noise(arrays)
    spread = (arrays.spreads[target] + extra) / (arrays.counts[target] + DAMPING)
    other_spread = (arrays.spreads[other] + extra) / (arrays.counts[other] + DAMPING)
    mean_product = arrays.products[target, slot] / (arrays.together[target, slot] + DAMPING)
    return float(mean_product / np.sqrt(spread * other_spread))


@compiled
def neighbour_slots(arrays: RatingArrays, target: int, items: Rows) -> npt.NDArray[np.int32]:
    """Where in the row of ``target`` each of ``items`` stands, or -1: int32[h]."""
    row = arrays.neighbours[target].view(np.uint32)
    out = np.full(len(items), -1, np.int32)
    if len(row) == 0 or arrays.neighbours[target, 0] < 0:
        return out
    table = table_for(len(row))
    for slot in range(len(row)):
        if arrays.neighbours[target, slot] < 0:
            break
        put(table, row, slot)
    for a in range(len(items)):
        if items[a] != target:
            out[a] = find(table, row, np.uint32(items[a]))
    return out


@compiled
def ask_items(
    arrays: RatingArrays, target: int, items: Rows, ratings: Floats, left: Doubles, bias: float, out: Doubles
) -> None:
    slots = neighbour_slots(arrays, target, items)
    centred = together = plain = 0.0
    centred_weight = SHY
    together_weight = SHY_TOGETHER
    plain_weight = 0.0
    for a in range(len(items)):
        slot = slots[a]
        if slot < 0:
            continue
        similarity = item_similarity(arrays, target, slot)
        if similarity > 0.0:
            centred += similarity * left[a]
            centred_weight += similarity
        counts = (arrays.counts[target] + DAMPING) * (arrays.counts[items[a]] + DAMPING)
        similarity = arrays.together[target, slot] / np.sqrt(counts)
        together += similarity * left[a]
        together_weight += similarity
        squares = arrays.squares[target] * arrays.squares[items[a]]
        if squares > 0.0:
            similarity = arrays.plain_products[target, slot] / np.sqrt(squares)
            if similarity > 0.0:
                plain += similarity * ratings[a]
                plain_weight += similarity
    out[4] = bias + centred / centred_weight
    out[6] = bias + together / together_weight
    out[7] = plain / plain_weight if plain_weight > 0.0 else mean_rating(arrays)


@compiled
def ask_users(
    arrays: RatingArrays,
    user: np.uint32,
    target: int,
    items: Rows,
    ratings: Floats,
    left: Doubles,
    bias: float,
    out: Doubles,
) -> None:
    width = arrays.raters.shape[1]
    raters = arrays.raters[target]
    count = min(arrays.rated[target], width)
    table = table_for(count)
    for slot in range(count):
        if raters[slot] != user:
            put(table, raters, slot)
    sums = np.zeros((count, 6), np.float64)
    for a in range(len(items) if count > 0 else 0):
        item = items[a]
        if item == target:
            continue
        others, residuals_of, ratings_of = arrays.raters[item], arrays.rater_residuals[item], arrays.rater_ratings[item]
        mine, gave = left[a], float(ratings[a])
        for other in range(min(arrays.rated[item], width)):
            slot = find(table, raters, others[other])
            if slot >= 0:
                residual, rating = float(residuals_of[other]), float(ratings_of[other])
                sums[slot, 0] += mine * residual
                sums[slot, 1] += mine * mine
                sums[slot, 2] += residual * residual
                sums[slot, 3] += gave * rating
                sums[slot, 4] += gave * gave
                sums[slot, 5] += rating * rating
    extra = DAMPING * noise(arrays)
    centred = plain = plain_weight = 0.0
    centred_weight = SHY
    for slot in range(count):
        similarity = sums[slot, 0] / np.sqrt((sums[slot, 1] + extra) * (sums[slot, 2] + extra))
        if similarity > 0.0:
            centred += similarity * arrays.rater_residuals[target, slot]
            centred_weight += similarity
        squares = sums[slot, 4] * sums[slot, 5]
        if squares > 0.0 and sums[slot, 3] > 0.0:
            similarity = sums[slot, 3] / np.sqrt(squares)
            plain += similarity * arrays.rater_ratings[target, slot]
            plain_weight += similarity
    out[5] = bias + centred / centred_weight
    out[8] = plain / plain_weight if plain_weight > 0.0 else mean_rating(arrays)


@compiled
def ask(
    arrays: RatingArrays,
    user: np.uint32,
    target: int,
    items: Rows,
    ratings: Floats,
    bias: float,
    left: Doubles,
    factors: Doubles,
    out: Doubles,
) -> None:
    """Write what all experts say into ``out``, float64[expert], in the order of EXPERTS."""
    mean = mean_rating(arrays)
    base = mean + item_bias(arrays, target) + bias
    out[0] = mean + item_bias(arrays, target) + user_bias(arrays, items, ratings, MOOD_DECAY, MOOD_DAMPING)
    out[9] = mean + item_bias(arrays, target) + user_bias(arrays, items, ratings, 1.0, STEADY_DAMPING)
    out[1] = (arrays.sums[target] + MEAN_DAMPING * mean) / (arrays.counts[target] + MEAN_DAMPING)
    total = MEAN_DAMPING * mean
    for a in range(len(ratings)):
        total += ratings[a]
    out[2] = total / (len(ratings) + MEAN_DAMPING)
    out[3] = base
    for x in range(len(factors)):
        out[3] += factors[x] * arrays.factors[target, x]
    ask_items(arrays, target, items, ratings, left, base, out)
    ask_users(arrays, user, target, items, ratings, left, base, out)
