"""The interest vector against its formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.interest.vectors import INTEREST_HISTORY, interest_vector

VECTORS = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
ACTS = st.lists(st.tuples(st.integers(-1, 7), st.floats(-1, 1, width=32)), max_size=30)


@settings(deadline=None)
@given(ACTS, ACTS, st.booleans())
def test_the_interest_is_the_formula(
    liked: list[tuple[int, float]], rejected: list[tuple[int, float]], review: bool
) -> None:
    own = VECTORS[0] if review else np.zeros(5, np.float32)
    expected = own.astype(np.float64)
    for acts in (liked, rejected):
        for q, (row, feedback) in enumerate(acts[:INTEREST_HISTORY]):
            if row >= 0:
                expected = expected + feedback * 0.9**q * VECTORS[row]
    found = interest_vector(
        VECTORS,
        np.array([row for row, _ in liked], np.int32),
        np.array([feedback for _, feedback in liked], np.float32),
        np.array([row for row, _ in rejected], np.int32),
        np.array([feedback for _, feedback in rejected], np.float32),
        own,
    )
    norm = float(np.linalg.norm(expected))
    if norm > 1e-3:
        assert found == pytest.approx(expected / norm, abs=1e-4 / norm)
        assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-5)
    assert np.isfinite(found).all()


def test_nothing_to_go_by() -> None:
    none, nothing = np.zeros(0, np.int32), np.zeros(0, np.float32)
    assert not interest_vector(VECTORS, none, nothing, none, nothing, np.zeros(5, np.float32)).any()
    assert interest_vector(np.zeros((8, 0), np.float32), none, nothing, none, nothing, nothing).shape == (0,)
