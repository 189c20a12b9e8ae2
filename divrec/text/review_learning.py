"""The review head's mathematics: compiled, exact, and the same on every replica.

Two linear models share their features: one of the log odds that a review is of a like, one of its stars.

    s = b + β_user / 2 + w · x + Σ_j u_j / √n
    x = (v - m) / ρ      the review's vector, less the mean m of all before it, in units of their deviation ρ
    j                    its n hashed words and pairs of words

Weights have a normal distribution each, from N(0, prior) on: w with its whole covariance, because its features depend
on each other, the many others with their variances alone. A rated review is one step of the extended Kalman filter
(of recursive least squares for the stars): with e = y - ŷ, the likelihood's curvature h and S = Var s,

    weight += Cov(weight, s) · e / (1 + h S),      h = p (1 - p) for likes, 1 for stars
    ŷ = σ(s / √(1 + π S / 8)) for likes (what is not known well is said with less confidence), s for stars.

Thereafter variances grow by a little ("walk"), so that what was learned long ago may be learned anew. How the two are
to be believed is learned beside them: p(like) = σ(c · (1, log odds, stars)), of the same kind. No BLAS, no sums in
another order.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Hashes = npt.NDArray[np.uint32]

LIKES, STARS = 0, 1
VECTOR_PRIOR = (8.0, 2.0)
"""Variance of w before the first rating, for likes and for stars."""
WORD_PRIOR = (6.0, 2.0)
BIAS_PRIOR = (2.0, 2.0)
USER_SHARE = 0.5
"""What the user's weight counts: its prior is that of a word."""
WALK = 1e-6
"""Growth of the variances of w with each review, of a word's or user's with each review that has it."""
CURVATURE = 1e-4
"""Least h: however sure it was, a review teaches something."""
FIRST_BLEND = (0.0, 1.0, 0.3)
BLEND_PRIOR = 0.1
BINS = 8
"""Parts of the scale of stars whose errors are counted apart."""
ERROR_DECAY = 0.995
"""What an error of a bin keeps of its weight when the next one comes."""
ERROR_PRIOR = (4.0, 1.0)
"""Error of that many reviews that is assumed at first, and its square in stars²."""

LOG_2 = 0.6931471805599453
LOG_2_HIGH, LOG_2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
"""Of LOG_2, the first with zeros at the end: it has exact products with small integers."""
POWERS: Doubles = np.ldexp(1.0, np.arange(-64, 65))


class HeadArrays(NamedTuple):
    """What does not depend on the text model. [target] is LIKES, STARS."""

    words: Floats
    """[target, bucket] u."""
    word_variances: Floats
    users: Floats
    """[target, bucket] β."""
    user_variances: Floats
    biases: Doubles
    """[target] b."""
    bias_variances: Doubles
    blend: Doubles
    """[3] c."""
    blend_covariance: Doubles
    """[3, 3]."""
    errors: Doubles
    """[bin, 2] number of rated reviews that were predicted there, Σ of their squared errors."""


class SpaceArrays(NamedTuple):
    """What belongs to the vectors of one text model, of dimension d."""

    mean: Doubles
    """[d] m."""
    spread: Doubles
    """[2] number of vectors, Σ |v - m|²."""
    weights: Doubles
    """[target, d] w."""
    covariance: Doubles
    """[target, d, d]."""


def first_arrays(buckets: int, user_buckets: int) -> HeadArrays:
    """``buckets`` and ``user_buckets`` are powers of two."""
    priors = np.array(WORD_PRIOR, np.float32)[:, None]
    return HeadArrays(
        words=np.zeros((2, buckets), np.float32),
        word_variances=np.tile(priors, buckets),
        users=np.zeros((2, user_buckets), np.float32),
        user_variances=np.tile(priors, user_buckets),
        biases=np.zeros(2),
        bias_variances=np.array(BIAS_PRIOR),
        blend=np.array(FIRST_BLEND),
        blend_covariance=np.eye(len(FIRST_BLEND)) * BLEND_PRIOR,
        errors=np.zeros((BINS, 2)),
    )


def first_space(dimensions: int) -> SpaceArrays:
    return SpaceArrays(
        mean=np.zeros(dimensions),
        spread=np.zeros(2),
        weights=np.zeros((2, dimensions)),
        covariance=np.array(VECTOR_PRIOR)[:, None, None] * np.eye(dimensions),
    )


