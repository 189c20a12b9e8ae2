"""The blend and its best candidates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from divrec.rank.blend import FIXED_WEIGHTS, blend, top

FLOATS = st.floats(0, 1e6, width=32, allow_subnormal=False)


@settings(deadline=None)
@given(st.data(), st.integers(0, 30))
def test_the_blend_is_the_formula(data: st.DataObject, n: int) -> None:
    signals = data.draw(arrays(np.float32, (n, 5), elements=FLOATS))
    allowed = data.draw(arrays(np.bool_, n))
    parts, relevance = blend(signals, allowed, FIXED_WEIGHTS)
    assert (relevance[~allowed] == -1).all() and not parts[~allowed].any()
    if not allowed.any():
        return
    mine = signals[allowed].astype(np.float64)
    spread = np.ptp(mine, axis=0)
    z = np.divide(mine - mine.min(axis=0), spread, out=np.zeros_like(mine), where=spread > 0)
    expected = z * FIXED_WEIGHTS / FIXED_WEIGHTS.sum()
    assert parts[allowed] == pytest.approx(expected, abs=1e-5)
    assert relevance[allowed] == pytest.approx(expected.sum(axis=1), abs=1e-5)
    assert (relevance[allowed] >= 0).all() and (relevance[allowed] <= 1 + 1e-6).all()


def test_what_is_not_allowed_does_not_stretch_the_scale() -> None:
    signals = np.array([[1, 0, 0, 0, 0], [2, 0, 0, 0, 0], [1e6, 0, 0, 0, 0]], np.float32)
    _, relevance = blend(signals, np.array([True, True, False]), FIXED_WEIGHTS)
    assert relevance.tolist() == pytest.approx([0.0, 1 / FIXED_WEIGHTS.sum(), -1.0])


@settings(deadline=None)
@given(st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.75, 1.0]), max_size=60), st.integers(0, 70))
def test_top_is_a_stable_sort(relevance: list[float], count: int) -> None:
    values = np.array(relevance, np.float32)
    order = [int(at) for at in np.argsort(-values, kind="stable") if values[at] >= 0]
    assert top(values, count).tolist() == order[:count]


def test_top_of_many() -> None:
    values = np.random.default_rng(0).integers(0, 500, 20_000).astype(np.float32)
    assert top(values, 100).tolist() == np.argsort(-values, kind="stable")[:100].tolist()
