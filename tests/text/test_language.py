"""Languages told from their scripts and stop words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.text.language import likely_language


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "I love this magazine, it is the best I have ever had"),
        ("de", "Sehr gutes Produkt, ich bin zufrieden"),
        ("fr", "La batterie ne tient pas plus de deux jours"),
        ("es", "No me gusta la batería porque dura poco"),
        ("it", "La batteria non dura più di due giorni"),
        ("pt", "A bateria não dura mais do que dois dias"),
        ("nl", "Dit boek is heel goed en ik raad het iedereen aan"),
        ("pl", "Ta książka jest bardzo dobra i polecam ją wszystkim"),
        ("ru", "Батарея не держит заряд больше двух дней"),
        ("uk", "Ця книга дуже добра, і я рекомендую її всім"),
        ("tr", "Bu kitap çok güzel ve herkese tavsiye ederim"),
        ("ar", "البطارية لا تدوم أكثر من يومين"),
        ("fa", "این کتاب خیلی خوب است و من آن را به همه توصیه می‌کنم"),
        ("he", "הסוללה מחזיקה יומיים"),
        ("hi", "यह किताब बहुत अच्छी है और मैं इसे सभी को पढ़ने की सलाह देता हूँ"),
        ("th", "หนังเรื่องนี้ดีมาก"),
        ("el", "Αυτό το βιβλίο είναι πολύ καλό"),
        ("zh", "电池可以用两天,充电很快"),
        ("zh", "iPhone手机外壳的颜色很好看"),
        ("ja", "電池は二日持ちます"),
        ("ko", "배터리가 이틀 갑니다"),
        ("vi", "Cuốn sách này rất hay và tôi muốn giới thiệu cho mọi người"),
        (None, "42 👍 OK"),
        (None, ""),
    ],
)
def test_languages(language: str | None, text: str) -> None:
    assert likely_language(text) == language


@given(st.text(alphabet=st.characters(), max_size=500))
def test_any_text(text: str) -> None:
    language = likely_language(text)
    assert language is None or len(language) == 2
    assert likely_language(text) == language
