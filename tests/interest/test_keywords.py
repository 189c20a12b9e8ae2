"""Interest keywords: weights, their decay and their bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.interest.keywords import FARTHEST, Keywords, faded, learn_keywords

DAY = 86_400_000
FAR = 253_402_300_799_999


def learned(events: list[tuple[str, float, int]], half_life: float = 30 * DAY, bound: int = 10) -> tuple[Keywords, int]:
    keywords: Keywords = {}
    base = 0
    for words, feedback, ts in events:
        base = learn_keywords(keywords, base, words, feedback, ts, half_life, bound)
    return keywords, base


def as_of(now: int, events: list[tuple[str, float, int]], half_life: float = 30 * DAY) -> Keywords:
    keywords, base = learned(events, half_life)
    return {word: weight * faded(base, now, half_life) for word, weight in keywords.items()}


def test_words_gain() -> None:
    assert as_of(DAY, [("ab", 0.6, DAY), ("bc", 0.2, DAY)]) == pytest.approx({"a": 0.6, "b": 0.8, "c": 0.2})


def test_weights_halve_in_a_half_life() -> None:
    assert as_of(30 * DAY, [("a", 0.8, 0)]) == pytest.approx({"a": 0.4})
    assert as_of(30 * DAY, [("a", 0.8, 0), ("ab", 0.5, 30 * DAY)]) == pytest.approx({"a": 0.9, "b": 0.5})


@given(st.permutations([(word, 0.1 + n / 10, n * 100 * DAY) for n, word in enumerate("abcab")]))
def test_the_order_of_arrival_makes_no_difference(events: list[tuple[str, float, int]]) -> None:
    now = 500 * DAY
    assert as_of(now, events) == pytest.approx(as_of(now, sorted(events, key=lambda event: event[2])))


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(1e-3, 1), st.sampled_from([0, DAY, 10**12, FAR]))))
def test_no_time_is_too_far(events: list[tuple[str, float, int]]) -> None:
    for half_life in (1e-3 * DAY, 90.0 * DAY):
        keywords, base = learned(events, half_life)
        assert all(0.0 <= weight <= len(events) * 2.0**FARTHEST for weight in keywords.values())
        assert 0.0 <= faded(base, 10**12, half_life) <= 2.0**FARTHEST


def test_after_many_half_lives_a_new_base_is_taken() -> None:
    keywords, base = learned([("ab", 0.5, 0), ("bc", 0.5, 100 * DAY)], half_life=DAY)
    assert base == 100 * DAY and keywords == pytest.approx({"a": 0.5 * 2.0**-100, "b": 0.5, "c": 0.5})


@given(st.lists(st.tuples(st.text("abcdefghijkl", max_size=4), st.floats(1e-3, 1)), max_size=40), st.integers(1, 9))
def test_the_strongest_are_kept(events: list[tuple[str, float]], bound: int) -> None:
    keywords: Keywords = {}
    for words, feedback in events:
        before = dict(keywords)
        learn_keywords(keywords, 0, words, feedback, 0, DAY, bound)
        assert len(keywords) <= bound and all(weight > 0 for weight in keywords.values())
        gone = {word for word in before if word not in keywords and word not in words}
        assert all(before[word] <= min(keywords.values(), default=0.0) for word in gone)
