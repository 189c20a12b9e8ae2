import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.config import FeedbackConfig
from divrec.data.mapping import FIELDS, Kind, Mapping, parse_map
from divrec.data.values import read_time
from divrec.errors import ConfigError, EventError
from divrec.events import Click, Item, Request, Review

KINDS: tuple[Kind, ...] = ("click", "review", "request", "item")
STRUCTS = (Click, Review, Request, Item)
PAIR = {"user": "u", "item": "i"}


def reason(mapping: Mapping, row: dict[str, Any], kind: Kind = "click") -> str:
    with pytest.raises(EventError) as caught:
        mapping.builder(kind)(row)
    return caught.value.reason


def test_the_command_line_form() -> None:
    text = "user=reviewerID,item=asin,ts=unixReviewTime,rating=overall,text=reviewText,action==purchase"
    assert parse_map(text) == {
        "user_id": "reviewerID",
        "item_id": "asin",
        "ts": "unixReviewTime",
        "rating": "overall",
        "text": "reviewText",
        "action": "=purchase",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("usr=a", "known are user, item, user_id"),
        ("user", "our_field=their_column"),
        ("", "our_field=their_column"),
        ("user=", "needs a column"),
        ("user==", "constant"),
        ("user=a,user_id=b", "twice"),
    ],
)
def test_a_wrong_command_line_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_map(text)


@pytest.mark.parametrize("columns", [{"action": "=buy"}, {"rating": "=9"}, {"ts": "=soon"}, {"colour": "c"}])
def test_a_wrong_mapping_is_refused_before_the_first_event(columns: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        Mapping(PAIR | columns)


def test_a_kind_needs_its_fields() -> None:
    Mapping(PAIR).require("click")
    with pytest.raises(ConfigError, match="text"):
        Mapping(PAIR).require("review")


def test_orders_of_a_shop() -> None:
    """A foreign, nested shape: an order becomes a purchase."""
    mapping = Mapping(parse_map("user=customer.id,item=line.sku,ts=placed.at,event_id=number,action==purchase"))
    order = {
        "number": 8812,
        "customer": {"id": 77.0, "name": "Ada"},
        "line": {"sku": "A-1", "quantity": 2},
        "placed": {"at": "2024-05-01T12:00:00+02:00"},
    }
    assert mapping.click(order) == Click(
        user_id="77", item_id="A-1", action="purchase", ts=1_714_557_600_000, event_id="8812"
    )
    assert reason(mapping, order | {"customer": "77"}) == "missing-field"
    assert reason(mapping, order | {"line": {"sku": None}}) == "missing-field"
    assert reason(mapping, order | {"placed": {"at": "yesterday"}}) == "bad-time"


def test_a_column_whose_name_has_a_dot_comes_first() -> None:
    assert Mapping({"user": "a.b", "item": "i"}).click({"a.b": "x", "a": {"b": "y"}, "i": 1}).user_id == "x"


@pytest.mark.parametrize(
    ("item", "row"),
    [
        ("lines[].sku", {"lines": [{"sku": "a"}, {"sku": "b"}]}),
        ("order.lines[].product.id", {"order": {"lines": [{"product": {"id": "a"}}, {"product": {"id": "b"}}]}}),
        ("skus[]", {"skus": ["a", "b"]}),
    ],
)
def test_an_array_holds_an_event_in_each_element(item: str, row: dict[str, Any]) -> None:
    mapping = Mapping({"user": "u", "item": item})
    assert [mapping.click(one).item_id for one in mapping.rows({"u": 1, **row})] == ["a", "b"]
    with pytest.raises(ConfigError, match="only a message of clicks or requests"):
        mapping.require("click")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [(None, "missing-field"), ([], "missing-field"), ({}, "invalid"), ("x", "invalid"), ([1] * 501, "invalid")],
)
def test_what_is_no_array_of_events_is_refused(lines: object, expected: str) -> None:
    with pytest.raises(EventError) as raised:
        list(Mapping({"user": "u", "item": "lines[]"}).rows({"u": 1, "lines": lines}))
    assert raised.value.reason == expected


