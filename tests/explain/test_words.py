"""Reasons in words: every code has its text, in every language, and titles are text."""

from typing import get_args

import pytest

from divrec.events import Reason, ReasonCode, SlateItem
from divrec.explain.words import LANGUAGES, REASONS, TextLanguage, changes, explanation, in_words

CODES: tuple[ReasonCode, ...] = get_args(ReasonCode)
STRANGE = "[red]{keyword}{0} %s"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_has_a_text_of_its_own(language: TextLanguage) -> None:
    assert set(REASONS[language]) == set(CODES)
    told = {in_words(Reason(code=code, share=0.5, keyword="jazz"), {}, language) for code in CODES}
    assert len(told) == len(CODES) and all(told)
    assert not any("{" in text for text in told)


def test_languages_differ() -> None:
    for code in CODES:
        assert REASONS["en"][code].isascii() and not REASONS["zh"][code].isascii()


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_reasons_refer_to_is_told_as_it_is(language: TextLanguage) -> None:
    for code in ("item_neighbour", "transition", "content"):
        assert STRANGE in in_words(Reason(code=code, share=1.0, item_id="a"), {"a": STRANGE}, language)
        for titles in ({}, {"a-7": ""}):
            assert "a-7" in in_words(Reason(code=code, share=1.0, item_id="a-7"), titles, language)
        assert "None" not in in_words(Reason(code=code, share=1.0), {}, language)
    assert STRANGE in in_words(Reason(code="keyword", share=1.0, keyword=STRANGE), {}, language)


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", ["in the place of Mug", "shown lately without an answer, so it counted less (times: 2)"]),
        ("zh", ["取代了“Mug”", "近期展示 2 次未获回应，因此权重降低"]),
    ],
)
def test_what_diversification_did(language: TextLanguage, expected: list[str]) -> None:
    item = SlateItem(item_id="i", position=1, relevance=0.5, relevance_rank=12, preferred_to="m", impressions=2)
    assert changes(item, {"m": "Mug"}, language) == expected
    told = explanation(item, {"m": "Mug"}, language)
    assert all(text in told for text in expected) and "12" in told


def test_an_item_in_its_place_tells_its_reasons_only() -> None:
    item = SlateItem(item_id="i", position=3, relevance=0.5, relevance_rank=3)
    assert explanation(item, {}) == ""
    item.reasons = [Reason(code="explored", share=0.0), Reason(code="fresh", share=1.0)]
    assert explanation(item, {}) == "shown to learn about it; new"
    assert explanation(item, {}, "zh") == "试探性展示，以便了解其反响；新上架"
