"""The items with the highest values, without looking at all of them."""

from collections.abc import Sequence

import numpy as np

from divrec.cf.neighbours import Ids
from divrec.cf.popularity import Values
from divrec.compiled import compiled


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
        touched = np.concatenate([*self._touched, order[self._known :]])
        for n, count in enumerate(self._counts):
            self._lists[n] = with_touched(self._lists[n], touched, values[n], places, count)
        self._touched = []
        self._waiting, self._known = 0, len(order)
        return self._lists


@compiled
def with_touched(leaders: Ids, touched: Ids, values: Values, places: Ids, count: int) -> Ids:
    """The ``count`` items with the highest values, best first, ties by ``places``, of ``leaders`` and ``touched``.

    ``leaders`` are in order but for those that are touched: these are taken out, and each goes to where it belongs.
    """
    out = np.empty(count + 1, np.int32)
    held = 0
    for item in leaders:
        if not _among(item, touched):
            out[held] = item
            held += 1
    for item in touched:
        low, high = 0, held
        while low < high:
            middle = (low + high) // 2
            if _before(out[middle], item, values, places):
                low = middle + 1
            else:
                high = middle
        if low == count or (low < held and out[low] == item):
            continue
        for at in range(min(held, count - 1), low, -1):
            out[at] = out[at - 1]
        out[low] = item
        held = min(held + 1, count)
    return out[:held]


@compiled
def _among(item: int, touched: Ids) -> bool:
    found = 0
    for other in touched:
        found += other == item
    return found > 0


@compiled
def _before(a: int, b: int, values: Values, places: Ids) -> bool:
    return bool(values[a] > values[b] or (values[a] == values[b] and places[a] < places[b]))
