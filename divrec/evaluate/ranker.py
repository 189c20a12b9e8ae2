"""What a model must be to be evaluated."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from divrec.evaluate.stream import Ids, Stream


class Interaction(NamedTuple):
    """One event. Users and items are the numbers of the stream."""

    at: int
    """Its position in the stream, from 0."""
    user: int
    item: int
    rating: float | None
    action: str
    ts: int
    positive: bool


class Learner(Protocol):
    def learn(self, event: Interaction) -> None:
        """Learn from ``event``: each is shown once, in their order."""


class Ranker(Protocol):
    """A model. Several may have one learner, which then learns once."""

    @property
    def learner(self) -> Learner: ...

    def rank(self, user: int, now: int, k: int) -> list[int] | Ids:
        """At most ``k`` different items for ``user`` at stream time ``now``, best first.

        All must be among the items seen so far and none of ``Past.hidden``.
        """


@runtime_checkable
class Rater(Ranker, Protocol):
    """A model that also says what a user would give an item."""

    def rate(self, user: int, item: int) -> float:
        """On the scale of the stream."""

    def learn_rating(self, event: Interaction) -> None:
        """Learn what ``event.rating`` was; after ``learn_rating`` of every earlier event that has one."""


class Past:
    """What has happened so far: it is filled by the evaluator, rankers only read it."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.seen = 0
        """Items seen so far: 0 … seen - 1."""
        self.events = 0
        self.counts: npt.NDArray[np.int64] = np.zeros(len(stream.items), np.int64)
        """Interactions with each item so far."""
        by_user = np.argsort(stream.user, kind="stable")
        self._items: Ids = stream.item[by_user]
        self._starts = np.searchsorted(stream.user[by_user], np.arange(len(stream.users))).tolist()
        self._lengths = [0] * len(stream.users)

    def add(self, event: Interaction) -> None:
        self.events += 1
        self.seen = max(self.seen, event.item + 1)
        self.counts[event.item] += 1
        self._lengths[event.user] += 1

    def history(self, user: int) -> Ids:
        """The items of the user's events so far, oldest first."""
        start = self._starts[user]
        return self._items[start : start + self._lengths[user]]

    def hidden(self, user: int) -> Ids:
        """The items that must not be recommended to ``user``: those had, unless repeats are allowed."""
        return self._items[:0] if self.stream.repeats else self.history(user)