@compiled
def _centred(space: SpaceArrays, vector: Floats) -> Doubles:
    """x; without a deviation yet, the difference itself."""
    out = np.empty(len(vector), np.float64)
    for n in range(len(vector)):
        out[n] = vector[n] - space.mean[n]
    if space.spread[0] > 1.0 and space.spread[1] > 0.0:
        deviation = np.sqrt(space.spread[1] / (space.spread[0] - 1.0))
        for n in range(len(vector)):
            out[n] /= deviation
    return out


@compiled
def _gain(covariance: Doubles, x: Doubles, out: Doubles) -> float:
    """Covariance · x into ``out``; x · covariance · x."""
    n = len(x)
    for j in range(n):
        out[j] = 0.0
    for i in range(n):  # by rows: each number of ``out`` is a sum in one order, and all are computed side by side
        factor = x[i]
        for j in range(n):
            out[j] += covariance[i, j] * factor
    total = 0.0
    for j in range(n):
        total += out[j] * x[j]
    return total


@compiled
def _step(weights: Doubles, covariance: Doubles, gain: Doubles, error: float, curvature: float, scale: float) -> None:
    n = len(gain)
    shrink = np.sqrt(curvature / scale)
    for j in range(n):
        weights[j] += gain[j] * error / scale
        gain[j] *= shrink
    for i in range(n):
        factor = gain[i]
        for j in range(n):
            covariance[i, j] -= factor * gain[j]  # the product commutes: it stays symmetric to the last bit


@compiled
def _widen(covariance: Doubles, prior: float) -> None:
    for n in range(len(covariance)):
        covariance[n, n] = min(covariance[n, n] + WALK, prior)


@compiled
def _asked(
    arrays: HeadArrays, space: SpaceArrays, target: int, user: int, words: Hashes, x: Doubles, gain: Doubles
) -> tuple[float, float]:
    """s and its variance; what w has to do with s goes into ``gain``."""
    value, variance = arrays.biases[target], arrays.bias_variances[target]
    if len(x) > 0:
        variance += _gain(space.covariance[target], x, gain)
        for n in range(len(x)):
            value += space.weights[target, n] * x[n]
    if user >= 0:
        at = user & (arrays.users.shape[1] - 1)
        value += USER_SHARE * arrays.users[target, at]
        variance += USER_SHARE * USER_SHARE * arrays.user_variances[target, at]
    mask = np.int64(arrays.words.shape[1] - 1)
    total = spread = 0.0
    for word in words:
        at = np.int64(word) & mask
        total += arrays.words[target, at]
        spread += arrays.word_variances[target, at]
    if len(words) > 0:
        value += total / np.sqrt(float(len(words)))
        variance += spread / len(words)
    return value, variance


@compiled
def _taught(
    arrays: HeadArrays,
    space: SpaceArrays,
    target: int,
    user: int,
    words: Hashes,
    gain: Doubles,
    error: float,
    curvature: float,
    variance: float,
) -> None:
    scale = 1.0 + curvature * variance
    if len(gain) > 0:
        _step(space.weights[target], space.covariance[target], gain, error, curvature, scale)
        _widen(space.covariance[target], VECTOR_PRIOR[target])
    before = arrays.bias_variances[target]
    arrays.biases[target] += before * error / scale
    arrays.bias_variances[target] = before - before * before * curvature / scale + WALK
    if user >= 0:
        at = np.int64(user & (arrays.users.shape[1] - 1))
        _teach_one(arrays.users, arrays.user_variances, target, at, USER_SHARE, error, curvature, scale)
    mask = np.int64(arrays.words.shape[1] - 1)
    share = 1.0 / np.sqrt(float(max(1, len(words))))
    for word in words:
        at = np.int64(word) & mask
        _teach_one(arrays.words, arrays.word_variances, target, at, share, error, curvature, scale)


@compiled
def _teach_one(
    weights: Floats,
    variances: Floats,
    target: int,
    at: np.int64,
    share: float,
    error: float,
    curvature: float,
    scale: float,
) -> None:
    before = float(variances[target, at])
    gain = before * share
    weights[target, at] += gain * error / scale
    variances[target, at] = min(max(before - gain * gain * curvature / scale, 0.0) + WALK, WORD_PRIOR[target])


