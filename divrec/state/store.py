"""What divrec asks of a profile store.

A profile's version is the ``events`` offset that it stands at: profiles of one user at one offset hold the same
events. The watermark of a partition is the offset up to which every profile of it was saved.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

NOTHING = -1
"""Offset of a profile or watermark that is not there."""


class Loaded(NamedTuple):
    profiles: dict[str, bytes]
    """Encoded profiles of the users that have one."""
    watermarks: dict[int, int]
    """By partition, ``NOTHING`` where there is none."""


class Write(NamedTuple):
    user_id: str
    expected: int
    """Offset of the profile that was loaded, ``NOTHING`` if there was none."""
    offset: int
    profile: bytes
    slate: bytes | None
    """The latest slate, None to leave it as it is."""


class Advance(NamedTuple):
    """Move the watermark of a partition from ``expected`` to ``offset``."""

    expected: int
    offset: int


class Saved(NamedTuple):
    conflicts: frozenset[str]
    """Users whose profile stands at another offset than expected: theirs was not written, the others were."""
    advanced: bool
    """Whether all watermarks moved on: only without conflicts, and if all were as expected."""


class Store(Protocol):
    """Every method is one round trip and raises StoreUnavailable while the store cannot be reached."""

    async def load(self, user_ids: Sequence[str], partitions: Sequence[int]) -> Loaded: ...

    async def save(self, writes: Sequence[Write], advances: Mapping[int, Advance]) -> Saved: ...

    async def latest_slate(self, user_id: str) -> bytes | None: ...

    async def close(self) -> None: ...
