"""Categories of the candidates and the user's interest in them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.interest.categories import CATEGORY_HISTORY, HALF_LIFE, interest_categories

NAMES = 12
seeds = st.integers(0, 10_000)


def drawn(seed: int) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(seed)
    categories = np.full((30, 3), -1, np.int32)
    for row in categories:
        count = random.integers(0, 4)
        row[:count] = random.choice(NAMES, count, replace=False)
    history = random.integers(-1, 30, random.integers(0, 8)).astype(np.int32)
    older = random.integers(-1, 30, random.integers(0, 150)).astype(np.int32)
    told = [random.uniform(-1, 1, len(items)).astype(np.float32) for items in (history, older)]
    rows = random.permutation(30)[: random.integers(0, 20)].astype(np.int32)
    return rows, categories, history, told[0], older, told[1]


@settings(deadline=None)
@given(seeds)
def test_shares_are_as_counted_by_hand(seed: int) -> None:
    rows, categories, history, feedback, older, older_feedback = drawn(seed)
    places = np.zeros(NAMES, np.int32)
    starts, members, shares, wanted = interest_categories(
        rows, categories, places, history, feedback, older, older_feedback
    )
    assert not places.any()
    order = list(dict.fromkeys(int(a) for row in rows for a in categories[row] if a >= 0))
    for i, row in enumerate(rows):
        own = [a for a in categories[row].tolist() if a >= 0]
        assert [order[a] for a in members[starts[i] : starts[i + 1]]] == own
        assert shares[starts[i] : starts[i + 1]].sum() == pytest.approx(1.0 if own else 0.0)
    expected = np.zeros(len(order))
    past = np.concatenate([history, older])[:CATEGORY_HISTORY]
    for q, (row, told) in enumerate(zip(past, np.concatenate([feedback, older_feedback]), strict=False)):
        own = [a for a in categories[row].tolist() if a >= 0] if row >= 0 and told > 0 else []
        for a in own:
            if a in order:
                expected[order.index(a)] += 2.0 ** (-q / HALF_LIFE) * told / len(own)
    assert wanted == pytest.approx(expected / max(expected.sum(), 1e-12), abs=1e-5)


@settings(deadline=None)
@given(seeds)
def test_numbers_do_not_matter(seed: int) -> None:
    rows, categories, *past = drawn(seed)
    other = np.random.default_rng(seed).permutation(NAMES).astype(np.int32)
    renamed = np.where(categories >= 0, other[categories], np.int32(-1))
    one = interest_categories(rows, categories, np.zeros(NAMES, np.int32), *past)
    two = interest_categories(rows, renamed, np.zeros(NAMES, np.int32), *past)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
