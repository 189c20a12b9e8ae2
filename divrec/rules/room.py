"""What limits leave room for in one slate that is put together item by item, where slates explore."""

from collections import Counter
from collections.abc import Callable, Iterable

Shares = Callable[[int], Iterable[tuple[int, int]]]
"""Of an item's row: limits, by place, and which of its groups the item belongs to."""


class Room:
    """``most`` of each limit, by place."""

    def __init__(self, most: tuple[int, ...], shares: Shares) -> None:
        self._most, self._shares = most, shares
        self._counts: Counter[tuple[int, int]] = Counter()

    def fits(self, row: int) -> bool:
        return all(self._counts[group] < self._most[group[0]] for group in self._shares(row))

    def take(self, row: int) -> None:
        self._counts.update(self._shares(row))
