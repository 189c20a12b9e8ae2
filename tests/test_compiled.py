"""Exact functions stay exact, whoever calls and so compiles them first."""

import numpy as np

from divrec.compiled import compiled, compiled_fast


@compiled
def rounded(value: float) -> float:
    return float(np.rint(value * 1e5) / 1e5)


@compiled_fast
def through_a_fast_one(value: float) -> float:
    return rounded(value)


def test_fast_math_is_not_inherited() -> None:
    """With it, a division by a constant would become a product, whose last digit differs."""
    assert through_a_fast_one(0.193548) == rounded(0.193548) == 0.19355
