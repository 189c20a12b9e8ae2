"""Bytes of a message or a line to a checked event."""

import functools
from collections.abc import Callable
from typing import Any, Literal, TypeVar, overload

import msgspec

from divrec.config import FeedbackConfig
from divrec.data.mapping import Kind, Mapping
from divrec.errors import EventError
from divrec.events import MAX_MESSAGE_BYTES, Click, Item, Request, Review

T = TypeVar("T")
LogEvent = Click | Review | Request | Item
Decode = Callable[[bytes], T]

_STRUCTS: dict[Kind, Any] = {"click": Click, "review": Review, "request": Request, "item": Item}


def decode_event(data: bytes, shape: type[T]) -> T:
    """``data`` as an event of our own ``shape`` (a Struct of ``divrec.events``).

    Raises EventError with one of the reasons ``too-large``, ``not-json``, ``invalid``.
    """
    event: T = _decoded(functools.partial(msgspec.json.decode, type=shape), data)
    return event


def _decoded(decode: Callable[[bytes], T], data: bytes) -> T:
    if len(data) > MAX_MESSAGE_BYTES:
        raise EventError("too-large", f"expected at most {MAX_MESSAGE_BYTES} bytes, got {len(data)}")
    try:
        return decode(data)
    except msgspec.ValidationError as error:
        raise EventError("invalid", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EventError("not-json", str(error)) from None
    except RecursionError:
        raise EventError("invalid", "expected a shallow object, got one that is nested too deep") from None


@overload
def decoder(kind: Literal["click"], columns: dict[str, str], feedback: FeedbackConfig) -> Decode[Click]: ...
@overload
def decoder(kind: Literal["review"], columns: dict[str, str], feedback: FeedbackConfig) -> Decode[Review]: ...
@overload
def decoder(kind: Literal["request"], columns: dict[str, str], feedback: FeedbackConfig) -> Decode[Request]: ...
@overload
def decoder(kind: Literal["item"], columns: dict[str, str], feedback: FeedbackConfig) -> Decode[Item]: ...
def decoder(kind: Kind, columns: dict[str, str], feedback: FeedbackConfig) -> Decode[Any]:
    """The function that turns a message of an input topic into an event of ``kind``.

    Without ``columns`` the topic carries our own shape; otherwise JSON objects that they map. The function raises
    EventError (reasons of ``decode_event`` and of ``Mapping``), this one ConfigError.
    """
    if not columns:
        return own_decoder(_STRUCTS[kind], feedback)
    mapping = Mapping(columns, feedback)
    mapping.require(kind)
    build = mapping.builder(kind)
    decode = msgspec.json.Decoder(dict[str, Any]).decode

    def decode_mapped(data: bytes) -> Any:
        return build(_decoded(decode, data))

    return decode_mapped


def several_decoder(
    kind: Kind, columns: dict[str, str], feedback: FeedbackConfig
) -> Callable[[bytes], list[tuple[str, Any]]]:
    """Like ``decoder``, for messages that may hold several events (``lines[].sku``): all of them, or EventError.

    With each comes what makes its id out of that of the message: nothing, or ``/0``, ``/1`` and so on.
    """
    mapping = Mapping(columns, feedback) if columns else None
    if mapping is None or mapping.array is None:
        decode_one: Decode[Any] = decoder(kind, columns, feedback)
        return lambda data: [("", decode_one(data))]
    mapping.require(kind, several=True)
    split, build, array = mapping.rows, mapping.builder(kind), mapping.array
    decode = msgspec.json.Decoder(dict[str, Any]).decode

    def decode_several(data: bytes) -> list[tuple[str, Any]]:
        events = []
        for number, row in enumerate(split(_decoded(decode, data))):
            try:
                events.append((f"/{number}", build(row)))
            except EventError as error:
                raise EventError(error.reason, f"element {number} of {array}: {error}") from None
        return events

    return decode_several


def own_decoder(shape: Any, feedback: FeedbackConfig) -> Decode[Any]:
    """Decodes our own ``shape`` (a Struct or a union of them), whose ratings must lie on the configured scale."""
    decode = msgspec.json.Decoder(shape).decode
    low, high = feedback.rating_min, feedback.rating_max

    def decode_own(data: bytes) -> Any:
        event = _decoded(decode, data)
        rating = getattr(event, "rating", None)
        if rating is not None and not low <= rating <= high:
            raise EventError("bad-rating", f"rating: expected one in [{low:g}, {high:g}], got {rating:g}")
        return event

    return decode_own
