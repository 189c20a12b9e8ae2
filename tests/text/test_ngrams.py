"""Hashed words and pairs of words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.text.ngrams import MAX_WORDS, hashed_ngrams, words_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Don’t BUY it!!", ["don’t", "buy", "it", "!", "!"]),
        ("很好，iPhone不错👍", ["很", "好", "，", "iphone", "不", "错", "👍"]),
        ("ดีมาก", ["ด", "ี", "ม", "า", "ก"]),
        ("אהבתי", ["אהבתי"]),
        ("❤️👩‍👩‍👧‍👦👍🏽", ["❤️", "👩‍👩‍👧‍👦", "👍🏽"]),
        ("a_b 4.5", ["a", "b", "4", ".", "5"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words_of(text) == expected


def test_hashes_stay_the_same() -> None:
    """They travel in deltas and are learned by: another hash would make nonsense of a snapshot."""
    assert hashed_ngrams("not good").tolist() == GOLDEN


GOLDEN = [998263362, 1386514876, 3630813628]


def test_order_of_two_words_counts() -> None:
    assert set(hashed_ngrams("not good").tolist()) != set(hashed_ngrams("good not").tolist())
    assert len(hashed_ngrams("a a a")) == 2


def test_of_a_long_text_both_ends_are_read() -> None:
    words = words_of("first " + "middle " * 10_000 + "last")
    assert len(words) == MAX_WORDS and words[0] == "first" and words[-1] == "last"


@given(st.text(alphabet=st.characters(), max_size=3_000))
def test_any_text(text: str) -> None:
    hashes = hashed_ngrams(text)
    assert hashes.dtype == np.uint32 and len(hashes) < 2 * MAX_WORDS
    assert (np.diff(hashes.astype(np.int64)) > 0).all()
    assert (hashed_ngrams(text) == hashes).all()
