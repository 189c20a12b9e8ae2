"""One foreign value (a JSON value or a text cell) to one of ours.

Every reader takes the value and returns ours, or raises ValueError saying what was expected and what came. They never
guess: a value that could mean two things is refused, unless the rule is stated here.
"""

import json
import math
import reprlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_EXACT = 2**53
"""Beyond it two ids written as floats may have become one."""

_TRUE = frozenset({"true", "yes", "1"})
_FALSE = frozenset({"false", "no", "0"})


def shown(value: object) -> str:
    """``value`` as a short text for an error message."""
    try:
        return reprlib.repr(value)
    except ValueError:  # an int of thousands of digits has no repr
        return f"a huge {type(value).__name__}"


def _refuse(expected: str, value: object) -> ValueError:
    return ValueError(f"expected {expected}, got {shown(value)}")


def _number(value: object, expected: str) -> int | float:
    """A finite number or its text."""
    if isinstance(value, datetime):
        return _millis(value, value)
    if isinstance(value, str):
        try:
            number: int | float = int(value)
        except ValueError:
            try:
                number = float(value)
            except ValueError:
                raise _refuse(expected, value) from None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = value
    else:
        raise _refuse(expected, value)
    if not -1e300 < number < 1e300:
        raise _refuse(expected, value)
    return number


def read_id(value: object) -> str:
    """Text as it is; a whole number as its digits (``123.0`` as ``"123"``)."""
    if isinstance(value, str):
        return read_text(value)
    if isinstance(value, bool):
        raise _refuse("an id (text or a whole number)", value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        value = int(value)
    if isinstance(value, int):
        return str(value)
    raise _refuse("an id (text or a whole number)", value)


def read_text(value: object) -> str:
    """Text; a number as its digits; a list of texts as lines."""
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise _refuse("text that UTF-8 can express", value) from None
        return value
    if isinstance(value, list):
        return "\n".join([_part(part) for part in value if part is not None])
    return str(_number(value, "text"))


def _part(value: object) -> str:
    """Lists within lists are refused: nothing here recurses as deep as the input likes."""
    if isinstance(value, list):
        raise _refuse("text", value)
    return read_text(value)


def words_reader(separator: str) -> Callable[[object], list[str]]:
    """Reads a JSON list, the text of one, or texts with ``separator`` between them; empty and repeated ones go."""

    def read_words(value: object) -> list[str]:
        parts: list[Any]
        if isinstance(value, list):
            parts = value
        else:
            text = read_text(value)
            parts = text.split(separator)
            if text.startswith("["):
                try:
                    parts = json.loads(text)
                except (ValueError, RecursionError):
                    raise _refuse(f"a JSON list or words with {separator!r} between them", text) from None
        words = (_part(part).strip() for part in parts if part is not None)
        return list(dict.fromkeys(word for word in words if word))

    return read_words


def read_time(value: object) -> int:
    """Epoch milliseconds UTC from an epoch number, its text, an ISO date and time, or a datetime.

    The unit of a number follows from its size: below 1e11 seconds (to the year 5138), below 1e14 milliseconds (from
    March 1973), below 1e17 microseconds, beyond that nanoseconds. Text of digits alone is a number. A date without an
    offset is UTC; a trailing ``UTC`` is understood.
    """
    if isinstance(value, datetime):
        return _millis(value, value)
    if isinstance(value, str):
        try:
            number: int | float = int(value)
        except ValueError:
            try:
                number = float(value)
            except ValueError:
                return _iso(value)
    else:
        number = _number(value, "a time")
    if 0 <= number < 1e11:
        return number * 1_000 if isinstance(number, int) else round(number * 1_000)
    if 0 <= number < 1e14:
        return int(number)
    if 0 <= number < 1e17:
        return int(number) // 1_000
    if 0 <= number < 1e20:
        return int(number) // 1_000_000
    raise _refuse("a time from 1970 on", value)


def _iso(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.strip().removesuffix("UTC").rstrip())
    except ValueError:
        raise _refuse("epoch seconds, milliseconds or an ISO date", text) from None
    return _millis(moment, text)


def _millis(moment: datetime, value: object) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    millis = (moment - _EPOCH) // _MILLISECOND
    if millis < 0:
        raise _refuse("a time from 1970 on", value)
    return millis


def rating_reader(scale: tuple[float, float], source: tuple[float, float] | None) -> Callable[[object], float]:
    """Reads a number or a boolean (true is the best, false the worst) as a rating on ``scale``.

    Numbers must lie on ``source`` (by default ``scale`` itself), whose range is laid linearly over ``scale``.
    """
    low, high = scale
    first, last = source or scale
    same = (first, last) == (low, high)
    expected = f"a rating in [{first:g}, {last:g}] or a boolean"

    def read_rating(value: object) -> float:
        if isinstance(value, bool):
            return high if value else low
        if isinstance(value, str) and (word := value.lower()) in ("true", "false"):
            return high if word == "true" else low
        number = float(_number(value, expected))
        if not first <= number <= last:
            raise _refuse(expected, value)
        if same:
            return number
        return min(max(low + (number - first) / (last - first) * (high - low), low), high)

    return read_rating


def read_number(value: object) -> float:
    """A finite number or its text."""
    return float(_number(value, "a number"))


def read_count(value: object) -> int:
    """A whole number or its text."""
    number = _number(value, "a whole number")
    if number != math.floor(number):
        raise _refuse("a whole number", value)
    return int(number)


def read_flag(value: object) -> bool:
    """A boolean, 0 or 1, or one of the words true, false, yes, no."""
    word = value.strip().lower() if isinstance(value, str) else str(value).lower() if isinstance(value, int) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise _refuse("true or false", value)
