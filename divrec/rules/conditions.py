"""Whether an item matches conditions. What depends on the time is left to the slate."""

from collections.abc import Callable, Sequence

from divrec.events import Item
from divrec.rules.config import Condition

Test = Callable[[Item], bool]


def matcher(where: Sequence[Condition]) -> Test:
    """The test for all of ``where`` but bounds of age; of age only whether it is known."""
    tests = [_test(condition) for condition in where]
    return lambda item: all(test(item) for test in tests)


def _test(condition: Condition) -> Test:
    if condition.field in ("price", "age_days"):
        return _of_number(condition)
    return _of_text(condition)


def _of_number(condition: Condition) -> Test:
    if condition.missing:
        return lambda item: _number(condition, item) is None
    low = float("-inf") if condition.at_least is None else condition.at_least
    high = float("inf") if condition.below is None else condition.below

    def test(item: Item) -> bool:
        value = _number(condition, item)
        return value is not None and (condition.field == "age_days" or low <= value < high)

    return test


def _number(condition: Condition, item: Item) -> float | None:
    return item.price if condition.field == "price" else item.ts or None


def _of_text(condition: Condition) -> Test:
    field = condition.field
    if condition.missing:
        return lambda item: not _texts(field, item)
    any_of, none_of = (
        None if values is None else frozenset(_folded(field, value) for value in values)
        for values in (condition.any_of, condition.none_of)
    )
    parts = condition.contains and [_folded(field, value) for value in condition.contains]

    def test(item: Item) -> bool:
        texts = _texts(field, item)
        return (
            (condition.missing is None or bool(texts))
            and (any_of is None or not any_of.isdisjoint(texts))
            and (none_of is None or none_of.isdisjoint(texts))
            and (parts is None or any(part in text for text in texts for part in parts))
        )

    return test


def _texts(field: str, item: Item) -> list[str]:
    """What stands in the field: nothing, one text, or for categories several; a language also without its region."""
    found = item.categories if field == "categories" else [getattr(item, field) or ""]
    texts = [_folded(field, text) for text in found if text]
    return [*texts, *(text.partition("-")[0] for text in texts)] if field == "language" else texts


def _folded(field: str, text: str) -> str:
    return text if field == "item_id" else text.casefold()
