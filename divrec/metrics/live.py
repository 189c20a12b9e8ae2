"""Quality of what is published, as it happens: each slate against the next item that its user turns to.

Beside it stands what decayed popularity would have got with the same user at the same moment: if the one is not above
the other, the model is not worth its memory. One object a process; memory is bounded.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

WINDOW = 10_000
"""Latest tests that figures are taken over."""
USERS = 50_000
"""Users whose latest slate is kept; those whose slate is oldest go first."""
LISTS = 500
"""Latest slates that are kept, to tell what lists are like."""

Places = npt.NDArray[np.int64]


class Accuracy(NamedTuple):
    """Means over the window, in [0, 1], higher is better; NaN before the first test."""

    hr: float
    ndcg: float


class Figures(NamedTuple):
    tests: int
    """Tests in the window."""
    slates: Accuracy
    popularity: Accuracy


class LiveQuality:
    """Hit rate and NDCG at ``k`` over the last ``window`` tests.

    A test is the first positive event of a user after a slate that is still known. About 0.5 kB for each user.

    >>> quality = LiveQuality(k=2)
    >>> quality.shown("ann", ["tea", "mug"], popular=["cup", "mug"])
    >>> quality.turned_to("ann", "mug", hidden=lambda item: item == "cup")
    True
    >>> quality.figures()
    Figures(tests=1, slates=Accuracy(hr=1.0, ndcg=0.6309297535714575), popularity=Accuracy(hr=1.0, ndcg=1.0))
    """

    def __init__(self, k: int = 10, window: int = WINDOW, users: int = USERS) -> None:
        if min(k, window, users) < 1:
            raise ValueError(f"k, window and users must be at least 1, got {k}, {window} and {users}")
        self.k = k
        self.users = users
        self._latest: OrderedDict[str, tuple[Sequence[str], Sequence[str] | None]] = OrderedDict()
        """The slate of each user, with what was popular then as long as no test was made of it."""
        self.lists: deque[tuple[Sequence[str], Sequence[str]]] = deque(maxlen=LISTS)
        """The latest slates of all users, each with the one before of the same user, empty if that is not known."""
        self._places: Places = np.zeros((2, window), np.int64)
        """Of the slates and of popularity; from 1, 0 for a miss."""
        self._tests = 0

    def __len__(self) -> int:
        """Users whose slate is known."""
        return len(self._latest)

    def shown(self, user_id: str, slate: Sequence[str], popular: Sequence[str]) -> None:
        """``slate`` is published for ``user_id``, while ``popular`` are the most popular items; both best first.

        Neither is copied: ``popular`` should be one tuple for all users until it changes, much longer than k.
        """
        before = self._latest.pop(user_id, None)
        self.lists.append((slate, before[0] if before is not None else ()))
        self._latest[user_id] = (slate, popular)
        if len(self._latest) > self.users:
            self._latest.popitem(last=False)

    def turned_to(self, user_id: str, item_id: str, hidden: Callable[[str], bool]) -> bool:
        """``user_id`` turned to ``item_id``: a test, if a slate was waiting for it.

        ``hidden`` says of an item whether the user had had it before, so that it would not have been shown: popularity
        passes over those, too.
        """
        slate, popular = self._latest.get(user_id, ((), None))
        if popular is None:
            return False
        self._latest[user_id] = (slate, None)
        at = self._tests % self._places.shape[1]
        self._places[:, at] = self._place(slate, item_id), self._popular_place(popular, item_id, hidden)
        self._tests += 1
        return True

    def _place(self, items: Sequence[str], item_id: str) -> int:
        return items.index(item_id) + 1 if item_id in items[: self.k] else 0

    def _popular_place(self, popular: Sequence[str], item_id: str, hidden: Callable[[str], bool]) -> int:
        if item_id not in popular or hidden(item_id):
            return 0
        place = 1
        for other in popular:
            if other == item_id:
                return place
            place += not hidden(other)
            if place > self.k:
                break
        return 0

    def figures(self) -> Figures:
        tests = min(self._tests, self._places.shape[1])
        return Figures(tests, *(_accuracy(places) for places in self._places[:, :tests]))


def _accuracy(places: Places) -> Accuracy:
    if not len(places):
        return Accuracy(float("nan"), float("nan"))
    hit = places > 0
    gains = 1.0 / np.log2(places[hit] + 1.0)
    return Accuracy(float(hit.mean()), float(gains.sum() / len(places)))