@pytest.mark.parametrize("items", [{"item": "[]"}, {"item": "a[]b"}, {"item": "a[].b[].c"}, {"item": "a[]."}])
def test_a_misplaced_array_is_a_configuration_error(items: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"one '\[\]'"):
        Mapping({"user": "u", **items})


def test_two_arrays_are_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="one array, got a, b"):
        Mapping({"user": "a[].u", "item": "b[].i"})


def test_all_fields_of_an_item() -> None:
    mapping = Mapping({name: name for name in FIELDS})
    row = {
        "item_id": 5,
        "title": "Scarf",
        "description": ["Warm.", None, "Blue."],
        "categories": "Clothing| Scarves ||Clothing",
        "brand": "N",
        "seller": 7,
        "price": "29.50",
        "language": "en",
        "available": "false",
        "ts": "2024-05-01",
    }
    assert mapping.item(row) == Item(
        item_id="5",
        title="Scarf",
        description="Warm.\nBlue.",
        categories=["Clothing", "Scarves"],
        brand="N",
        seller="7",
        price=29.5,
        language="en",
        available=False,
        ts=1_714_521_600_000,
    )


def test_all_fields_of_a_request() -> None:
    mapping = Mapping({"user": "u", "request_id": "r", "k": "k", "diversity": "d"})
    assert mapping.request({"u": 1, "r": 2, "k": "5", "d": 1}) == Request(
        user_id="1", request_id="2", k=5, diversity=1.0
    )
    assert reason(mapping, {"u": 1, "k": 2.5}, "request") == "invalid"
    assert reason(mapping, {"u": 1, "k": 0}, "request") == "invalid"
    assert reason(mapping, {"u": 1, "d": 1.5}, "request") == "invalid"


@pytest.mark.parametrize("value", ["a|b", ["a", "b"], '["a", "b"]', ["a", None, "b", "a", ""]])
def test_categories(value: object) -> None:
    assert Mapping({"item": "i", "categories": "c"}).item({"i": 1, "c": value}).categories == ["a", "b"]


@pytest.mark.parametrize("value", ["[a, b", [["a"]], [{}], "x" * 129, "|".join(map(str, range(65)))])
def test_bad_categories(value: object) -> None:
    assert reason(Mapping({"item": "i", "categories": "c"}), {"i": 1, "c": value}, "item") == "invalid"


@pytest.mark.parametrize(("value", "expected"), [("a", "a"), (123, "123"), (123.0, "123"), ("007", "007"), (-1, "-1")])
def test_ids(value: object, expected: str) -> None:
    assert Mapping(PAIR).click({"u": value, "i": "x"}).user_id == expected


@pytest.mark.parametrize("value", [True, 1.5, math.nan, math.inf, 1e17, [], {}, "x" * 257, "\ud800"])
def test_bad_ids(value: object) -> None:
    assert reason(Mapping(PAIR), {"u": value, "i": "x"}) in {"invalid", "missing-field"}


@pytest.mark.parametrize(
    "value",
    [
        1_714_557_600,
        1_714_557_600.0,
        "1714557600",
        "1714557600.0",
        "1.7145576e9",
        1_714_557_600_000,
        1_714_557_600_000_000,
        "1714557600000000000",
        "2024-05-01T10:00:00Z",
        "2024-05-01 10:00:00",
        "2024-05-01 10:00:00 UTC",
        "2024-05-01T12:00:00+02:00",
        " 2024-05-01T10:00 ",
    ],
)
def test_times(value: object) -> None:
    assert Mapping({**PAIR, "ts": "t"}).click({"u": 1, "i": 1, "t": value}).ts == 1_714_557_600_000


@pytest.mark.parametrize(
    "value", [-1, "-1", True, math.nan, "nan", "inf", 1e30, 10**400, "soon", "1960-01-01", [], {"s": 1}, "2024-13-01"]
)
def test_bad_times(value: object) -> None:
    assert reason(Mapping({**PAIR, "ts": "t"}), {"u": 1, "i": 1, "t": value}) == "bad-time"


