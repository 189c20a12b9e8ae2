"""The blend and its best candidates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from divrec.rank.blend import logs, normalise, parts, relevance_of, score, top
from divrec.rank.weights import FEATURES
from divrec.retrieve.signals import SIGNALS, WIDTH

FLOATS = st.floats(0, 1e6, width=32, allow_subnormal=False)
WEIGHTS = np.random.default_rng(0).normal(0.2, 0.3, FEATURES).astype(np.float32)


@settings(deadline=None)
@given(st.data(), st.integers(0, 30))
def test_the_blend_is_the_formula(data: st.DataObject, n: int) -> None:
    signals = np.zeros((n, WIDTH), np.float32)
    signals[:, : len(SIGNALS)] = data.draw(arrays(np.float32, (n, len(SIGNALS)), elements=FLOATS))
    allowed = data.draw(arrays(np.bool_, n))
    z = signals.copy()
    normalise(z, allowed)
    assert (z >= 0).all() and (z <= 1).all()
    relevance = relevance_of(score(z, WEIGHTS), allowed)
    assert (relevance[~allowed] == -1).all()
    if not allowed.any():
        return
    assert not z[:, len(SIGNALS) :].any()
    z, mine = z[:, : len(SIGNALS)], signals[allowed, : len(SIGNALS)].astype(np.float64)
    spread = np.ptp(mine, axis=0)
    exact = np.divide(mine - mine.min(axis=0), spread, out=np.zeros_like(mine), where=spread > float(np.float32(1e-30)))
    assert z[allowed] == pytest.approx(exact, abs=1e-5)
    scores = exact @ WEIGHTS[: len(SIGNALS)] + np.log1p(exact / 0.05) @ WEIGHTS[len(SIGNALS) :]
    assert relevance[allowed] == pytest.approx(np.exp((scores - scores.max()) / 2), rel=0.02)
    assert relevance[allowed].max() == 1.0


def test_logarithms() -> None:
    z = np.append(np.float32([0.0, 1.0, 0.05, 0.35, 0.75]), np.random.default_rng(0).random(100_000, np.float32) ** 4)
    found = np.empty_like(z)
    logs(z, found)
    assert found == pytest.approx(np.log1p(z.astype(np.float64) / 0.05), abs=3e-6)
    assert found[0] == 0.0


def test_what_is_not_allowed_does_not_stretch_the_scale() -> None:
    signals = np.zeros((4, WIDTH), np.float32)
    signals[:, 0] = [1, 2, 1e6, 1.5]
    normalise(signals, np.array([True, True, False, True]))
    assert signals[[0, 1, 3], 0].tolist() == [0.0, 1.0, 0.5]


def test_parts_are_what_adds_to_the_score() -> None:
    z = np.zeros((1, WIDTH), np.float32)
    z[0, : len(SIGNALS)] = np.random.default_rng(1).random(len(SIGNALS))
    positive = np.abs(WEIGHTS)
    assert parts(z[0], positive).sum() == pytest.approx(score(z, positive)[0], rel=1e-5)
    assert not parts(z[0], -positive).any()


@settings(deadline=None)
@given(st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.75, 1.0]), max_size=60), st.integers(0, 70))
def test_top_is_a_stable_sort(relevance: list[float], count: int) -> None:
    values = np.array(relevance, np.float32)
    order = [int(at) for at in np.argsort(-values, kind="stable") if values[at] >= 0]
    assert top(values, count).tolist() == order[:count]


def test_top_of_many() -> None:
    values = np.random.default_rng(0).integers(0, 500, 20_000).astype(np.float32)
    assert top(values, 100).tolist() == np.argsort(-values, kind="stable")[:100].tolist()
