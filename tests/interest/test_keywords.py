"""Interest keywords: weights, their decay and their bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.interest.keywords import decay, learn_keywords

DAY = 86_400_000


def test_words_gain_and_lose() -> None:
    keywords: dict[str, float] = {}
    learn_keywords(keywords, ["a", "b"], 0.6, 10)
    learn_keywords(keywords, ["b", "c"], -0.2, 10)
    assert keywords == pytest.approx({"a": 0.6, "b": 0.4}), "a word that is not liked is not kept as disliked"
    learn_keywords(keywords, ["b"], -1.0, 10)
    assert keywords == pytest.approx({"a": 0.6})


def test_weights_halve_in_a_half_life() -> None:
    keywords = {"a": 0.8}
    decay(keywords, 30 * DAY, 30 * DAY)
    assert keywords == pytest.approx({"a": 0.4})
    decay(keywords, -5 * DAY, 30 * DAY)
    decay(keywords, 0, 30 * DAY)
    assert keywords == pytest.approx({"a": 0.4}), "time does not run back"
    decay(keywords, 253_402_300_799_999, 1e-3 * DAY)
    assert keywords == {"a": 0.0}


@given(st.lists(st.tuples(st.lists(st.sampled_from("abcdefgh"), max_size=4), st.floats(-1, 1)), max_size=40))
def test_the_strongest_are_kept(events: list[tuple[list[str], float]]) -> None:
    keywords: dict[str, float] = {}
    for words, feedback in events:
        before = dict(keywords)
        learn_keywords(keywords, words, feedback, 3)
        assert len(keywords) <= 3 and all(weight > 0 for weight in keywords.values())
        gone = {word for word in before if word not in keywords and word not in words}
        assert all(before[word] <= min(keywords.values(), default=0.0) for word in gone)
