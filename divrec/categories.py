"""The categories of items as numbers, for compiled code.

A name has a number as long as an item has it. Numbers are local to a process: slates do not depend on them.
"""

from collections.abc import Sequence
from sys import getsizeof

import numpy as np
import numpy.typing as npt

from divrec.items import grown

PER_ITEM = 8
"""Categories of an item that count: the first ones."""
MAX_NAMES = 65_536
"""Different categories that count at a time; others are as if no item had them, until names become free."""

Numbers = npt.NDArray[np.int32]


class ItemCategories:
    """Numbers of each item's categories in the order of the item, int32[capacity, PER_ITEM], -1 behind the last."""

    def __init__(self, max_names: int = MAX_NAMES) -> None:
        self.max_names = max_names
        self.numbers: Numbers = np.full((0, PER_ITEM), -1, np.int32)
        self._number: dict[str, int] = {}
        self._names: list[str] = []
        self._items: list[int] = []
        """By number: how many items have it."""
        self._free: list[int] = []
        self._names_bytes = 0

    def __len__(self) -> int:
        return len(self._number)

    def resize(self, capacity: int) -> None:
        self.numbers = grown(self.numbers, capacity, -1)

    def put(self, index: int, names: Sequence[str]) -> None:
        """The item at ``index`` has the categories ``names`` (small and capital letters alike), and no others."""
        folded = list(dict.fromkeys(name.casefold() for name in names))[:PER_ITEM]
        found = [number for number in map(self._enter, folded) if number >= 0]  # before the old ones may leave
        for number in self.numbers[index].tolist():
            if number >= 0:
                self._leave(number)
        self.numbers[index] = -1
        self.numbers[index, : len(found)] = found

    def _enter(self, name: str) -> int:
        number = self._number.get(name, -1)
        if number < 0:
            if len(self._number) == self.max_names:
                return -1
            if self._free:
                number = self._free.pop()
                self._names[number] = name
            else:
                number = len(self._names)
                self._names.append(name)
                self._items.append(0)
            self._number[name] = number
            self._names_bytes += getsizeof(name)
        self._items[number] += 1
        return number

    def _leave(self, number: int) -> None:
        self._items[number] -= 1
        if self._items[number] == 0:
            name = self._names[number]
            del self._number[name]
            self._names[number] = ""
            self._free.append(number)
            self._names_bytes -= getsizeof(name)

    @property
    def nbytes(self) -> int:
        return self.numbers.nbytes + self._names_bytes + sum(map(getsizeof, (self._number, self._names, self._items)))