@compiled
def logistic(value: float) -> float:
    """σ to about the last bit, the same bits everywhere: the exponential of C libraries is not."""
    power = min(max(-value, -40.0), 40.0)
    whole = np.floor(power / LOG_2 + 0.5)
    rest = (power - whole * LOG_2_HIGH) - whole * LOG_2_LOW  # at most log(2) / 2
    total = 1.0
    for n in range(14, 0, -1):
        total = 1.0 + total * rest / n
    return float(1.0 / (1.0 + total * POWERS[int(whole) + 64]))


@compiled
def _modest(value: float, variance: float) -> float:
    return float(value / np.sqrt(1.0 + np.pi * variance / 8.0))


@compiled
def _blended(blend: Doubles, odds: float, stars: float) -> float:
    return float(blend[0] + blend[1] * odds + blend[2] * stars)


@compiled
def error_bin(stars: float) -> int:
    return min(max(int((stars + 2.0) / 4.0 * BINS), 0), BINS - 1)


@compiled
def expected_error(errors: Doubles, stars: float) -> float:
    """Root of the mean squared error in stars of predictions near ``stars``, where few were made that of all."""
    count = total = 0.0
    for n in range(BINS):
        count += errors[n, 0]
        total += errors[n, 1]
    overall = (total + ERROR_PRIOR[0] * ERROR_PRIOR[1]) / (count + ERROR_PRIOR[0])
    at = error_bin(stars)
    return float(np.sqrt((errors[at, 1] + ERROR_PRIOR[0] * overall) / (errors[at, 0] + ERROR_PRIOR[0])))


@compiled
def predict_review(
    arrays: HeadArrays, space: SpaceArrays, user: int, words: Hashes, vector: Floats
) -> tuple[float, float, float]:
    """p(like); stars from the middle, within [-2, 2]; their expected error.

    ``user`` -1: unknown; empty ``vector``: none.
    """
    x = _centred(space, vector)
    gain = np.empty(len(x), np.float64)
    value, variance = _asked(arrays, space, LIKES, user, words, x, gain)
    stars, _ = _asked(arrays, space, STARS, user, words, x, gain)
    stars = min(max(stars, -2.0), 2.0)
    likes = logistic(_blended(arrays.blend, _modest(value, variance), stars))
    return likes, stars, expected_error(arrays.errors, stars)


@compiled
def learn_review(
    arrays: HeadArrays, space: SpaceArrays, user: int, words: Hashes, vector: Floats, like: float, told: float
) -> None:
    """``told`` are the stars from the middle, -2 to 2; ``like`` is 1 or 0."""
    x = _centred(space, vector)
    gain = np.empty(len(x), np.float64)
    value, variance = _asked(arrays, space, LIKES, user, words, x, gain)
    odds = _modest(value, variance)
    p = logistic(odds)
    _taught(arrays, space, LIKES, user, words, gain, like - p, max(p * (1.0 - p), CURVATURE), variance)
    stars, variance = _asked(arrays, space, STARS, user, words, x, gain)
    _taught(arrays, space, STARS, user, words, gain, told - stars, 1.0, variance)
    stars = min(max(stars, -2.0), 2.0)
    _learn_blend(arrays, odds, stars, like)
    at = error_bin(stars)
    arrays.errors[at, 0] = arrays.errors[at, 0] * ERROR_DECAY + 1.0
    arrays.errors[at, 1] = arrays.errors[at, 1] * ERROR_DECAY + (told - stars) * (told - stars)
    if len(vector) > 0:
        _learn_mean(space, vector)


@compiled
def _learn_blend(arrays: HeadArrays, odds: float, stars: float, like: float) -> None:
    x = np.array([1.0, odds, stars])
    gain = np.empty(len(x), np.float64)
    variance = _gain(arrays.blend_covariance, x, gain)
    p = logistic(_blended(arrays.blend, odds, stars))
    curvature = max(p * (1.0 - p), CURVATURE)
    _step(arrays.blend, arrays.blend_covariance, gain, like - p, curvature, 1.0 + curvature * variance)
    _widen(arrays.blend_covariance, BLEND_PRIOR)


@compiled
def _learn_mean(space: SpaceArrays, vector: Floats) -> None:
    space.spread[0] += 1.0
    count = space.spread[0]
    total = 0.0
    for n in range(len(vector)):
        difference = vector[n] - space.mean[n]
        space.mean[n] += difference / count
        total += difference * (vector[n] - space.mean[n])
    space.spread[1] += total
