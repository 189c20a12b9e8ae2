"""Decayed popularity against its formula."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.cf.popularity import GRAIN, HEADROOM, Popularity

HALF_LIFE = 1_000_000.0


@given(st.lists(st.integers(0, 400 * 10**6), min_size=1, max_size=50))
def test_shares_are_powers_of_two_of_the_age(times: list[int]) -> None:
    popularity = Popularity(HALF_LIFE)
    shares = popularity.shares(np.array(times, np.int64))
    assert popularity.base == times[0]
    expected = 2.0 ** ((np.array(times) - times[0]) / HALF_LIFE)
    assert shares == pytest.approx(expected, rel=1.1 / GRAIN)


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=40))
def test_the_order_is_that_of_the_formula_wherever_the_base_is(times: list[int]) -> None:
    """One interaction with an item of its own at each time: later is more popular, over any number of half-lives."""
    popularity = Popularity(HALF_LIFE)
    popularity.values = np.zeros(len(times))
    for item, ts in enumerate(times):
        share = popularity.shares(np.array([ts], np.int64))[0]  # may put other values in place
        popularity.values[item] += share
        assert np.isfinite(popularity.values).all()
        assert popularity.values.max() <= 2.0 ** (HEADROOM + 1)
    latest = max(times)
    for item, ts in enumerate(times):
        if latest - ts < 400 * HALF_LIFE:
            ratio = popularity.values[item] / popularity.values[times.index(latest)]
            assert ratio == pytest.approx(2.0 ** ((ts - latest) / HALF_LIFE), rel=3.0 / GRAIN)


def test_times_that_no_half_life_reaches() -> None:
    popularity = Popularity(0.5)
    popularity.values = np.ones(3)
    for ts in (10**12, 253_402_300_799_999, 0):
        shares = popularity.shares(np.array([ts], np.int64))
        assert np.isfinite(shares).all() and 0.0 <= shares[0] <= 2.0**HEADROOM
    assert not popularity.values.any(), "nothing is left of what was"
