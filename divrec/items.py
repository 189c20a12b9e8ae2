"""Dense local indices of item ids: one number space for the arrays of model and catalogue.

Indices are local to a process: they never leave it, and nothing that replicas must agree on depends on their values.
"""

from collections.abc import Sequence
from hashlib import blake2b
from itertools import repeat
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=np.generic)


def hash64(text: str) -> int:
    """The 64-bit hash by which ids are remembered (blake2b: the same in every process and version)."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def fingerprint(item_id: str) -> int:
    """32-bit hash of an item id, as kept in the consumed set of a profile."""
    return hash64(item_id) >> 32


class ItemArrays(Protocol):
    """Something that holds arrays by item index."""

    def resize(self, capacity: int) -> None:
        """Make room for indices below ``capacity``."""

    def clear(self, index: int) -> None:
        """Forget what is held for ``index``, which will be given to another item."""

    def entered(self, index: int, item_id: str) -> None:
        """``index`` was given to ``item_id``."""

    def holds(self, index: int) -> bool:
        """Whether ``index`` must stay with its item."""


class ItemIndex:
    """Item id to index and back; indices of forgotten items are used again.

    ``epoch`` changes whenever an index may have changed its meaning: whoever caches indices compares it.
    """

    def __init__(self, capacity: int = 1_024) -> None:
        self.capacity = capacity
        self.epoch = 0
        self.ids: list[str | None] = []
        self.fingerprints: npt.NDArray[np.uint32] = np.zeros(capacity, np.uint32)
        self._index: dict[str, int] = {}
        self._free: list[int] = []
        self._arrays: list[ItemArrays] = []

    def __len__(self) -> int:
        return len(self._index)

    def attach(self, arrays: ItemArrays) -> None:
        self._arrays.append(arrays)
        arrays.resize(self.capacity)

    def get(self, item_id: str) -> int:
        """The index, or -1."""
        return self._index.get(item_id, -1)

    def rows(self, item_ids: Sequence[str]) -> npt.NDArray[np.int32]:
        """The index of each, or -1."""
        return np.fromiter(map(self._index.get, item_ids, repeat(-1)), np.int32, len(item_ids))

    def id(self, index: int) -> str:
        item_id = self.ids[index]
        assert item_id is not None, f"index {index} is not in use"
        return item_id

    def add(self, item_id: str) -> int:
        """The index of ``item_id``, a new one if it has none."""
        index = self._index.get(item_id, -1)
        if index >= 0:
            return index
        if self._free:
            index = self._free.pop()
            self.ids[index] = item_id
        else:
            index = len(self.ids)
            self.ids.append(item_id)
            if index >= self.capacity:
                self._grow()
        self._index[item_id] = index
        self.fingerprints[index] = fingerprint(item_id)
        for arrays in self._arrays:
            arrays.entered(index, item_id)
        return index

    def release_if_unused(self, index: int) -> None:
        """Forget the item at ``index`` unless one of the attached arrays holds it."""
        if any(arrays.holds(index) for arrays in self._arrays):
            return
        del self._index[self.id(index)]
        self.ids[index] = None
        for arrays in self._arrays:
            arrays.clear(index)
        self._free.append(index)
        self.epoch += 1

    def _grow(self) -> None:
        self.capacity *= 2
        self.fingerprints = grown(self.fingerprints, self.capacity)
        for arrays in self._arrays:
            arrays.resize(self.capacity)


def grown(array: npt.NDArray[T], capacity: int, fill: float = 0) -> npt.NDArray[T]:
    """A copy of ``array`` with ``capacity`` rows, new ones filled with ``fill``."""
    if len(array) >= capacity:
        return array
    bigger = np.full((capacity, *array.shape[1:]), fill, array.dtype)
    bigger[: len(array)] = array
    return bigger
