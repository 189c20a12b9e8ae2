"""The rating model: what users share, in arrays by item index.

It follows the split of ``divrec.model``: ``learn_all`` depends on the model and its arguments alone, uses no BLAS and
no function whose last bit differs by processor, and nothing depends on index values, so that replicas that learn the
same ratings in the same order stay equal to the bit. A Delta has to bring what ``Rating`` has: the fingerprint of the
user, the item, the rating, and the user's rated items before it (50 do; predictions use 100) with their ratings.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.cf.ratings.arrays import Doubles, Floats, RatingArrays, Rows, first_factors
from divrec.cf.ratings.blend import first_uncertainty, first_weights
from divrec.cf.ratings.experts import EXPERTS
from divrec.cf.ratings.learning import drop_items, learn_ratings, predict_ratings
from divrec.items import ItemIndex, grown

EVICTED_SHARE = 16
"""When the model is full, one in this many items goes: the longest not rated."""
GLOBAL = ("totals", "weights", "uncertainty")
"""Arrays that have no row per item."""


class Rating(NamedTuple):
    """``user`` (a fingerprint) gave ``rating`` to ``item_id`` after ``ratings`` to ``rated``, newest first."""

    user: int
    item_id: str
    rating: float
    rated: Sequence[str]
    ratings: Sequence[float]


class RatingModel:
    """Rated items of ``items``, at most ``max_items``; ``bytes_per_item`` each (3 kB with the defaults).

    Ratings are on a scale whose range is about 4, like that of stars from 1 to 5: see ``RatingPredictor`` for others.
    ``neighbours`` are kept per item, and its latest ``raters``; ``factors`` is the rank of the factorisation.
    """

    def __init__(
        self, items: ItemIndex, *, max_items: int = 100_000, neighbours: int = 128, raters: int = 64, factors: int = 16
    ) -> None:
        self.items = items
        self.max_items = max_items
        self._widths = (neighbours, raters, factors)
        self.arrays = self._empty(1)
        """One row more than there are indices: the last is that of an item which nobody has rated."""
        self.known: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._learned: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        """[item] how many ratings the model had learned when it was last rated."""
        self._order: list[int] = []
        items.attach(self)

    def __len__(self) -> int:
        return len(self._order)

    def _empty(self, capacity: int) -> RatingArrays:
        neighbours, raters, factors = self._widths
        return RatingArrays(
            counts=np.zeros(capacity, np.float64),
            sums=np.zeros(capacity, np.float64),
            squares=np.zeros(capacity, np.float64),
            biases=np.zeros(capacity, np.float64),
            spreads=np.zeros(capacity, np.float64),
            neighbours=np.full((capacity, neighbours), -1, np.int32),
            together=np.zeros((capacity, neighbours), np.float32),
            products=np.zeros((capacity, neighbours), np.float32),
            plain_products=np.zeros((capacity, neighbours), np.float32),
            raters=np.zeros((capacity, raters), np.uint32),
            rater_residuals=np.zeros((capacity, raters), np.float32),
            rater_ratings=np.zeros((capacity, raters), np.float32),
            rated=np.zeros(capacity, np.int32),
            factors=np.zeros((capacity, factors), np.float32),
            gradients=np.zeros((capacity, factors), np.float32),
            totals=np.zeros(4, np.float64),
            weights=first_weights(),
            uncertainty=first_uncertainty(),
        )

    # -- the arrays of an ItemIndex ------------------------------------------------------------------------------

    def resize(self, capacity: int) -> None:
        fields = self.arrays._asdict()
        for name, array in fields.items():
            if name not in GLOBAL:
                fields[name] = grown(array, capacity + 1, -1 if name == "neighbours" else 0)
        self.arrays = RatingArrays(**fields)
        self.known = grown(self.known, capacity)
        self._learned = grown(self._learned, capacity)

    def clear(self, index: int) -> None:
        for name, array in self.arrays._asdict().items():
            if name not in GLOBAL:
                array[index] = -1 if name == "neighbours" else 0
        self.known[index] = False
        self._learned[index] = 0

    def entered(self, index: int, item_id: str) -> None:
        """Nothing is known of an item before its first rating."""

    def holds(self, index: int) -> bool:
        return bool(self.known[index])

    # -- learning and predicting ---------------------------------------------------------------------------------

    def learn_all(self, ratings: Sequence[Rating]) -> None:
        """Learn ``ratings`` (at least one) in their order. Rated items that the model has forgotten are left out.

        Where one list ends and the next begins makes no difference, but that eviction comes after a list.
        """
        targets = np.empty(len(ratings), np.int32)
        rows: list[Rows] = []
        values: list[Floats] = []
        for n, rating in enumerate(ratings):  # a rated item that enters later in the list is not known yet
            known, given = self.history(rating.rated, rating.ratings)
            rows.append(known)
            values.append(given)
            targets[n] = self._enter(rating.item_id)
        learned = int(self.arrays.totals[0])
        learn_ratings(
            self.arrays,
            np.array([rating.user for rating in ratings], np.uint32),
            targets,
            np.array([rating.rating for rating in ratings], np.float32),
            np.concatenate(rows),
            np.concatenate(values),
            np.cumsum([0, *map(len, rows)], dtype=np.int32),
        )
        self._learned[targets] = np.arange(learned, learned + len(targets))
        if len(self) > self.max_items:
            self._evict()

    def predict(
        self, user: int, rated: Sequence[str], ratings: Sequence[float], item_ids: Sequence[str]
    ) -> tuple[Doubles, Doubles]:
        """What ``user`` would give to ``item_ids``: the blend float64[n] and the experts float64[n, expert].

        Not clipped to any scale. Without any rating learned it is 0. The experts are those of ``EXPERTS``.
        """
        rows, values = self.history(rated, ratings)
        targets = np.fromiter(map(self.row, item_ids), np.int32, len(item_ids))
        said = np.zeros((len(targets), len(EXPERTS)), np.float64)
        return predict_ratings(self.arrays, np.uint32(user), rows, values, targets, said), said

    def knows(self, item_id: str) -> bool:
        """Whether the item was rated and is not forgotten."""
        return self.row(item_id) < len(self.known)

    def row(self, item_id: str) -> int:
        """The row of a rated item; of any other the last row, which is blank."""
        index = self.items.get(item_id)
        return index if index >= 0 and self.known[index] else len(self.known)

    def history(self, rated: Sequence[str], ratings: Sequence[float]) -> tuple[Rows, Floats]:
        """The rated items that the model knows, int32[h], and their ratings, float32[h]."""
        rows = self.items.rows(rated)
        known = (rows >= 0) & self.known[rows]
        return rows[known], np.array(ratings, np.float32)[known]

    def _enter(self, item_id: str) -> int:
        index = self.items.add(item_id)
        if not self.known[index]:
            self.known[index] = True
            self._order.append(index)
            self.arrays.factors[index] = first_factors(item_id, self.arrays.factors.shape[1])
        return index

    def _evict(self) -> None:
        """Forget the sixteenth that has not been rated for longest, or as many as are too many."""
        order = np.array(self._order, np.int32)
        count = max(len(order) // EVICTED_SHARE, len(order) - self.max_items)
        leaving = order[np.argsort(self._learned[order], kind="stable")[:count]]
        dropped = np.zeros(len(self.known), np.bool_)
        dropped[leaving] = True
        self._order = [index for index in self._order if not dropped[index]]
        drop_items(self.arrays, dropped, np.array(self._order, np.int32))
        for index in leaving.tolist():
            self.clear(index)
            self.items.release_if_unused(index)

    # -- snapshots -----------------------------------------------------------------------------------------------

    def state(self) -> tuple[list[str], dict[str, npt.NDArray[Any]]]:
        """The rated items in the order in which they came, and a copy of the arrays in that order."""
        order = np.array(self._order, np.int32)
        position = np.full(len(self.known) + 1, -1, np.int32)  # one more: the empty slot -1 stays -1
        position[order] = np.arange(len(order), dtype=np.int32)
        arrays = {
            name: array.copy() if name in GLOBAL else array[order] for name, array in self.arrays._asdict().items()
        }
        arrays["neighbours"] = position[arrays["neighbours"]]
        arrays["learned"] = self._learned[order]
        return [self.items.id(index) for index in self._order], arrays

    def restore(self, ids: Sequence[str], arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Take a ``state`` into this model, which must be empty and of the same widths."""
        assert not self._order, "restore expects an empty model"
        order = np.array([self._enter(item_id) for item_id in ids], np.int32)
        index_of = np.append(order, np.int32(-1))
        for name, array in self.arrays._asdict().items():
            if name in GLOBAL:
                array[:] = arrays[name]
            else:
                array[order] = index_of[arrays[name]] if name == "neighbours" else arrays[name]
        self._learned[order] = arrays["learned"]

    @property
    def bytes_per_item(self) -> int:
        arrays = self.arrays._asdict()
        return sum(int(array[0].nbytes) for name, array in arrays.items() if name not in GLOBAL) + 9

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.arrays) + self.known.nbytes + self._learned.nbytes