@settings(deadline=None)
@given(st.datetimes(datetime(1970, 1, 1), datetime(2262, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_a_moment_is_the_same_in_every_form(moment: datetime, offset: int) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    millis = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    zoned = moment.astimezone(timezone(timedelta(minutes=offset))) if millis > 86_400_000 else moment
    assert read_time(zoned.isoformat()) == millis
    assert read_time(moment.replace(tzinfo=None).isoformat()) == millis
    assert read_time(millis / 1000) == millis
    if millis >= 1e11:
        assert read_time(millis) == read_time(millis * 1_000) == read_time(millis * 1_000_000) == millis


@pytest.mark.parametrize(
    ("value", "expected"),
    [(4, 4.0), ("4.5", 4.5), (True, 5.0), (False, 1.0), ("true", 5.0), ("False", 1.0), ("", None)],
)
def test_ratings(value: object, expected: float | None) -> None:
    assert Mapping({**PAIR, "rating": "r"}).click({"u": 1, "i": 1, "r": value}).rating == expected


@pytest.mark.parametrize("value", [0, 5.1, "6", math.nan, "nan", math.inf, "good", [5], 10**400])
def test_bad_ratings(value: object) -> None:
    assert reason(Mapping({**PAIR, "rating": "r"}), {"u": 1, "i": 1, "r": value}) == "bad-rating"


def test_a_foreign_scale_is_laid_over_the_configured_one() -> None:
    feedback = FeedbackConfig(rating_min=0, rating_max=1)
    mapping = Mapping({**PAIR, "rating": "r"}, feedback, rating_scale=(0.5, 5.0))
    assert [mapping.click({"u": 1, "i": 1, "r": r}).rating for r in (0.5, 2.75, 5, True)] == [0.0, 0.5, 1.0, 1.0]
    assert reason(mapping, {"u": 1, "i": 1, "r": 0.4}) == "bad-rating"


def test_actions() -> None:
    mapping = Mapping({**PAIR, "action": "a"})
    assert mapping.click({"u": 1, "i": 1, "a": "cart"}).action == "cart"
    assert mapping.click({"u": 1, "i": 1}).action == "click"
    assert reason(mapping, {"u": 1, "i": 1, "a": "stare"}) == "bad-action"
    assert reason(mapping, {"u": 1, "i": 1, "a": ["cart"]}) == "bad-action"


@pytest.mark.parametrize("text", [None, "", "  ", []])
def test_a_row_without_text_is_a_click(text: object) -> None:
    mapping = Mapping({**PAIR, "text": "t"})
    assert mapping.event({"u": 1, "i": 2, "t": text}) == Click(user_id="1", item_id="2")
    assert mapping.event({"u": 1, "i": 2, "t": "Good."}) == Review(user_id="1", item_id="2", text="Good.")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["1", "nan", "4.0", "2024-05-01", "[1, [2]]", "9" * 5000, "0001-01-01T00:00+14:00", "\udcff"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
EVERYTHING = Mapping({name: name for name in FIELDS} | {"brand": "brand.a", "title": "title.a.b"})
ROWS = st.fixed_dictionaries({}, optional=dict.fromkeys((*FIELDS, "brand", "title"), VALUES))
LIKELY = st.fixed_dictionaries({"user_id": st.integers(1, 9), "item_id": st.just("i"), "text": st.just("t")})


@settings(deadline=None)
@given(ROWS, st.none() | LIKELY)
def test_any_row_gives_an_event_or_an_event_error(row: dict[str, Any], likely: dict[str, Any] | None) -> None:
    for kind in KINDS:
        try:
            event = EVERYTHING.builder(kind)(row | (likely or {}))
        except EventError as error:
            assert error.reason in {"missing-field", "bad-time", "bad-rating", "bad-action", "invalid"}
        else:
            assert type(event) in STRUCTS
            number = getattr(event, "rating", None)
            assert number is None or 1 <= number <= 5
