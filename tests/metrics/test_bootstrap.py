"""Intervals hold what they say, and the same seed gives the same one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.metrics.bootstrap import paired_bootstrap


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(1, 9)), min_size=1, max_size=40))
def test_the_difference_lies_where_it_must(units: list[tuple[float, int]]) -> None:
    sums, tests = np.array([unit[0] for unit in units]), np.array([unit[1] for unit in units])
    found = paired_bootstrap(sums, tests, rounds=200)
    assert found.difference == pytest.approx(sums.sum() / tests.sum())
    means = sums / tests
    assert means.min() - 1e-9 <= found.low <= found.high <= means.max() + 1e-9
    assert found == paired_bootstrap(sums, tests, rounds=200)


def test_edges() -> None:
    assert all(math.isnan(value) for value in paired_bootstrap(np.zeros(3), np.zeros(3, np.int64)))
    assert paired_bootstrap(np.full(9, 2.0), np.full(9, 4)) == (0.5, 0.5, 0.5)
    with_untested = paired_bootstrap(np.array([0.0, 1.0, 3.0]), np.array([0, 1, 1]))
    assert with_untested == paired_bootstrap(np.array([1.0, 3.0]), np.array([1, 1]))


def test_how_often_the_interval_holds_the_truth() -> None:
    random = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        tests = random.integers(1, 20, 100)
        own = random.normal(0.3, 1.0, 100)  # what a user's tests have in common
        found = paired_bootstrap(tests * own, tests, rounds=400)
        held += found.low <= 0.3 <= found.high
    assert 0.90 <= held / 200 <= 0.99
