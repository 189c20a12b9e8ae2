"""Reasons from sources, shares and referents."""

from divrec.catalog import Catalog
from divrec.events import Item, Reason
from divrec.explain.reasons import reasons
from divrec.interest.lift import Lifts, WordCounts, packed_words
from divrec.items import ItemIndex
from divrec.slate import CONTENT, FRESH, NEIGHBOUR, POPULAR_NOW, REVIEW, TRANSITION


def catalog() -> Catalog:
    found = Catalog(ItemIndex(), 10)
    found.put(Item(item_id="shown", categories=["Noir"], terms=["rain", "city"]))
    found.put(Item(item_id="past"))
    return found


NONE = Lifts({}, 1.0, WordCounts())


def test_each_source_with_its_referent() -> None:
    past = 1
    assert reasons(catalog(), NONE, 0, [NEIGHBOUR, TRANSITION, POPULAR_NOW], [0.5, 0.3, 0.2], [past, past, -1]) == [
        Reason(code="item_neighbour", share=0.5, item_id="past"),
        Reason(code="transition", share=0.3, item_id="past"),
        Reason(code="popular_now", share=0.2),
    ]
    assert reasons(catalog(), NONE, 0, [FRESH, -1, -1], [1.0, 0.0, 0.0], [-1, 0, 0]) == [
        Reason(code="fresh", share=1.0)
    ]
    assert reasons(catalog(), NONE, 0, [-1, -1, -1], [0.0] * 3, [0] * 3) == []


def test_content_is_told_apart() -> None:
    counts = WordCounts()
    counts.add([packed_words(["noir", "rain"])] + 9 * [packed_words(["noir", "sun"])], [1.0] * 10)
    for keywords, referent, expected in (
        ({"rain": 0.3, "noir": 0.4}, 1, Reason(code="keyword", share=1.0, keyword="rain")),
        ({"rain": 0.1, "noir": 9.0, "sun": 0.4}, 1, Reason(code="keyword", share=1.0, keyword="noir")),
        ({"sun": 9.0}, 1, Reason(code="content", share=1.0, item_id="past")),
        ({}, REVIEW, Reason(code="review", share=1.0)),
        ({}, -1, Reason(code="content", share=1.0)),
    ):
        lifts = Lifts(keywords, 1.0, counts)
        assert reasons(catalog(), lifts, 0, [CONTENT, -1, -1], [1.0, 0.0, 0.0], [referent, 0, 0]) == [expected]
