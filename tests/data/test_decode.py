import json
import operator
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from divrec.config import FeedbackConfig
from divrec.data.decode import decode_event, decoder
from divrec.data.mapping import FIELDS, Kind
from divrec.errors import ConfigError, EventError
from divrec.events import MAX_MESSAGE_BYTES, Click, Item, Request, Review

FEEDBACK = FeedbackConfig()
KINDS: tuple[Kind, ...] = ("click", "review", "request", "item")
STRUCTS = {"click": Click, "review": Review, "request": Request, "item": Item}
COLUMNS = {name: name for name in FIELDS}


def reason(kind: Any, data: bytes, columns: dict[str, str] | None = None) -> str:
    with pytest.raises(EventError) as caught:
        decoder(kind, columns or {}, FEEDBACK)(data)
    return caught.value.reason


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "not-json"),
        (b"{", "not-json"),
        (b'{"user_id": "\xff", "item_id": "i"}', "not-json"),
        (b'{"user_id": "\\ud800", "item_id": "i"}', "not-json"),
        (b'{"user_id": "u", "item_id": "i", "rating": NaN}', "not-json"),
        (b"[]", "invalid"),
        (b"null", "invalid"),
        (b'{"user_id": "u"}', "invalid"),
        (b'{"user_id": 1, "item_id": "i"}', "invalid"),
        (b'{"user_id": "", "item_id": "i"}', "invalid"),
        (b'{"kind": "review", "user_id": "u", "item_id": "i"}', "invalid"),
        (b'{"user_id": "u", "item_id": "i", "action": "stare"}', "invalid"),
        (b'{"user_id": "u", "item_id": "i", "ts": -1}', "invalid"),
        (b'{"user_id": "u", "item_id": "i", "rating": 1e999}', "invalid"),
        (b'{"user_id": "u", "item_id": "i", "rating": 5.5}', "bad-rating"),
        (b'{"user_id": "u", "item_id": "i", "rating": 0}', "bad-rating"),
        (b'{"user_id": "u", "item_id": "i", "x": "' + b"x" * MAX_MESSAGE_BYTES + b'"}', "too-large"),
        (b'{"user_id": "u", "item_id": "i", "x": ' + b"[" * 200_000, "invalid"),
    ],
)
def test_reasons_for_our_own_shape(data: bytes, expected: str) -> None:
    assert reason("click", data) == expected


def test_kind_may_be_left_out_where_the_topic_says_it() -> None:
    assert decoder("click", {}, FEEDBACK)(b'{"user_id":"u","item_id":"i"}') == Click(user_id="u", item_id="i")


def test_decode_event_has_the_same_limits() -> None:
    assert decode_event(b'{"user_id":"u","item_id":"i","rating":9}', Click).rating == 9  # it knows no scale
    for data, expected in ((b" " * (MAX_MESSAGE_BYTES + 1), "too-large"), (b"x", "not-json"), (b"{}", "invalid")):
        with pytest.raises(EventError) as caught:
            decode_event(data, Click)
        assert caught.value.reason == expected


def test_a_mapped_topic() -> None:
    columns = {"user": "customer.id", "item": "line.sku", "action": "=purchase", "rating": "stars"}
    decode = decoder("click", columns, FEEDBACK)
    assert decode(b'{"customer": {"id": 7}, "line": {"sku": "A"}, "stars": 4}') == Click(
        user_id="7", item_id="A", action="purchase", rating=4.0
    )
    assert reason("click", b'{"customer": 7}', columns) == "missing-field"
    assert reason("click", b'{"customer": {"id": 7}, "line": {"sku": "A"}, "stars": 9}', columns) == "bad-rating"
    assert reason("click", b"[1]", columns) == "invalid"
    assert reason("click", b"x", columns) == "not-json"
    assert reason("click", b" " * (MAX_MESSAGE_BYTES + 1), columns) == "too-large"
    with pytest.raises(ConfigError, match="item_id"):
        decoder("click", {"user": "u"}, FEEDBACK)


DECODERS = [decode for kind in KINDS for decode in (decoder(kind, {}, FEEDBACK), decoder(kind, COLUMNS, FEEDBACK))]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner, max_size=8),
    max_leaves=12,
)
LIKELY = st.dictionaries(st.sampled_from(["user_id", "item_id", "text"]), st.text())
EVENTS = st.builds(operator.or_, st.fixed_dictionaries({}, optional=dict.fromkeys(("kind", *FIELDS), JSON)), LIKELY)


@settings(deadline=None)
@given(st.binary() | st.text().map(str.encode) | (JSON | EVENTS).map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(b'{"user_id":' * 900 + b"1" + b"}" * 900)
@example(b'{"item_id":"i","user_id":"u","text":"t","categories":' + b"[" * 400 + b"]" * 400 + b"}")
@example(b'{"user_id":' + b"9" * 5_000 + b"}")
@example(b'{"user_id":' + b"9" * 4_299 + b',"item_id":1}')
def test_any_bytes_give_an_event_or_an_event_error(data: bytes) -> None:
    for decode in DECODERS:
        try:
            event: Any = decode(data)
        except EventError as error:
            assert error.reason
            assert len(str(error)) < 2_000
        else:
            assert type(event) in STRUCTS.values()
            msgspec.json.encode(event)


def test_nesting_near_the_limit_of_the_interpreter() -> None:
    for depth in range(100, sys.getrecursionlimit() + 50, 7):
        data = b'{"item_id":"i","user_id":"u","text":"t","title":' + b"[" * depth + b"]" * depth + b"}"
        for decode in DECODERS:
            try:
                decode(data)
            except EventError as error:
                assert error.reason in {"invalid", "missing-field"}
