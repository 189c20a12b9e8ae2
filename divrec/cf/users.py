"""Users with similar histories, over bounded inverted lists.

    sim(u, v) = Σ exp(-steps back / 10) / √(n(i) + β) / √(|v| + 20)

over u's recent items i that v is known to have liked; |v| is the number of items kept for v. The score of a candidate
sums sim over the nearest users who liked it (Sarwar et al., 2000; Jannach & Ludewig, 2017, for the recent items).

Of each user the last liked items are kept, as they stood with the user's latest interaction, and for each item the
last users who liked it. Users are counted through; the one with number n lies in row n mod ``bound``, until another
one comes to lie there. Who comes back later gets a new number.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.cf.neighbours import Ids, Weights
from divrec.compiled import compiled
from divrec.items import grown

USER_ITEMS = 50
"""Liked items kept per user, the latest."""
VISITORS = 64
"""Users kept per item, the latest who liked it."""
SMALLEST = 1_024
USER_DAMPING = 20.0


class UserTable:
    """``items[row, n]``: liked items, newest first, -1 where there are no more. ``visitors[item, n]``: user numbers."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.seen = 0
        """Numbers given out so far."""
        self.hashes: npt.NDArray[np.uint64] = np.zeros(0, np.uint64)
        self.items: Ids = np.full((0, USER_ITEMS), -1, np.int32)
        self.damped: Weights = np.zeros(0, np.float32)
        """By row: 1 / √(|v| + 20), derived from ``items``."""
        self.visitors: Ids = np.full((0, VISITORS), -1, np.int32)
        """A ring: the latest is at (visits - 1) mod ``VISITORS``."""
        self.visits: Ids = np.zeros(0, np.int32)
        """How often a user was put into the ring, modulo ``VISITORS``; -1 never comes."""
        self._numbers: dict[int, int] = {}

    def resize(self, capacity: int) -> None:
        self.visitors = grown(self.visitors, capacity, -1)
        self.visits = grown(self.visits, capacity)

    def clear(self, index: int) -> None:
        self.visitors[index] = -1
        self.visits[index] = 0

    def number(self, user: int) -> int:
        """The number of the user with this hash, -1 if there is none."""
        return self._numbers.get(user, -1)

    def enter(self, user: int) -> int:
        """The number of the user with this hash, a new one if there is none; -1 for the hash 0, which is nobody's."""
        if user == 0:
            return -1
        number = self._numbers.get(user, -1)
        return number if number >= 0 else self._new(user)

    def _new(self, user: int) -> int:
        number = self.seen
        row = number % self.bound
        if row >= len(self.hashes):
            capacity = min(self.bound, max(SMALLEST, 2 * len(self.hashes)))
            self.hashes = grown(self.hashes, capacity)
            self.items = grown(self.items, capacity, -1)
            self.damped = grown(self.damped, capacity)
        if number >= self.bound:
            del self._numbers[int(self.hashes[row])]
        self.hashes[row] = user
        self._numbers[user] = number
        self.seen += 1
        return number

    def rows(self) -> int:
        """Rows in use: all below."""
        return min(self.seen, self.bound)

    def restore(self, hashes: npt.NDArray[np.uint64], items: Ids, seen: int) -> None:
        """Take the users of ``rows()`` rows into this table, which must be empty."""
        capacity = min(self.bound, max(SMALLEST, len(hashes)))
        self.hashes = grown(hashes.copy(), capacity)
        self.items = grown(items.copy(), capacity, -1)
        self.damped = damped(self.items)
        self.seen = seen
        for row, user in enumerate(hashes.tolist()):
            self._numbers[user] = seen - 1 - (seen - 1 - row) % self.bound

    def drop_items(self, dropped: npt.NDArray[np.bool_]) -> None:
        """Forget items that leave the model; the places stay empty until the user's next interaction."""
        self.items[(self.items >= 0) & dropped[self.items]] = -1
        self.damped = damped(self.items)

    def arrays(self) -> "UserArrays":
        return UserArrays(
            self.items, self.damped, self.visitors, self.visits, max(0, self.seen - self.bound), self.bound
        )

    @property
    def nbytes(self) -> int:
        return self.hashes.nbytes + self.items.nbytes + self.damped.nbytes + self.visitors.nbytes + self.visits.nbytes


class UserArrays(NamedTuple):
    """What compiled code reads of a ``UserTable``."""

    items: Ids
    damped: Weights
    visitors: Ids
    visits: Ids
    oldest: int
    """Lowest number that still has its row."""
    bound: int


def damped(items: Ids) -> Weights:
    found: Weights = (1.0 / np.sqrt((items >= 0).sum(axis=1) + USER_DAMPING)).astype(np.float32)
    return found


@compiled
def learn_visit(
    user_items: Ids,
    user_damped: Weights,
    visitors: Ids,
    visits: Ids,
    number: int,
    bound: int,
    item: int,
    liked: bool,
    recent: npt.NDArray[np.int32],
    recent_liked: npt.NDArray[np.bool_],
) -> None:
    """The user with ``number`` turned to ``item`` after ``recent`` (newest first)."""
    row = number % bound
    kept = 0
    if liked:
        user_items[row, 0] = item
        kept = 1
        visitors[item, visits[item]] = number
        visits[item] = (visits[item] + 1) % VISITORS
    for n in range(len(recent)):
        if kept == USER_ITEMS:
            break
        if recent_liked[n] and recent[n] != item:
            user_items[row, kept] = recent[n]
            kept += 1
    for n in range(kept, USER_ITEMS):
        user_items[row, n] = -1
    user_damped[row] = 1.0 / np.sqrt(kept + USER_DAMPING)
