"""Consumed items: none is ever missed, and how many others are hidden."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.consumed import Consumed, holds, mark
from divrec.items import fingerprint


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=6), max_size=120), st.integers(1, 20))
def test_a_consumed_item_is_never_missed(items: list[str], bound: int) -> None:
    consumed = Consumed()
    for n, item in enumerate(items):
        consumed = consumed.added(item, bound)
        assert all(earlier in consumed for earlier in items[: n + 1])
        assert len(consumed.packed) <= 4 * bound
        if not consumed.filtered:
            assert consumed.words().tolist() == sorted({fingerprint(earlier) for earlier in items[: n + 1]})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(consumed), type=Consumed) == consumed


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=60), st.integers(1, 20), st.integers(1, 20))
def test_nor_when_the_bound_changes(items: list[int], bound: int, later: int) -> None:
    consumed = Consumed()
    for n, item in enumerate(items):
        consumed = consumed.added(f"item {item}", bound if n < len(items) // 2 else later)
        assert all(f"item {earlier}" in consumed for earlier in items[: n + 1])
        assert len(consumed.packed) <= 4 * max(bound, later)


def test_what_it_becomes_depends_on_the_items_alone() -> None:
    one, other = Consumed(), Consumed()
    for n in range(300):
        one, other = one.added(f"item {n}", 100), other.added(f"item {299 - n}", 100)
    assert one == other and one.filtered


def test_within_its_bound_it_is_exact() -> None:
    consumed = Consumed()
    for n in range(2_000):
        consumed = consumed.added(f"item {n}", 2_000)
    assert not consumed.filtered and len(consumed.words()) == 2_000
    assert sum(f"other {n}" in consumed for n in range(10_000)) == 0
    assert consumed.added("item 7", 2_000) is consumed


@pytest.mark.parametrize(("times", "hidden"), [(1.01, 0.0003), (1.5, 0.0009), (2, 0.0024), (4, 0.024), (10, 0.259)])
def test_over_its_bound_it_hides_as_few_others_as_a_filter_can(times: float, hidden: float) -> None:
    bound, random = 2_048, np.random.default_rng(0)
    consumed = Consumed()
    for n in range(bound + 1):
        consumed = consumed.added(f"item {n}", bound)
    bits, more = consumed.words().copy(), random.integers(0, 2**32, int(times * bound) - bound - 1, np.uint32)
    mark(bits, more)
    assert all(f"item {n}" in Consumed(bits.tobytes(), 0, True) for n in range(bound + 1))
    assert all(holds(bits, True, wanted) for wanted in more)
    others = random.integers(0, 2**32, 100_000, np.uint32)
    assert sum(holds(bits, True, wanted) for wanted in others) / len(others) == pytest.approx(hidden, rel=0.1, abs=3e-4)


def test_sets_of_before_there_were_filters() -> None:
    """Their fingerprints lack bits, and that stays so; what comes later is not missed either."""
    items = [f"item {n}" for n in range(40)]
    coarse = np.unique(np.array([fingerprint(item) >> 20 for item in items], "<u4"))
    consumed = msgspec.msgpack.decode(msgspec.msgpack.encode([coarse.tobytes(), 20]), type=Consumed)
    assert consumed == Consumed(coarse.tobytes(), 20)
    for n in range(200):
        consumed = consumed.added(f"later {n}", 64)
        assert all(item in consumed for item in items) and f"later {n}" in consumed
    assert consumed.filtered and consumed.shift == 20 and len(consumed.packed) == 4 * 64
    assert all(f"later {n}" in consumed for n in range(200))


def test_a_set_is_not_changed_by_what_is_added() -> None:
    before = Consumed().added("a", 1)
    packed = before.packed
    full = before.added("b", 1)
    full.added("c", 1)
    assert before.packed == packed and "b" not in before and "c" not in full


def test_fingerprints_and_filters_are_the_same_for_ever() -> None:
    """They are stored: another hash would make every consumed item recommendable again."""
    assert [fingerprint(item) for item in ("", "item", "用户")] == [3_031_595_380, 3_640_187_135, 1_592_578_264]
    consumed = Consumed().added("", 2).added("item", 2).added("用户", 2)
    assert consumed.words().tolist() == [553_910_276, 1_411_400_320]
