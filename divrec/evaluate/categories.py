"""The categories of items, for diversity and calibration."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from divrec.evaluate.ranker import Interaction
from divrec.evaluate.stream import Ids, Stream
from divrec.events import Item

MOST = 128
"""Categories that count, the most frequent ones: a byte each for an item, four for a user."""

Shares = npt.NDArray[np.float32]


class Categories:
    """Which item has which, and how often users turned to each with their positive events."""

    def __init__(self, stream: Stream, described: Mapping[str, Item]) -> None:
        held = (described[item_id].categories for item_id in stream.items if item_id in described)
        frequent = Counter(category for categories in held for category in categories).most_common(MOST)
        self.names = [name for name, _ in frequent]
        place = {name: at for at, name in enumerate(self.names)}
        # One row more, all zero: the empty place -1.
        self._flags: npt.NDArray[np.uint8] = np.zeros((len(stream.items) + 1, len(place)), np.uint8)
        for number, item_id in enumerate(stream.items):
            if (item := described.get(item_id)) is not None:
                self._flags[number, [place[name] for name in item.categories if name in place]] = 1
        self._profiles: Shares = np.zeros((len(stream.users), len(place)), np.float32)

    def __len__(self) -> int:
        return len(self.names)

    def learn(self, event: Interaction) -> None:
        if event.positive and (count := int((flags := self._flags[event.item]).sum())):
            self._profiles[event.user] += flags / np.float32(count)

    def profile(self, user: int) -> Shares:
        """How often the user turned to each so far; an item's categories share it."""
        counts: Shares = self._profiles[user]
        return counts

    def of(self, slates: Ids) -> Shares:
        """Flags float32[n, k, categories]."""
        flags: Shares = self._flags[slates].astype(np.float32)
        return flags

    @staticmethod
    def shares(flags: Shares) -> Shares:
        """Flags float32[n, k, categories] to the shares of the slates float32[n, categories], every item alike."""
        each = flags / np.maximum(flags.sum(axis=2, keepdims=True), 1)
        total: Shares = each.sum(axis=1)
        return total
