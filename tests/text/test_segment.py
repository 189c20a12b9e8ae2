"""Words and texts of items and reviews."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.events import Item, Review, Words
from divrec.text.clean import clean
from divrec.text.content import item_text, review_text
from divrec.text.segment import terms
from tests.text.bounded import costs_no_more


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("🎸🔥 123 4.5 １２", []),
        ("2001: A Space Odyssey (1968)", ["space", "odyssey"]),
        ("Up", ["up"]),
        ("guitar strings, strings for a GUITAR, nylon", ["guitar", "strings", "nylon"]),
        ("Sci-Fi T-Shirt King’s don't rock'n'roll x", ["sci-fi", "t-shirt", "king", "rock", "roll"]),
        ("我喜欢这部电影的音乐", ["喜欢", "这部", "电影", "音乐"]),
        ("iPhone手机外壳的颜色", ["iphone", "手机", "外壳", "颜色"]),
        ("Das Leben ist nicht immer schön, und die Musik ist laut", ["leben", "schön", "musik", "laut"]),
        ("หนังเรื่อง ที่ดี", ["หนังเรื่อง", "ที่ดี"]),
        ("<b>Tom</b> &amp; Jerry &lt;br&gt; https://t.example/a好吃 joe@mail.example", ["tom", "jerry", "好吃"]),
        ("ＦＵＬＬＷＩＤＴＨ ﬁlm", ["fullwidth", "film"]),
        (f"{'xz' * 33} {'yz' * 32}", ["yz" * 32]),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@given(st.text(max_size=2_000), st.integers(1, 64))
def test_terms_fit_into_an_event(text: str, limit: int) -> None:
    found = terms(text, limit)
    assert msgspec.convert(found, Words) == found
    assert len(found) <= limit and len(set(found)) == len(found)
    assert terms(text, limit) == found


@pytest.mark.parametrize(
    "piece", ["a", "<a", "<", "&", "@", "a@", "长", "a'", "\ufdfa", "www.", "<!--", "&#x41;", "长a", "a-", "ก็", "\x00"]
)
def test_a_long_text_is_cut_first(piece: str) -> None:
    costs_no_more(terms, piece)


def test_clean() -> None:
    assert clean("  a\u200b\n\tb <i class='x'>c</i> 1 < 2 &copy;  ", 100) == "a b c 1 < 2 ©"
    assert clean("xy" * 1_000, 10) == "xy" * 5


def test_item_text() -> None:
    item = Item(item_id="1", title="Heat!", categories=["Crime", "Film-Noir"], description="<p>A&nbsp;thief</p>")
    assert item_text(item) == "Heat! Crime, Film-Noir. A thief"
    assert item_text(Item(item_id="1")) == ""
    assert len(item_text(Item(item_id="1", title="a" * 3_000, description="b" * 60_000))) <= 2_000
    long = item_text(Item(item_id="1", title="Heat", description="b " * 30_000))
    assert long.startswith("Heat. b b") and len(long) <= 2_000


def test_review_text() -> None:
    assert review_text(Review(user_id="u", item_id="1", title="Great", text="Loved it.")) == "Great. Loved it."
    assert review_text(Review(user_id="u", item_id="1", text="")) == ""
