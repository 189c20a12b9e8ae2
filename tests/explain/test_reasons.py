"""Reasons from sources, shares and referents."""

from divrec.catalog import Catalog
from divrec.events import Item, Reason
from divrec.explain.reasons import reasons, strongest_keyword
from divrec.items import ItemIndex
from divrec.slate import CONTENT, FRESH, NEIGHBOUR, POPULAR_NOW, REVIEW, TRANSITION


def catalog() -> Catalog:
    found = Catalog(ItemIndex(), 10)
    found.put(Item(item_id="shown", categories=["Noir"], terms=["rain", "city"]))
    found.put(Item(item_id="past"))
    return found


def test_each_source_with_its_referent() -> None:
    past = 1
    assert reasons(catalog(), {}, 0, [NEIGHBOUR, TRANSITION, POPULAR_NOW], [0.5, 0.3, 0.2], [past, past, -1]) == [
        Reason(code="item_neighbour", share=0.5, item_id="past"),
        Reason(code="transition", share=0.3, item_id="past"),
        Reason(code="popular_now", share=0.2),
    ]
    assert reasons(catalog(), {}, 0, [FRESH, -1, -1], [1.0, 0.0, 0.0], [-1, 0, 0]) == [Reason(code="fresh", share=1.0)]
    assert reasons(catalog(), {}, 0, [-1, -1, -1], [0.0] * 3, [0] * 3) == []


def test_content_is_told_apart() -> None:
    for keywords, referent, expected in (
        ({"rain": 0.1, "noir": 0.4, "sun": 9.0}, 1, Reason(code="keyword", share=1.0, keyword="noir")),
        ({"sun": 9.0}, 1, Reason(code="content", share=1.0, item_id="past")),
        ({}, REVIEW, Reason(code="review", share=1.0)),
        ({}, -1, Reason(code="content", share=1.0)),
    ):
        assert reasons(catalog(), keywords, 0, [CONTENT, -1, -1], [1.0, 0.0, 0.0], [referent, 0, 0]) == [expected]


def test_the_strongest_keyword_does_not_depend_on_an_order() -> None:
    words = frozenset(["a", "b", "c"])
    for keywords in ({"a": 1.0, "b": 1.0, "d": 5.0}, {"b": 1.0, "d": 5.0, "a": 1.0}):
        assert strongest_keyword(keywords, words) == "b"
    assert strongest_keyword({"d": 1.0}, words) is None
    assert strongest_keyword({"a": 0.0}, words) is None
    assert strongest_keyword({}, words) is None
