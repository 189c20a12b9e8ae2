"""Cleaning stands any text, is bounded, and leaves clean text as it is."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from divrec.text.clean import clean
from tests.text.bounded import costs_no_more

PIECES = "< > <b> </b> <!-- --> & amp; lt; #60; &shy; &#x202e; http:// www. @ a A ＜ ｗ e 1 👍 长"
MARKUP = st.sampled_from([*PIECES.split(" "), *" \n\u200b\u200e\u00ad\ufdfa\u0301\ud800"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  a\u200b\n\tb <i class='x'>c</i> 1 < 2 &copy;  ", "a b c 1 < 2 ©"),
        ("Tom &amp;amp; Jerry", "Tom & Jerry"),
        ("&lt;p&gt;a&lt;/p&gt;", "a"),
        ("＜b＞ＦＵＬＬ　ｗｉｄｔｈ＜／b＞", "FULL width"),
        ("see https://t.example/x?y好吃 joe@mail.example", "see 好吃"),
        ("soooooo good!!!!!!", "sooo good!!!"),
        ("哈哈哈哈哈哈", "哈哈哈"),
        ("10000 and 2,000,000", "10000 and 2,000,000"),
        ("a\x00b\x85c\u2028d", "a b c d"),
        ("co\u00adoperate \u202eright\u202c to \u200fleft", "cooperate right to left"),
        ("👍👍🏽 👩‍👩‍👧‍👦 ❤️", "👍👍🏽 👩‍👩‍👧‍👦 ❤️"),
        ("אהבתי \u200fאת זה", "אהבתי את זה"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("e\u0301te\u0301", "été"),
        ("\u200b\ufeff\u2060", ""),
        ("", ""),
    ],
)
def test_examples(text: str, expected: str) -> None:
    assert clean(text, 100) == expected


@settings(max_examples=300)
@given(st.one_of(st.text(alphabet=st.characters(), max_size=400), st.lists(MARKUP, max_size=60).map("".join)))
@example("<" + "<a" * 50 + ">" * 60)
@example("&" + "amp;" * 50 + "lt;b>")
@example("www" * 50 + "." * 60)
def test_clean_text_stays(text: str) -> None:
    for limit in (10, 100):
        once = clean(text, limit)
        assert len(once) <= limit
        assert clean(once, limit) == once
        assert once == once.strip()
        once.encode()  # no lone surrogates


@given(st.binary(max_size=2_000))
def test_binary(data: bytes) -> None:
    for text in (data.decode("latin-1"), data.decode("utf-8", "surrogateescape"), data.decode("utf-16", "replace")):
        assert len(clean(text, 50)) <= 50


@pytest.mark.parametrize("piece", ["a", "<a", "<a>", "&amp;", "&", "@", "a@", "<!--", "\ufdfa", "👍", "\u202e", "www."])
def test_a_megabyte_costs_no_more(piece: str) -> None:
    costs_no_more(lambda text: clean(text, 2_000), piece)
