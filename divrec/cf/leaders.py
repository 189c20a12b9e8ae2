"""The items with the highest values, without looking at all of them."""

from collections.abc import Sequence

import numpy as np

from divrec.cf.neighbours import Ids
from divrec.cf.popularity import Values


class Leaders:
    """Of several values of items, the ``counts`` highest of each, best first, ties in the order of the model.

    Values of items that are not touched only shrink, all by one factor: who was not among the first and was not touched
    since is not among them now.
    """

    def __init__(self, *counts: int) -> None:
        self._counts = counts
        self.forget()

    def forget(self) -> None:
        """Look at all items the next time."""
        self._lists = [np.zeros(0, np.int32) for _ in self._counts]
        self._touched: list[Ids] = []
        self._waiting = self._known = 0

    def touch(self, items: Ids) -> None:
        """The values of ``items`` may have grown."""
        if self._known == 0:  # all will be looked at
            return
        self._touched.append(items)
        self._waiting += len(items)
        if self._waiting > self._known:
            self.forget()

    def renewed(self, values: Sequence[Values], order: Ids, places: Ids) -> list[Ids]:
        """The lists as they are now. ``order`` holds all items, ``places`` by item where it stands in it."""
        touched = np.unique(np.concatenate([*self._touched, order[self._known :]]))
        for n, count in enumerate(self._counts):
            self._lists[n] = highest(np.union1d(self._lists[n], touched), values[n], places, count)
        self._touched = []
        self._waiting, self._known = 0, len(order)
        return self._lists


def highest(items: Ids, values: Values, places: Ids, count: int) -> Ids:
    """The ``count`` of ``items`` with the highest of ``values``, best first, ties by their ``places``."""
    value = values[items]
    if len(items) > count:
        kept = value >= np.partition(value, len(value) - count)[len(value) - count]
        items, value = items[kept], value[kept]
    return items[np.lexsort((places[items], -value))][:count]
