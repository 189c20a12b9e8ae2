"""The figures of one model, summed up as the stream goes by: memory hardly grows with the number of tests."""

import numpy as np
import numpy.typing as npt

from divrec.evaluate.categories import Categories
from divrec.evaluate.content import Space, Vectors
from divrec.evaluate.ranker import Interaction, Past
from divrec.evaluate.stream import Flags, Ids, Stream
from divrec.metrics.calibration import calibration
from divrec.metrics.category_coverage import category_coverage
from divrec.metrics.coverage import catalog_coverage, user_coverage
from divrec.metrics.exposure import entropy, gini
from divrec.metrics.freshness import freshness
from divrec.metrics.hits import Hits, Values, hit_rate, hits
from divrec.metrics.ild import ild
from divrec.metrics.inter_list import inter_list_distance
from divrec.metrics.likes import accuracy, likes_f1
from divrec.metrics.mrr import reciprocal_rank
from divrec.metrics.ndcg import ndcg
from divrec.metrics.novelty import novelty
from divrec.metrics.places import mean_over_places
from divrec.metrics.popularity import percentiles, popularity, popularity_lift
from divrec.metrics.precision import f1, precision, recall
from divrec.metrics.serendipity import serendipity
from divrec.metrics.unexpectedness import unexpected
from divrec.model import DAY_MS

CHUNK = 1_024
"""Tests that are summed up at once."""
POINTS = 100
"""Of a curve over the stream."""
GROUPS = 8_192
"""Users beyond this number are put together for the intervals."""
HISTORY = 20
"""The user's last items, which slates are compared with."""
FRESH_DAYS = 30.0
"""An item counts as fresh for so long after its first event."""
ACCURACY = ("precision", "recall", "f1", "hr", "ndcg", "mrr")
CURVES = ("hr", "ndcg")


class Tests:
    """What a chunk of tests is about: the same for all models."""

    def __init__(self, stream: Stream, categories: int) -> None:
        self.user: Ids = np.empty(CHUNK, np.int32)
        self.target: Ids = np.empty(CHUNK, np.int32)
        self.now: npt.NDArray[np.int64] = np.empty(CHUNK, np.int64)
        self.events: npt.NDArray[np.int64] = np.empty(CHUNK, np.int64)
        """Interactions so far."""
        self.profile: npt.NDArray[np.float32] = np.zeros((CHUNK, categories), np.float32)
        self.first = 0
        """Which test of the stream the first row is."""
        self.held = 0
        first_events = np.flatnonzero(np.diff(np.maximum.accumulate(stream.item), prepend=-1))
        self._appeared = stream.ts[first_events]
        self._timed = bool((stream.ts != stream.ts[:1]).any())
        self._history: Ids = np.empty((CHUNK, HISTORY), np.int32)
        self._counts: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._among: Values = np.zeros(0)
        self.had: Values = np.zeros((0, HISTORY))
        """How popular the user's last items are, as ``percentiles`` has it."""
        self.taste: Vectors = np.zeros((0, 0), np.float32)
        """Sum of their vectors."""

    def put(self, event: Interaction, past: Past, profile: npt.NDArray[np.float32]) -> None:
        row = self.held
        self.user[row], self.target[row], self.now[row] = event.user, event.item, event.ts
        self.events[row], self.profile[row] = past.events, profile
        history = past.history(event.user)[-HISTORY:]
        self._history[row, : len(history)] = history
        self._history[row, len(history) :] = -1
        self.held += 1

    def look_back(self, past: Past, vectors: Vectors) -> None:
        """Make what all models' slates are compared with, once the chunk is full."""
        history = self._history[: self.held]
        self._counts, self._among = past.counts, np.sort(past.counts[: past.seen]).astype(np.float64)
        self.had = self.popularity(history)
        self.taste = np.zeros((self.held, vectors.shape[1]), np.float32)
        for place in range(HISTORY if vectors.shape[1] else 0):
            self.taste += vectors[history[:, place]]

    def popularity(self, items: Ids) -> Values:
        """As ``percentiles``, among the items seen by the end of the chunk."""
        return percentiles(np.where(items >= 0, self._counts[items], -1), self._among)

    def ages(self, slates: Ids) -> Values:
        """In days, since the first event with each item; NaN where there is none, or no time in the stream."""
        known = (slates >= 0) & self._timed
        return np.where(known, (self.now[: self.held, None] - self._appeared[slates]) / DAY_MS, np.nan)


