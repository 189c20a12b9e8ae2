"""What an application can measure of the recommendations it gets: delay, rates, hit rate beside popularity's."""

import time
from collections import defaultdict, deque
from collections.abc import Set
from itertools import islice

import numpy as np

from divrec.events import Click, Recommendation
from streams.demo.excerpt import GOOD

SLATE = 10
WINDOW_S = 5.0


class Ranking:
    """Items by the number of times they were counted; equal ones in the order in which they got there."""

    def __init__(self) -> None:
        self._order: list[str] = []
        self._place: dict[str, int] = {}
        self._count: list[int] = []
        self._first: dict[int, int] = {}
        """Where the items of a count begin."""

    def add(self, item_id: str) -> None:
        place = self._place.get(item_id)
        if place is None:
            place = self._place[item_id] = len(self._order)
            self._order.append(item_id)
            self._count.append(0)
            self._first.setdefault(0, place)
        count = self._count[place]
        first = self._first[count]
        other = self._order[first]
        self._order[first], self._order[place] = item_id, other
        self._place[other], self._place[item_id] = place, first
        self._count[first] = count + 1
        self._first.setdefault(count + 1, first)
        if first + 1 < len(self._count) and self._count[first + 1] == count:
            self._first[count] = first + 1
        else:
            del self._first[count]

    def top(self, count: int, without: Set[str]) -> list[str]:
        """The ``count`` items counted most often that are not in ``without``."""
        return list(islice((item_id for item_id in self._order if item_id not in without), count))


class Rate:
    """Things per second over the last ``WINDOW_S``, and over all."""

    def __init__(self) -> None:
        self.total = 0
        self._recent: deque[tuple[float, int]] = deque()
        self._began = 0.0
        self._last = 0.0

    def add(self, number: int) -> None:
        now = time.monotonic()
        self._began = self._began or now
        self._last = now
        self.total += number
        self._recent.append((now, number))

    def now(self) -> float:
        now = time.monotonic()
        while self._recent and self._recent[0][0] < now - WINDOW_S:
            self._recent.popleft()
        span = min(WINDOW_S, now - self._began) if self._began else 0.0
        return sum(number for _, number in self._recent) / max(span, 0.2)

    def mean(self) -> float:
        return self.total / max(self._last - self._began, 0.2)


class Measures:
    """Figures of one run.

    A *hit*: a film that the user rates ``GOOD`` or better is among the ``SLATE`` of the latest slate that came before
    the rating was sent. Popularity is asked the same: the ``SLATE`` films rated most often so far that the user has
    not rated.
    """

    def __init__(self) -> None:
        self.sent, self.received = Rate(), Rate()
        self.tests = self.hits = self.popular_hits = 0
        self._delays: list[float] = []
        self._popular = Ranking()
        self._slates: dict[str, frozenset[str]] = {}
        self._rated: defaultdict[str, set[str]] = defaultdict(set)

    def rated(self, click: Click) -> None:
        """Call it before ``click`` is sent."""
        user, item = click.user_id, click.item_id
        slate = self._slates.get(user)
        if slate is not None and click.rating is not None and click.rating >= GOOD:
            self.tests += 1
            self.hits += item in slate
            self.popular_hits += item in self._popular.top(SLATE, self._rated[user])
        self._rated[user].add(item)
        self._popular.add(item)

    def slate(self, slate: Recommendation) -> None:
        self._slates[slate.user_id] = frozenset(item.item_id for item in slate.items[:SLATE])

    def delayed(self, ms: float) -> None:
        """From the click's time in its topic to the arrival of its recommendation."""
        self._delays.append(ms)

    def delays(self, latest: int = 0) -> tuple[float, float] | None:
        """p50 and p99 of the ``latest`` delays (0: of all), in ms."""
        if not self._delays:
            return None
        p50, p99 = np.percentile(self._delays[-latest:], (50, 99))
        return float(p50), float(p99)

    @property
    def hit_rate(self) -> float:
        return self.hits / self.tests if self.tests else 0.0

    @property
    def popular_hit_rate(self) -> float:
        return self.popular_hits / self.tests if self.tests else 0.0
