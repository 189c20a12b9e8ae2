"""Lift: what a user likes more than others do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.interest.lift import BUCKETS, Lifts, WordCounts, packed_words, word_hash

WORDS = st.sampled_from("abcdefgh")


def counted(*texts: list[str]) -> WordCounts:
    counts = WordCounts()
    counts.add([packed_words(words) for words in texts], [1.0] * len(texts))
    return counts


def test_what_everybody_likes_says_nothing() -> None:
    keywords = {"drama": 5.0, "heist": 5.0, "war": 0.1}
    found = Lifts(keywords, 1.0, counted(*[["drama", "war"], ["drama", "heist"]] * 50))
    assert found.lift("heist") > found.lift("drama") and found.lift("heist") > 0.0 > found.lift("war")
    assert found.best(["war", "drama", "heist", "unknown"]) == "heist"
    assert found.best(["war", "drama"]) == "drama" and found.best(["unknown"]) is None


def test_nothing_is_known_of_others() -> None:
    assert WordCounts().share("a") == 0.0
    assert Lifts({}, 1.0, WordCounts()).best(["a"]) is None
    found = Lifts({"a": 2.0, "b": 1.0}, 1.0, WordCounts())
    assert found.lift("a") > found.lift("b") > 0.0, "the order is that of the weights"


def test_what_faded_is_near_to_what_everybody_likes() -> None:
    counts = counted(["a", "b", "b", "b"])
    lifts = [Lifts({"a": 4.0, "b": 1.0}, fade, counts).lift("a") for fade in (1.0, 0.1, 1e-9, 0.0)]
    assert lifts == sorted(lifts, reverse=True) and lifts[-1] == 0.0


def test_the_best_does_not_depend_on_an_order() -> None:
    for keywords in ({"a": 1.0, "b": 1.0, "d": 5.0}, {"b": 1.0, "d": 5.0, "a": 1.0}):
        assert Lifts(keywords, 1.0, WordCounts()).best(frozenset("abc")) == "b"


def test_hashes_are_the_same_everywhere() -> None:
    assert word_hash("drama") == 3_361_057_716 and word_hash("战争") == 2_887_282_414
    assert packed_words(["drama"]) == (3_361_057_716).to_bytes(4, "little") and packed_words([]) == b""


@given(st.lists(st.tuples(st.lists(WORDS, unique=True), st.sampled_from([0.3, 0.6, 1.0])), max_size=30))
def test_counts_equal_a_recount(texts: list[tuple[list[str], float]]) -> None:
    one, other = WordCounts(), WordCounts()
    one.add([packed_words(words) for words, _ in texts], [weight for _, weight in texts])
    for words, weight in texts:
        other.add([packed_words(words)], [weight])
    assert np.array_equal(one.counts, other.counts)
    assert len(one.counts) == (BUCKETS + 1 if any(words for words, _ in texts) else 0)
    total = sum(len(words) * weight for words, weight in texts)
    for word in "abcdefgh" if total else ():
        expected = sum(weight for words, weight in texts if word in words) / total
        assert one.share(word) == pytest.approx(expected)


@given(st.dictionaries(WORDS, st.floats(1e-6, 1e6)), st.lists(st.lists(WORDS, unique=True)))
def test_finite_and_rising_with_the_weight(keywords: dict[str, float], liked: list[list[str]]) -> None:
    counts = counted(*liked)
    assert sum(map(counts.share, "abcdefgh")) <= 1.0 + 1e-9
    found = Lifts(keywords, 1.0, counts)
    for word in keywords:
        rest = {other: weight for other, weight in keywords.items() if other != word}
        more = Lifts({**rest, word: 2.0 * keywords[word]}, 1.0, counts)
        assert found.lift(word) - 1e-9 <= more.lift(word) < 40.0
