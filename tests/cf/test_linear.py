"""The linear model against its closed form, and when it is fitted."""

import numpy as np
import pytest

from divrec.cf.item_item import KINDS
from divrec.cf.linear import CORE, FIRST, LEAST, Linear, closed_form, gram
from divrec.cf.neighbours import NeighbourTable


def test_the_closed_form() -> None:
    random = np.random.default_rng(0)
    x = (random.random((300, 40)) < 0.2).astype(np.float64)
    g = x.T @ x
    inverse = np.linalg.inv(g + 50 * np.eye(40))
    expected = np.eye(40) - inverse / np.diag(inverse)
    assert closed_form(g.astype(np.float32), 50.0) == pytest.approx(expected, abs=1e-4)


def test_what_is_not_positive_is_damped_more() -> None:
    g = np.array([[1, 900], [900, 1]], np.float32)
    weights = closed_form(g, 200.0)
    assert np.isfinite(weights).all() and 0 < weights[0, 1] < 1


def test_a_pair_that_one_row_let_go_of_counts_as_in_the_other() -> None:
    pairs = NeighbourTable(2, KINDS)
    pairs.resize(4)
    pairs.ids[0, 0], pairs.weights[0, 0, 0] = 2, 5.0
    most, core = np.array([2, 0], np.int32), np.array([1, -1, 0, -1], np.int32)
    found = gram(pairs, np.array([3.0, 9.0, 4.0, 9.0]), most, core)
    assert found.tolist() == [[4.0, 5.0], [5.0, 3.0]]


def test_it_is_fitted_as_interactions_grow() -> None:
    linear, pairs = Linear(), NeighbourTable(2, KINDS)
    for held in (linear, pairs):
        held.resize(2_000)
    counts = LEAST + np.arange(2_000, dtype=np.float64)
    items = np.arange(2_000, dtype=np.int32)
    counts[4] = LEAST - 1
    linear.fit(pairs, counts, items[:6], FIRST - 1)
    assert len(linear.weights) == 0 and (linear.core == -1).all()
    linear.fit(pairs, counts, items[:6], FIRST)
    assert len(linear.weights) == 5 and linear.core[4] == -1, "one is too rare"
    linear.fit(pairs, counts, items, FIRST + 10)
    assert len(linear.weights) == 5
    linear.fit(pairs, counts, items, 2 * FIRST)
    assert len(linear.weights) == CORE and set(linear.core.tolist()) == {-1, *range(CORE)}
    assert (linear.core[-CORE:] >= 0).all(), "the items used most"
