"""Rating prediction in a process of its own: model and users together, one pass over a stream."""

import math
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from divrec.cf.ratings.arrays import Doubles
from divrec.cf.ratings.experts import (
    EXPERTS,
    SHY,
    USER_DAMPING,
    USER_DECAY,
    item_bias,
    item_similarity,
    mean_rating,
    neighbour_slots,
    residuals,
    user_bias,
)
from divrec.cf.ratings.history import RatedHistory
from divrec.cf.ratings.model import Rating, RatingModel
from divrec.errors import EventError
from divrec.items import ItemIndex, fingerprint

STARS = 4.0
"""The range of the scale inside: 1 to 5."""
MIDDLE = 3.0


class Neighbour(Struct, frozen=True):
    """One of the user's items that speaks for or against a higher rating."""

    item_id: str
    rating: float
    """What the user gave it."""
    similarity: float
    """Damped cosine to the item asked for, in (0, 1]."""
    moves: float
    """By how much it moves the item-based prediction, in ratings."""


class Prediction(Struct, frozen=True):
    rating: float
    """The blend's."""
    bias: float
    """What item and user suggest, each taken alone."""
    experts: dict[str, float]
    neighbours: list[Neighbour]
    """Those that move it most come first."""


class RatingPredictor:
    """What a user would give an item; learns every rating once, holds bounded state.

    ``low`` and ``high`` are the ends of the scale: predictions stay within it, ratings outside it raise EventError.
    With None for both, ratings are taken as they are and predictions are not clipped; the priors then fit scales
    whose range is of the order of 4. At most ``max_items`` items (3 kB each), ``max_users`` users (the longest not
    heard of go first) with their last ``history`` ratings are kept.

    >>> predictor = RatingPredictor()
    >>> for user, item, rating in [("ann", "Alien", 5), ("bob", "Alien", 5), ("ann", "Brazil", 2)]:
    ...     predictor.learn_one(user, item, rating)
    >>> 1 <= predictor.predict_one("bob", "Brazil") <= 5
    True
    """

    def __init__(
        self,
        low: float | None = 1.0,
        high: float | None = 5.0,
        *,
        max_items: int = 100_000,
        max_users: int = 100_000,
        history: int = 100,
    ) -> None:
        if (low is None) != (high is None) or (low is not None and high is not None and not low < high):
            raise ValueError(f"scale: expected low < high or None for both, got {low} and {high}")
        self.low, self.high = low, high
        self.max_users = max_users
        self.history = history
        self.model = RatingModel(ItemIndex(), max_items=max_items)
        self.users: OrderedDict[str, RatedHistory] = OrderedDict()

    def predict_one(self, user: str, item: str) -> float:
        return self.predict_many(user, [item])[0]

    def predict_many(self, user: str, items: Sequence[str]) -> list[float]:
        return [self._shown(value) for value in self._ask(user, items)[0].tolist()]

    def learn_one(self, user: str, item: str, rating: float) -> None:
        """Raises EventError for a rating outside the scale."""
        stars = self._stars(rating)
        rated = self.users.setdefault(user, RatedHistory())
        self.model.learn_all([Rating(fingerprint(user), item, stars, rated.items, rated.ratings)])
        rated.add(item, stars, self.history)
        self.users.move_to_end(user)
        if len(self.users) > self.max_users:
            self.users.popitem(last=False)

    def experts(self, user: str, item: str) -> dict[str, float]:
        """What each expert says, by its name, and ``blend``."""
        blend, said = self._ask(user, [item])
        return dict(zip(("blend", *EXPERTS), map(self._shown, (blend[0], *said[0].tolist())), strict=True))

    def explain(self, user: str, item: str, count: int = 10) -> Prediction:
        """The prediction, what each expert says, and the ``count`` items of the user that speak loudest."""
        model, arrays = self.model, self.model.arrays
        rated = self.users.get(user, RatedHistory())
        rows, ratings = model.history(rated.items, rated.ratings)
        bias = user_bias(arrays, rows, ratings, USER_DECAY, USER_DAMPING)
        left = residuals(arrays, rows, ratings, bias)
        target = model.row(item)
        slots = neighbour_slots(arrays, target, rows)
        similarity = [max(0.0, item_similarity(arrays, target, slot)) if slot >= 0 else 0.0 for slot in slots.tolist()]
        weight = (SHY + sum(similarity)) / self._unit
        neighbours = [
            Neighbour(model.items.id(row), self._shown(rating), alike, alike * deviation / weight)
            for row, rating, alike, deviation in zip(
                rows.tolist(), ratings.tolist(), similarity, left.tolist(), strict=True
            )
            if alike > 0.0
        ]
        neighbours.sort(key=lambda neighbour: (-abs(neighbour.moves), neighbour.item_id))
        experts = self.experts(user, item)
        base = self._shown(mean_rating(arrays) + item_bias(arrays, target) + bias)
        return Prediction(experts.pop("blend"), base, experts, neighbours[:count])

    def _ask(self, user: str, items: Sequence[str]) -> tuple[Doubles, Doubles]:
        rated = self.users.get(user, RatedHistory())
        blend, said = self.model.predict(fingerprint(user), rated.items, rated.ratings, items)
        if not self.model and self.low is not None:  # nothing is known: the middle of the scale
            blend, said = np.full_like(blend, MIDDLE), np.full_like(said, MIDDLE)
        return blend, said

    @property
    def _unit(self) -> float:
        """One star in units of the scale."""
        return 1.0 if self.low is None or self.high is None else (self.high - self.low) / STARS

    def _stars(self, rating: float) -> float:
        if self.low is None or self.high is None:
            if not math.isfinite(rating):
                raise EventError("bad-rating", f"rating: expected a finite number, got {rating}")
            return rating
        if not self.low <= rating <= self.high:
            raise EventError("bad-rating", f"rating: expected a number in [{self.low}, {self.high}], got {rating}")
        return 1.0 + (rating - self.low) / self._unit

    def _shown(self, stars: float) -> float:
        stars = float(stars)
        if self.low is None or self.high is None:
            return stars
        return min(max(self.low + (stars - 1.0) * self._unit, self.low), self.high)
