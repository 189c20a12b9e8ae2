"""Lift: what a user likes more than others do."""

from hypothesis import given
from hypothesis import strategies as st

from divrec.interest.lift import WordCounts, lifts

WORDS = st.sampled_from("abcdefgh")


def test_what_everybody_likes_says_nothing() -> None:
    counts = WordCounts()
    for _ in range(50):
        counts.add(["drama", "war"])
        counts.add(["drama", "heist"])
    found = lifts({"drama": 5.0, "heist": 5.0, "war": 0.1}, counts)
    assert found["heist"] > found["drama"] and found["heist"] > 0.0 > found["war"]


def test_nothing_is_known_of_others() -> None:
    assert WordCounts().share("a") == 0.0
    assert lifts({}, WordCounts()) == {}
    found = lifts({"a": 2.0, "b": 1.0}, WordCounts())
    assert found["a"] > found["b"] > 0.0, "the order is that of the weights"


@given(st.dictionaries(WORDS, st.floats(1e-6, 1e6)), st.lists(st.lists(WORDS, unique=True)))
def test_finite_and_rising_with_the_weight(keywords: dict[str, float], liked: list[list[str]]) -> None:
    counts = WordCounts()
    for words in liked:
        counts.add(words)
    assert sum(map(counts.share, "abcdefgh")) <= 1.0 + 1e-9
    found = lifts(keywords, counts)
    assert found.keys() == keywords.keys() and all(abs(lift) < 40.0 for lift in found.values())
    for word in keywords:
        rest = {other: weight for other, weight in keywords.items() if other != word}
        more = lifts({**rest, word: 2.0 * keywords[word]}, counts)
        assert more[word] >= found[word] - 1e-9