class Tally:
    def __init__(self, stream: Stream, k: int) -> None:
        users, items = len(stream.users), len(stream.items)
        self.k, self.tests = k, int(np.count_nonzero(stream.tested))
        self.slates: Ids = np.full((CHUNK, k), -1, np.int32)
        self.counts: npt.NDArray[np.int64] = np.full((CHUNK, k), -1, np.int64)
        """Interactions so far with each item of the slates."""
        self.rank_ns = self.learn_ns = self.rate_ns = 0
        """CPU time."""
        self.rated: npt.NDArray[np.float32] = np.zeros(0, np.float32)
        """What the model expected each event's rating to be, NaN where it was not asked; empty if it predicts none."""
        self._sums: dict[str, float] = {}
        self._known: dict[str, int] = {}
        self._last = dict.fromkeys(ACCURACY, 0.0)
        self._curves = {name: np.zeros(POINTS) for name in CURVES}
        self._point_tests = np.zeros(POINTS)
        groups = min(users, GROUPS)
        self.group_tests: npt.NDArray[np.int64] = np.zeros(groups, np.int64)
        self.group_sums: dict[str, Values] = {name: np.zeros(groups) for name in CURVES}
        """Sum over the tests of each user (or group of users)."""
        self._latest: Ids = np.full((users, k), -1, np.int32)
        """The slate of each user's latest test."""
        self._shown: npt.NDArray[np.int64] = np.zeros(items, np.int64)
        self._tested: Flags = np.zeros(users, np.bool_)
        self._served: Flags = np.zeros(users, np.bool_)

    @property
    def last_third(self) -> int:
        """The first test of the last third."""
        return 2 * self.tests // 3

    def put(self, row: int, slate: Ids, counts: npt.NDArray[np.int64]) -> None:
        found = slate[: self.k]
        self.slates[row, : len(found)] = found
        self.slates[row, len(found) :] = -1
        self.counts[row, : len(found)] = counts[found]
        self.counts[row, len(found) :] = -1

    def add(self, tests: Tests, categories: Categories, space: Space) -> None:
        """Sum up what was put."""
        n = tests.held
        slates, users = self.slates[:n], tests.user[:n]
        found, one = hits(slates, tests.target[:n, None]), np.ones(n, np.int32)
        values = {
            "precision": precision(found),
            "recall": recall(found, one),
            "f1": f1(found, one),
            "hr": hit_rate(found),
            "ndcg": ndcg(found, one),
            "mrr": reciprocal_rank(found),
        }
        number = np.arange(tests.first, tests.first + n)
        late = number >= self.last_third
        for name, value in values.items():
            self._last[name] += float(value[late].sum())
        groups = users % len(self.group_tests)
        points = number * POINTS // max(1, self.tests)
        np.add.at(self.group_tests, groups, 1)
        np.add.at(self._point_tests, points, 1)
        for name in CURVES:
            np.add.at(self.group_sums[name], groups, values[name])
            np.add.at(self._curves[name], points, values[name])
        values |= self._beyond(tests, found, categories, space)
        for name, value in values.items():
            known = ~np.isnan(value)
            self._sums[name] = self._sums.get(name, 0.0) + float(value[known].sum())
            self._known[name] = self._known.get(name, 0) + int(np.count_nonzero(known))
        self._shown += np.bincount(slates[slates >= 0], minlength=len(self._shown))
        self._tested[users] = True
        self._served[users[(slates >= 0).all(axis=1)]] = True

    def _beyond(self, tests: Tests, found: Hits, categories: Categories, space: Space) -> dict[str, Values]:
        """What the slates are like, whether or not they were hits."""
        n = tests.held
        slates, one = self.slates[:n], np.ones(n, np.int32)
        shown = tests.popularity(slates)
        values = {
            "novelty": novelty(self.counts[:n], tests.events[:n]),
            "popularity": popularity(shown),
            "popularity_lift": popularity_lift(shown, tests.had),
            "freshness": freshness(tests.ages(slates), FRESH_DAYS),
            "inter_list": inter_list_distance(slates, self._before(tests.user[:n], slates)),
        }
        if space.vectors.shape[1]:
            vectors = space.vectors[slates]
            unlike = unexpected(vectors, tests.taste)
            values["ild"] = ild(vectors)
            values["topic_coverage"] = category_coverage(space.topics[slates], space.topics_there)
            values["unexpectedness"] = mean_over_places(unlike)
            values["serendipity"] = serendipity(found, unlike, one)
        if len(categories):
            flags = categories.of(slates)
            shares = categories.shares(flags)
            unlike = unexpected(flags, tests.profile[:n])
            there = np.where(shares > 0, np.arange(len(categories)), -1)
            values["ild_categories"] = ild(flags)
            values["category_coverage"] = category_coverage(there, len(categories))
            values["calibration"] = calibration(tests.profile[:n], shares)
            values["unexpectedness_categories"] = mean_over_places(unlike)
            values["serendipity_categories"] = serendipity(found, unlike, one)
        return values

    def _before(self, users: Ids, slates: Ids) -> Ids:
        """The slate before each, of the same user: in this chunk, or the latest of an earlier one."""
        order = np.argsort(users, kind="stable")
        ordered, of = slates[order], users[order]
        begins = np.flatnonzero(np.diff(of, prepend=-1))
        before = np.empty_like(slates)
        before[order[1:]] = ordered[:-1]
        before[order[begins]] = self._latest[of[begins]]
        ends = np.append(begins[1:], len(of)) - 1
        self._latest[of[ends]] = ordered[ends]
        return before

    def figures(self, stream: Stream) -> dict[str, float]:
        """Everything by name."""
        named = {name: f"{name}@{self.k}" if name in ACCURACY else name for name in self._sums}
        return {
            **{named[name]: total / self._known[name] for name, total in self._sums.items() if self._known[name]},
            "user_coverage": user_coverage(self._served[self._tested]),
            "catalog_coverage": catalog_coverage(self._shown, len(stream.items)),
            "gini": gini(self._shown),
            "entropy": entropy(self._shown),
            **self._likes(stream),
            "cpu_us_learn": self.learn_ns / 1_000 / max(1, len(stream)),
            "cpu_us_recommend": self.rank_ns / 1_000 / max(1, self.tests),
        }

    def _likes(self, stream: Stream) -> dict[str, float]:
        """How well it tells likes from dislikes, and the error of its ratings, where it was asked."""
        if stream.liked is None or not len(self.rated):
            return {}
        asked = ~np.isnan(self.rated)
        predicted, told = self.rated[asked], stream.rating[asked]
        likes, liked = predicted >= stream.likely, told >= stream.liked
        return {
            "accuracy": accuracy(likes, liked),
            "likes_f1": likes_f1(likes, liked),
            "rmse": float(np.sqrt(np.mean((predicted - told) ** 2))),
            "cpu_us_rate": self.rate_ns / 1_000 / int(np.count_nonzero(asked)),
        }

    def late_figures(self) -> dict[str, float]:
        """Accuracy over the last third of the tests."""
        tests = max(1, self.tests - self.last_third)
        return {f"{name}@{self.k}": total / tests for name, total in self._last.items()}

    def curve(self, name: str) -> Values:
        """Means over POINTS equal parts of the tests, NaN for a part without any."""
        with np.errstate(invalid="ignore"):
            values: Values = self._curves[name] / np.where(self._point_tests > 0, self._point_tests, np.nan)
        return values
