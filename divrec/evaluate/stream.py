"""A log as the evaluator goes through it: who turned to what, in the order of time, as arrays.

About 40 bytes an event, whatever the texts were. Users and items are numbered in the order of their first event, so
the items seen before event n are 0 … m - 1 for some m.
"""

from array import array
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from divrec.config import FeedbackConfig
from divrec.data.log import Log
from divrec.errors import ConfigError
from divrec.events import Action, Click, Review

Ids = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

ACTIONS: tuple[Action | Literal["review"], ...] = (*get_args(Action), "review")
"""What ``action`` counts through."""
LIKED = 4.0
"""Ratings from here on are positive, unless something else is asked for."""
WIDE = FeedbackConfig(rating_min=-1e9, rating_max=1e9)
"""Reads a log's ratings whatever their scale; booleans become its ends."""


@dataclass(frozen=True)
class Stream:
    """Events in their order, one position each in the arrays."""

    users: list[str]
    items: list[str]
    user: Ids
    item: Ids
    rating: npt.NDArray[np.float64]
    """NaN where there is none."""
    action: npt.NDArray[np.int8]
    ts: npt.NDArray[np.int64]
    positive: Flags
    tested: Flags
    """Positive, and the user has an earlier positive."""
    scale: tuple[float, float]
    """Lowest and highest rating: as configured, or as found where the log goes beyond that."""
    liked: float | None
    """The least rating that is positive; None where ratings do not decide."""
    repeats: bool
    """All events of a user with an item are there, not only the first."""
    seed: int

    def __len__(self) -> int:
        return len(self.user)

    @property
    def rated(self) -> bool:
        """Some events have a rating."""
        return bool((~np.isnan(self.rating)).any())

    @property
    def likely(self) -> float:
        """Expected ratings from here on are likes: they are nearer to ``liked`` than to the rating below it."""
        assert self.liked is not None
        below = self.rating[self.rating < self.liked]
        return (self.liked + float(below.max())) / 2.0 if len(below) else self.liked

    @property
    def rule(self) -> str:
        """What makes an event positive, in words."""
        if self.liked is not None:
            return f"rating >= {self.liked:g}"
        if self.positive.all():
            return "every event"
        return ", ".join(sorted(ACTIONS[action] for action in set(self.action[self.positive].tolist())))


def read_stream(
    log: Log,
    feedback: FeedbackConfig,
    *,
    positive: float | frozenset[str] | None = None,
    repeats: bool = False,
    limit: int | None = None,
    seed: int = 0,
) -> Stream:
    """The clicks and reviews of ``log`` by time; equal times (also where no time is given) are shuffled with ``seed``.

    Only the first event of a user with an item is kept, unless ``repeats``; then the first ``limit`` events.
    ``positive`` is the least positive rating or the positive actions; by default ratings from 4 on, and every event of
    a log without ratings. Raises ConfigError if nothing is positive.
    """
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    user, item, rating, action, ts = array("i"), array("i"), array("d"), array("b"), array("q")
    number: dict[str, int] = {name: place for place, name in enumerate(ACTIONS)}
    for event in log.unordered():
        if not isinstance(event, Click | Review):
            continue
        user.append(users.setdefault(event.user_id, len(users)))
        item.append(items.setdefault(event.item_id, len(items)))
        rating.append(np.nan if event.rating is None else event.rating)
        action.append(number["review" if isinstance(event, Review) else event.action])
        ts.append(event.ts)
    if not user:
        raise ConfigError("log: expected clicks or reviews, found none")
    order = _order(np.array(user), np.array(item), np.array(ts), len(items), repeats, seed)[:limit]
    u, i, r, a, t = (np.array(column)[order] for column in (user, item, rating, action, ts))
    del user, item, rating, action, ts
    scale = _read_booleans(r, (feedback.rating_min, feedback.rating_max))
    rated = bool((~np.isnan(r)).any())
    liked = positive if isinstance(positive, float) else LIKED if positive is None and rated else None
    if liked is not None:
        chosen: Flags = r >= liked
    elif isinstance(positive, frozenset):
        chosen = np.isin(a, [number[name] for name in positive])
    else:
        chosen = np.ones(len(r), np.bool_)
    if not chosen.any():
        raise ConfigError(
            f"--positive: expected some positive events, found none with {_wanted(liked, positive)} among "
            f"{len(chosen):,} events; {_there(r, a)}"
        )
    (u, user_ids), (i, item_ids) = _renumbered(u, list(users)), _renumbered(i, list(items))
    return Stream(user_ids, item_ids, u, i, r, a, t, chosen, _tested(u, chosen), scale, liked, repeats, seed)


def _order(
    user: npt.NDArray[np.int32],
    item: npt.NDArray[np.int32],
    ts: npt.NDArray[np.int64],
    items: int,
    repeats: bool,
    seed: int,
) -> npt.NDArray[np.int64]:
    """Positions of the events that count, in their order."""
    shuffled = np.random.default_rng(seed).permutation(len(ts))
    order: npt.NDArray[np.int64] = shuffled[np.argsort(ts[shuffled], kind="stable")]
    if repeats:
        return order
    pairs = user[order].astype(np.int64) * items + item[order]
    first: npt.NDArray[np.int64] = np.sort(np.unique(pairs, return_index=True)[1])
    return order[first]


def _read_booleans(rating: npt.NDArray[np.float64], configured: tuple[float, float]) -> tuple[float, float]:
    """Put true and false at the ends of the scale, which is returned."""
    ends = (rating == WIDE.rating_min, rating == WIDE.rating_max)
    numbers = rating[~(np.isnan(rating) | ends[0] | ends[1])]
    low, high = configured
    if len(numbers) and not low <= numbers.min() <= numbers.max() <= high:
        low, high = float(min(low, numbers.min())), float(max(high, numbers.max()))
    rating[ends[0]], rating[ends[1]] = low, high
    return low, high


def _renumbered(numbers: Ids, names: list[str]) -> tuple[Ids, list[str]]:
    """``numbers`` anew by their first appearance, and the names in that order."""
    found, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    by_first = np.argsort(first)
    new = np.empty(len(found), np.int32)
    new[by_first] = np.arange(len(found), dtype=np.int32)
    return new[inverse], [names[number] for number in found[by_first]]


def _tested(user: Ids, positive: Flags) -> Flags:
    by_user = np.argsort(user, kind="stable")
    ordered = positive[by_user]
    before: npt.NDArray[np.int64] = np.cumsum(ordered) - ordered
    starts = np.flatnonzero(np.diff(user[by_user], prepend=-1))
    before -= np.repeat(before[starts], np.diff(starts, append=len(user)))
    tested = np.empty(len(user), np.bool_)
    tested[by_user] = ordered & (before > 0)
    return tested


def _wanted(liked: float | None, actions: float | frozenset[str] | None) -> str:
    if liked is not None:
        return f"a rating of {liked:g} or more"
    assert isinstance(actions, frozenset), "without either, every event is positive"
    return f"one of the actions {', '.join(sorted(actions))}"


def _there(rating: npt.NDArray[np.float64], action: npt.NDArray[np.int8]) -> str:
    names = ", ".join(sorted(ACTIONS[number] for number in set(action.tolist())))
    numbers = rating[~np.isnan(rating)]
    return f"actions are {names}" + (
        f", ratings go from {numbers.min():g} to {numbers.max():g}" if len(numbers) else ""
    )
