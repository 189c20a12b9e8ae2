"""Live quality: the same as counted by hand, over a window, in bounded memory."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.metrics.hits import hit_rate, hits
from divrec.metrics.live import LISTS, LiveQuality
from divrec.metrics.ndcg import ndcg

ITEMS = [f"i{n}" for n in range(12)]
STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.booleans(), st.permutations(ITEMS), st.sampled_from(ITEMS)), max_size=60
)


@given(STEPS, st.integers(1, 12), st.integers(1, 20))
def test_as_by_hand(steps: list[tuple[str, bool, list[str], str]], k: int, window: int) -> None:
    quality = LiveQuality(k=k, window=window)
    popular = tuple(ITEMS)
    waiting: dict[str, list[str]] = {}
    had: dict[str, set[str]] = {user: set() for user in "abc"}
    tests: list[tuple[list[str], list[str], str]] = []
    for user, slate, order, item in steps:
        if slate:
            quality.shown(user, order[:k], popular)
            waiting[user] = order[:k]
            continue
        tested = quality.turned_to(user, item, had[user].__contains__)
        assert tested == (user in waiting)
        if tested:
            tests.append((waiting.pop(user), [one for one in popular if one not in had[user]][:k], item))
        had[user].add(item)
    found = quality.figures()
    tests = tests[-window:]
    assert found.tests == len(tests)
    for which, accuracy in ((0, found.slates), (1, found.popularity)):
        if not tests:
            assert all(math.isnan(value) for value in accuracy)
            continue
        rows = np.full((len(tests), k), -1)
        for row, test in zip(rows, tests, strict=True):
            items = [ITEMS.index(item) for item in test[which]]
            row[: len(items)] = items
        found_hits = hits(rows, np.array([[ITEMS.index(test[2])] for test in tests]))
        assert accuracy.hr == pytest.approx(hit_rate(found_hits).mean())
        assert accuracy.ndcg == pytest.approx(ndcg(found_hits, np.ones(len(tests), np.int64)).mean())


def test_waiting_users_are_bounded() -> None:
    quality = LiveQuality(users=3)
    for n in range(10):
        quality.shown(f"u{n}", ["x"], ("x",))
    assert len(quality) == 3
    assert not quality.turned_to("u0", "x", lambda _: False) and quality.turned_to("u9", "x", lambda _: False)


def test_the_latest_lists_stand_beside_those_before() -> None:
    quality = LiveQuality(users=2)
    for user, slate in (("a", ["x"]), ("b", ["y"]), ("a", ["z"]), ("c", ["w"]), ("b", ["v"])):
        quality.shown(user, slate, ("x",))
        quality.turned_to(user, "x", lambda _: False)  # a test does not make the slate forgotten
    assert list(quality.lists) == [(["x"], ()), (["y"], ()), (["z"], ["x"]), (["w"], ()), (["v"], ())], "b had to go"
    for _ in range(LISTS):
        quality.shown("a", ["x"], ("x",))
    assert len(quality.lists) == LISTS


def test_bad_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        LiveQuality(k=0)
