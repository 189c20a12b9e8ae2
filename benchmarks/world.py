"""A made-up shop for soak tests: users and items come and go for as long as it is asked, from a seed.

Users arrive all the time and stay a while; the longer they are there, the more they do. Each is after some categories,
and which ones drifts. Items enter and are withdrawn, some come back; of a category the older ones are chosen more often
(a power law). Now and then someone acts on an item that is long gone, an event comes late, or comes twice.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divrec.events import Action, Click, Event, Item, ItemVector, Request, Review, pack_vector

START_MS = 1_700_000_000_000
STEP_MS = 10_000
CATEGORIES = 40
DRIFT = 20_000
"""Events after which everyone is after the next category."""
STAY = 100
"""Events for each new user."""
ENTERING = 0.1
"""Items for each event; once there are enough, as many are withdrawn."""
ACTIONS: tuple[Action, ...] = ("view", "click", "purchase", "like", "cart", "impression", "skip", "dislike")
SHARES = np.cumsum([0.35, 0.3, 0.09, 0.06, 0.05, 0.07, 0.04, 0.04])


class Step(NamedTuple):
    items: list[Item]
    """Entering, coming back, and withdrawn (not available)."""
    vectors: list[ItemVector]
    events: list[Event]
    """All with an event id."""


class World:
    """``users`` are there at a time, ``listed`` items (none can be so few that a category has none)."""

    def __init__(
        self, seed: int, users: int, listed: int, model: str, *, dimensions: int = 384, requests: float = 0.1
    ) -> None:
        self.events = 0
        self.entered = 0
        self.withdrawals = 0
        self._random = np.random.default_rng(seed)
        self._users, self._listed, self._model, self._requests = users, listed, model, requests
        self._live: list[list[int]] = [[] for _ in range(CATEGORIES)]
        self._live_count = 0
        self._withdrawn = bytearray()
        self._centres = self._random.standard_normal((CATEGORIES, dimensions), np.float32)
        self._latest: Event | None = None

    def withdrawn(self, item_id: str) -> bool:
        number = int(item_id.removeprefix("item-"))
        return bool(self._withdrawn[number])

    def step(self, size: int) -> Step:
        """What happens in the time of ``size`` events, items first."""
        items: list[Item] = []
        vectors: list[ItemVector] = []
        entering = int(self._random.poisson(ENTERING * size)) if self.entered else self._listed
        for chance in self._random.random(entering):
            if self.entered > self._listed and chance < 0.05:
                self._enter(int(self._random.integers(self.entered)), items, vectors)
            else:
                self._withdrawn.append(1)
                self.entered += 1
                self._enter(self.entered - 1, items, vectors)
            if self._live_count > self._listed:
                items.append(self._withdraw())
        vectors = [vector for vector in vectors if not self.withdrawn(vector.item_id)]  # or it would come after its end
        chances = self._random.random((size, 8))
        return Step(items, vectors, [self._event(*row) for row in chances.tolist()])

    def _now(self) -> int:
        return START_MS + self.events * STEP_MS

    def _enter(self, number: int, items: list[Item], vectors: list[ItemVector]) -> None:
        if not self._withdrawn[number]:
            return
        self._withdrawn[number] = 0
        category = number % CATEGORIES
        self._live[category].append(number)
        self._live_count += 1
        item_id = f"item-{number}"
        items.append(
            Item(
                item_id=item_id,
                title=f"Item {number} of its kind",
                description="What it is, and what it is for. " * (number % 7),
                categories=[f"category {category}"],
                terms=["item", f"word{number % 5_000}", f"kind{category}"],
                ts=self._now(),
            )
        )
        vector = self._centres[category] + self._random.standard_normal(self._centres.shape[1], np.float32)
        vectors.append(ItemVector(item_id=item_id, model=self._model, vector=_packed(vector)))

    def _withdraw(self) -> Item:
        live = max(
            (self._live[category] for category in self._random.integers(0, CATEGORIES, 3).tolist()),
            key=len,
        )
        number = live.pop(int(self._random.integers(len(live))))
        self._withdrawn[number] = 1
        self._live_count -= 1
        self.withdrawals += 1
        return Item(item_id=f"item-{number}", available=False)

    def _event(
        self, who: float, after: float, what: float, how: float, rare: float, which: float, late: float, kind: float
    ) -> Event:
        if self._latest is not None and rare < 0.01:
            return self._latest
        self.events += 1
        event_id = f"e{self.events}"
        user = self.events // STAY + int(self._users * who**2)
        user_id, ts = f"user-{user}", self._now() - (86_400_000 if late < 0.01 else 0)
        if kind < self._requests:
            return Request(user_id=user_id, ts=ts, event_id=event_id)
        category = (user * 7 + self.events // DRIFT + int(4 * after**2)) % CATEGORIES
        live = self._live[category]
        number = int(self.entered * which) if rare < 0.04 else live[int(len(live) * what**2.5)]
        item_id = f"item-{number}"
        if how > 0.98:
            text = f"This item {number} is what I was after"
            self._latest = Review(
                user_id=user_id,
                item_id=item_id,
                text=text,
                rating=1.0 + int(5 * which),
                ts=ts,
                event_id=event_id,
                terms=["item", "after", f"kind{category}"],
                model=self._model,
                vector=_packed(self._centres[category]),
            )
        else:
            action = ACTIONS[min(int(np.searchsorted(SHARES, how)), len(ACTIONS) - 1)]
            self._latest = Click(user_id=user_id, item_id=item_id, action=action, ts=ts, event_id=event_id)
        return self._latest


def _packed(vector: NDArray[np.float32]) -> bytes:
    return pack_vector(vector / np.linalg.norm(vector))
