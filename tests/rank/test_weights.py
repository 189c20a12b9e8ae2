"""The blend's weights: what a lesson does to them, and that nothing runs away."""

import math

import numpy as np
import pytest

from divrec.rank.weights import (
    COMMON,
    CONTEXTS,
    FEATURES,
    FORGETTING,
    PRIOR,
    SPREAD,
    BlendWeights,
    context_of,
    is_lesson,
    pack_lesson,
    step,
)


def test_a_step_is_the_formula() -> None:
    random = np.random.default_rng(0)
    values, spread = np.zeros((1, 6)), SPREAD * np.eye(6)[None]
    p, w = spread[0].copy(), np.zeros(6)
    for _ in range(200):
        g = random.normal(size=6)
        step(values, spread, 0, g)
        w += p @ g / (1 + g @ p @ g)
        p = (p - np.outer(p @ g, p @ g) / (1 + g @ p @ g)) / FORGETTING
        scale = np.sqrt(np.minimum(1, SPREAD / np.diag(p)))
        p *= np.outer(scale, scale)
        assert values[0] == pytest.approx(w, rel=1e-9) and spread[0] == pytest.approx(p, rel=1e-9)


def test_lessons_teach_their_context_and_all() -> None:
    blend = BlendWeights()
    before = blend.effective()
    gradient = np.zeros(FEATURES)
    gradient[3] = 0.5
    for _ in range(20):
        blend.learn([pack_lesson(2, gradient)])
    gained = blend.effective() - before
    assert gained[2, 3] > gained[0, 3] > 0
    assert not np.delete(gained, 3, axis=1).any()
    assert blend.values[COMMON, 5] == PRIOR and not blend.values[:CONTEXTS, 5].any()


def test_what_never_speaks_never_grows() -> None:
    blend, random = BlendWeights(), np.random.default_rng(0)
    for n in range(30_000):
        gradient = random.normal(size=FEATURES) * 0.1
        gradient[7] = 0.0
        blend.learn([pack_lesson(n % CONTEXTS, gradient)])
    assert np.isfinite(blend.spread).all() and np.abs(blend.values).max() < 5.0
    for p in blend.spread:
        assert np.diag(p).max() <= SPREAD * (1 + 1e-9) and np.linalg.eigvalsh(p).min() > 0


@pytest.mark.parametrize("lesson", [b"", bytes([CONTEXTS]) + bytes(4 * FEATURES), bytes(1 + 4 * (FEATURES - 2))])
def test_lessons_of_other_versions_are_passed_over(lesson: bytes) -> None:
    assert is_lesson(lesson)
    blend = BlendWeights()
    blend.learn([lesson])
    assert (blend.values == BlendWeights().values).all()


def test_what_is_no_lesson() -> None:
    one = pack_lesson(0, np.zeros(FEATURES))
    for bad in (
        b"\0\0",
        one[:-1],
        pack_lesson(0, np.full(FEATURES, np.nan)),
        pack_lesson(0, np.full(FEATURES, np.inf)),
    ):
        assert not is_lesson(bad)


def test_contexts() -> None:
    assert [context_of(n, 0.0) for n in (0, 7, 8, 31, 32, 95, 96, 500)] == [0, 0, 2, 2, 4, 4, 6, 6]
    assert [context_of(10, pause) for pause in (-5.0, 1_800_000.0, 1_800_001.0, math.inf)] == [2, 2, 3, 3]
