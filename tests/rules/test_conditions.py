"""Which items conditions match."""

from typing import Any

import pytest

from divrec.events import Item
from divrec.rules.conditions import matcher
from divrec.rules.config import Condition

FULL = Item(
    item_id="Sku-1",
    title="Trail Shoe",
    categories=["Shoes", "Sport"],
    brand="Ours",
    seller="ann",
    price=50.0,
    language="en-GB",
    ts=1,
)
BARE = Item(item_id="b")


@pytest.mark.parametrize(
    ("condition", "full", "bare"),
    [
        ({"field": "item_id", "any_of": ["Sku-1", "other"]}, True, False),
        ({"field": "item_id", "any_of": ["sku-1"]}, False, False),
        ({"field": "categories", "any_of": ["SPORT"]}, True, False),
        ({"field": "categories", "none_of": ["sport"]}, False, True),
        ({"field": "categories", "any_of": ["shoes"], "none_of": ["sport"]}, False, False),
        ({"field": "categories", "missing": True}, False, True),
        ({"field": "categories", "missing": False}, True, False),
        ({"field": "brand", "any_of": ["ours"]}, True, False),
        ({"field": "seller", "none_of": ["bob"]}, True, True),
        ({"field": "seller", "none_of": ["bob"], "missing": False}, True, False),
        ({"field": "title", "contains": ["shoe", "boot"]}, True, False),
        ({"field": "title", "contains": ["boot"]}, False, False),
        ({"field": "language", "any_of": ["en"]}, True, False),
        ({"field": "language", "any_of": ["en-gb"]}, True, False),
        ({"field": "language", "any_of": ["en-US"]}, False, False),
        ({"field": "price", "below": 50}, False, False),
        ({"field": "price", "at_least": 50}, True, False),
        ({"field": "price", "at_least": 10, "below": 51}, True, False),
        ({"field": "price", "missing": True}, False, True),
        ({"field": "price", "missing": False}, True, False),
        ({"field": "age_days", "below": 7}, True, False),  # how old is looked at when slates are made
        ({"field": "age_days", "missing": True}, False, True),
    ],
)
def test_one_condition(condition: dict[str, Any], full: bool, bare: bool) -> None:
    test = matcher([Condition(**condition)])
    assert (test(FULL), test(BARE)) == (full, bare)


def test_all_conditions_must_hold() -> None:
    ours, cheap = Condition(field="brand", any_of=("ours",)), Condition(field="price", below=10)
    assert matcher([ours])(FULL) and not matcher([ours, cheap])(FULL)
