"""Paired bootstrap: how sure a difference of two models on the same tests is (Efron & Tibshirani, 1993).

Users are drawn, not tests: what one user does hangs together, and an interval that ignores it is too narrow.
"""

from typing import NamedTuple

import numpy as np

from divrec.metrics.hits import Items, Values

ROUNDS = 2_000
_AT_ONCE = 100


class Interval(NamedTuple):
    """A difference of means and the ends of its interval."""

    difference: float
    low: float
    high: float


def paired_bootstrap(
    differences: Values, tests: Items, *, seed: int = 0, rounds: int = ROUNDS, level: float = 0.95
) -> Interval:
    """The interval of Σ ``differences`` / Σ ``tests``, by its percentiles when units are drawn with replacement.

    ``differences`` float64[u] are the sums of (model - reference) over the tests of each unit (a user, or a group of
    users), ``tests`` int[u] how many tests that are. The same ``seed`` gives the same interval. All NaN without tests.
    """
    held = tests > 0
    units, counts = differences[held], tests[held].astype(np.float64)
    if not len(units):
        return Interval(float("nan"), float("nan"), float("nan"))
    random = np.random.default_rng(seed)
    means = np.empty(rounds)
    for first in range(0, rounds, _AT_ONCE):
        drawn = random.integers(0, len(units), (min(_AT_ONCE, rounds - first), len(units)))
        means[first : first + len(drawn)] = units[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(float(units.sum() / counts.sum()), float(low), float(high))
