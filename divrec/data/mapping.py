"""Rows of any shape to our events: which of their columns is which of our fields.

The same mapping serves log readers (a row of a CSV file or a JSON line) and input topics (a JSON object).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

import msgspec

from divrec.config import FeedbackConfig
from divrec.data.values import (
    rating_reader,
    read_count,
    read_flag,
    read_id,
    read_number,
    read_text,
    read_time,
    shown,
    words_reader,
)
from divrec.errors import ConfigError, EventError
from divrec.events import Action, Click, Item, Request, Review

Kind = Literal["click", "request", "review", "item"]
Row = dict[str, Any]
Read = Callable[[object], object]
E = TypeVar("E", Click, Review, Item, Request)

_ACTIONS = frozenset(get_args(Action))
_SHORT = {"user": "user_id", "item": "item_id"}
_REASONS = {"ts": "bad-time", "rating": "bad-rating", "action": "bad-action"}

_FIELDS: dict[Kind, tuple[str, ...]] = {
    "click": ("user_id", "item_id", "action", "rating", "ts", "event_id"),
    "review": ("user_id", "item_id", "text", "title", "rating", "language", "ts", "event_id"),
    "request": ("user_id", "request_id", "k", "diversity", "ts", "event_id"),
    "item": (
        *("item_id", "title", "description", "categories", "brand", "seller", "price", "language", "available"),
        *("ts", "event_id"),
    ),
}
_REQUIRED: dict[Kind, tuple[str, ...]] = {
    "click": ("user_id", "item_id"),
    "review": ("user_id", "item_id", "text"),
    "request": ("user_id",),
    "item": ("item_id",),
}
MAX_EVENTS = 500
"""Events that one row may hold."""
FIELDS = tuple(dict.fromkeys(name for names in _FIELDS.values() for name in names))
"""The names that a mapping may give columns to (``user`` and ``item`` are short for ``user_id`` and ``item_id``)."""


def parse_map(text: str) -> dict[str, str]:
    """``"user=reviewerID,item=asin,action==purchase"`` as our fields to their columns.

    >>> parse_map("user=reviewerID,action==purchase")
    {'user_id': 'reviewerID', 'action': '=purchase'}

    Raises ConfigError.
    """
    pairs: list[tuple[str, str]] = []
    for part in text.split(","):
        name, equals, column = part.partition("=")
        if not equals:
            raise ConfigError(f"mapping: expected our_field=their_column with commas between, got {part!r}")
        pairs.append((name.strip(), column.strip()))
    return _checked(pairs)


def _checked(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for name, column in pairs:
        known = _SHORT.get(name, name)
        if known not in FIELDS:
            raise ConfigError(f"mapping: unknown field {name!r}; known are {', '.join((*_SHORT, *FIELDS))}")
        if known in columns:
            raise ConfigError(f"mapping: {known} is given twice")
        if column in ("", "="):
            raise ConfigError(f"mapping: {name} needs a column or, after a second '=', a constant")
        array, several, rest = column.partition("[]")
        if several and column[0] != "=" and (not array or "[]" in rest or (rest and (rest[0] != "." or rest == "."))):
            raise ConfigError(f"mapping: {name}: expected one '[]', behind an array: lines[].sku; got {column!r}")
        columns[known] = column
    return columns


@dataclass(frozen=True)
class Mapping:
    """Our fields to their columns.

    A dot in a column reaches into nested objects (a column of exactly that name comes first); ``lines[].sku`` is the
    ``sku`` of each element of ``lines``, which are one event each (``rows``); ``=value`` is a constant. A column that
    is absent, null or empty counts as not given. ``separator`` stands between categories that come as one text (a JSON
    list works as well). Ratings must lie on the configured scale, or on ``rating_scale``, which is then laid linearly
    over the configured one.

    ``click``, ``review``, ``item`` and ``request`` turn a row into an event and raise EventError with one of the
    reasons ``missing-field``, ``bad-time``, ``bad-rating``, ``bad-action``, ``invalid``. The constructor raises
    ConfigError.
    """

    columns: dict[str, str]
    feedback: FeedbackConfig = field(default_factory=FeedbackConfig)
    separator: str = "|"
    rating_scale: tuple[float, float] | None = None
    array: str | None = field(init=False, repr=False, compare=False)
    """The column whose elements are one event each, None where a row is one event."""
    _text: Callable[[Row], object] = field(init=False, repr=False, compare=False)
    _builders: dict[Kind, Callable[[Row], Any]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", _checked(self.columns.items()))
        arrays = {to.partition("[]")[0] for to in self.columns.values() if "[]" in to and to[0] != "="}
        if len(arrays) > 1:
            raise ConfigError(f"mapping: expected '[]' behind one array, got {', '.join(sorted(arrays))}")
        object.__setattr__(self, "array", arrays.pop() if arrays else None)
        readers = self._readers()
        constants = {name: self._constant(name, readers[name]) for name, to in self.columns.items() if to[0] == "="}
        gets = {name: _getter(to) for name, to in self.columns.items() if name not in constants}
        structs: dict[Kind, Any] = {"click": Click, "review": Review, "request": Request, "item": Item}
        builders = {
            kind: _builder(
                structs[kind],
                {name: constants[name] for name in names if name in constants},
                [
                    (name, self.columns[name], get, readers[name], _REASONS.get(name, "invalid"))
                    for name, get in gets.items()
                    if name in names
                ],
                _REQUIRED[kind],
            )
            for kind, names in _FIELDS.items()
        }
        object.__setattr__(self, "_builders", builders)
        object.__setattr__(self, "_text", gets.get("text", lambda _: constants.get("text")))

    def require(self, kind: Kind, *, several: bool = False) -> None:
        """Raises ConfigError unless every field that a ``kind`` must have is mapped, and, unless there may be
        ``several`` in a row, if there are."""
        if self.array is not None and not several:
            raise ConfigError(f"mapping: {self.array}[]: only a message of clicks or requests may hold several events")
        missing = [name for name in _REQUIRED[kind] if name not in self.columns]
        if missing:
            raise ConfigError(
                f"mapping: a {kind} needs {', '.join(_REQUIRED[kind])}, but nothing is mapped to {', '.join(missing)}"
            )

    def rows(self, row: Row) -> Iterator[Row]:
        """The 1 to MAX_EVENTS rows of one event each that ``row`` holds, in the order of the array.

        Each is ``row`` itself, which points to another element until the next one is asked for. Raises EventError
        (``missing-field``, ``invalid``).
        """
        if self.array is None:
            yield row
            return
        elements = _getter(self.array)(row)
        if elements is None or elements == []:
            raise EventError("missing-field", f"expected a list in {self.array}, got {shown(elements)}")
        if not isinstance(elements, list) or len(elements) > MAX_EVENTS:
            got = f"{len(elements)} elements" if isinstance(elements, list) else shown(elements)
            raise EventError("invalid", f"expected a list of at most {MAX_EVENTS} in {self.array}, got {got}")
        for element in elements:
            row[f"{self.array}[]"] = element
            yield row

    def click(self, row: Row) -> Click:
        event: Click = self._builders["click"](row)
        return event

    def review(self, row: Row) -> Review:
        event: Review = self._builders["review"](row)
        return event

    def item(self, row: Row) -> Item:
        event: Item = self._builders["item"](row)
        return event

    def request(self, row: Row) -> Request:
        event: Request = self._builders["request"](row)
        return event

    def event(self, row: Row) -> Click | Review:
        """A Review where the row has a text, else a Click."""
        text = self._text(row)
        if text is None or (not text.strip() if isinstance(text, str) else text == []):
            return self.click(row)
        return self.review(row)

    def builder(self, kind: Kind) -> Callable[[Row], Any]:
        """The function behind ``click``, ``review``, ``item`` or ``request``, for hot loops."""
        return self._builders[kind]

    def _readers(self) -> dict[str, Read]:
        scale = (self.feedback.rating_min, self.feedback.rating_max)
        readers: dict[str, Read] = dict.fromkeys(FIELDS, read_text)
        readers |= dict.fromkeys(("user_id", "item_id", "event_id", "request_id"), read_id)
        readers |= dict.fromkeys(("price", "diversity"), read_number)
        return readers | {
            "action": _read_action,
            "rating": rating_reader(scale, self.rating_scale),
            "ts": read_time,
            "categories": words_reader(self.separator),
            "available": read_flag,
            "k": read_count,
        }

    def _constant(self, name: str, read: Read) -> object:
        try:
            return read(self.columns[name][1:])
        except ValueError as error:
            raise ConfigError(f"mapping: the constant of {name}: {error}") from None


def _read_action(value: object) -> str:
    if isinstance(value, str) and value in _ACTIONS:
        return value
    raise ValueError(f"expected one of {', '.join(get_args(Action))}, got {shown(value)}")


def _getter(column: str) -> Callable[[Row], object]:
    array, several, rest = column.partition("[]")
    if several:
        place, within = f"{array}[]", _getter(rest[1:]) if rest else None

        def reach_within(row: Row) -> object:
            element = row.get(place)
            if within is None:
                return element
            return within(element) if isinstance(element, dict) else None

        return reach_within
    if "." not in column:
        return lambda row: row.get(column)
    path = column.split(".")

    def reach(row: Row) -> object:
        if (value := row.get(column)) is not None:
            return value
        value = row
        for name in path:
            if not isinstance(value, dict):
                return None
            value = value.get(name)
        return value

    return reach


def _builder(
    struct: type[E],
    constants: dict[str, object],
    plan: list[tuple[str, str, Callable[[Row], object], Read, str]],
    required: tuple[str, ...],
) -> Callable[[Row], E]:
    convert = msgspec.convert

    def build(row: Row) -> E:
        values = constants.copy()
        for name, column, get, read, reason in plan:
            value = get(row)
            if value is None or value == "":
                continue
            try:
                values[name] = read(value)
            except ValueError as error:
                raise EventError(reason, f"{name} (their {column}): {error}") from None
        for name in required:
            if not values.get(name):
                raise EventError("missing-field", f"{struct.__name__}: expected {name}, got none")
        try:
            return convert(values, struct)
        except (msgspec.ValidationError, UnicodeError) as error:
            raise EventError("invalid", f"{struct.__name__}: {error}") from None

    return build
