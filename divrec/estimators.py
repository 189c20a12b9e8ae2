"""divrec as estimators of River: they go into its pipelines, its progressive validation and its model selection.

Ids may be of any type; they are told apart by what ``str`` makes of them, and a missing one counts as "".

>>> from river import evaluate, metrics
>>> ratings = [({"user": n % 7, "item": n % 5}, 1 + n % 5) for n in range(1_000)]
>>> evaluate.progressive_val_score(ratings, RatingRegressor(1, 5), metrics.MAE()).get() < 0.1
True
"""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any

from river import base, reco

from divrec.cf.ratings.predictor import RatingPredictor
from divrec.config import Config
from divrec.deltas import ModelLogRecord
from divrec.engine import Engine
from divrec.events import Click
from divrec.profile import Profile

Features = Mapping[Hashable, Any]


class RatingRegressor(base.Regressor):  # type: ignore[misc]
    """Predicts ratings from ``{"user": …, "item": …}``; other features are ignored.

    Parameters
    ----------
    low, high
        The ends of the scale; with None targets are taken as they are and predictions are not clipped.
    max_items, max_users, history
        Bounds of the state: items, users, and ratings kept per user.
    """

    def __init__(
        self,
        low: float | None = None,
        high: float | None = None,
        max_items: int = 100_000,
        max_users: int = 100_000,
        history: int = 100,
    ) -> None:
        self.low = low
        self.high = high
        self.max_items = max_items
        self.max_users = max_users
        self.history = history
        self.predictor = RatingPredictor(low, high, max_items=max_items, max_users=max_users, history=history)

    def learn_one(self, x: Features, y: float) -> None:
        self.predictor.learn_one(_id(x, "user"), _id(x, "item"), float(y))

    def predict_one(self, x: Features) -> float:
        return self.predictor.predict_one(_id(x, "user"), _id(x, "item"))


class LikeClassifier(base.Classifier):  # type: ignore[misc]
    """Says whether a user likes an item, from ``{"user": …, "item": …}``; other features are ignored.

    The rating predictor on likes as ratings of 1 and dislikes as ratings of 0: its prediction is the probability.

    Parameters
    ----------
    max_items, max_users, history
        Bounds of the state: items, users, and ratings kept per user.
    """

    def __init__(self, max_items: int = 100_000, max_users: int = 100_000, history: int = 100) -> None:
        self.max_items = max_items
        self.max_users = max_users
        self.history = history
        self.predictor = RatingPredictor(0.0, 1.0, max_items=max_items, max_users=max_users, history=history)

    def learn_one(self, x: Features, y: bool) -> None:
        self.predictor.learn_one(_id(x, "user"), _id(x, "item"), float(bool(y)))

    def predict_proba_one(self, x: Features) -> dict[bool, float]:
        likes = self.predictor.predict_one(_id(x, "user"), _id(x, "item"))
        return {False: 1.0 - likes, True: likes}


class RatingRanker(reco.base.Ranker):  # type: ignore[misc]
    """Ranks items by the rating that the user is expected to give, as River's own recommenders do.

    Parameters
    ----------
    low, high
        The ends of the scale; with None targets are taken as they are and predictions are not clipped.
    max_items, max_users, history
        Bounds of the state: items, users, and ratings kept per user.
    """

    def __init__(
        self,
        low: float | None = None,
        high: float | None = None,
        max_items: int = 100_000,
        max_users: int = 100_000,
        history: int = 100,
    ) -> None:
        super().__init__()
        self.low = low
        self.high = high
        self.max_items = max_items
        self.max_users = max_users
        self.history = history
        self.predictor = RatingPredictor(low, high, max_items=max_items, max_users=max_users, history=history)

    def learn_one(self, user: Hashable, item: Hashable, y: float, x: Features | None = None) -> None:  # noqa: ARG002
        self.predictor.learn_one(str(user), str(item), float(y))

    def predict_one(self, user: Hashable, item: Hashable, x: Features | None = None) -> float:  # noqa: ARG002
        return self.predictor.predict_one(str(user), str(item))

    def rank(self, user: Hashable, items: set[Hashable], x: Features | None = None) -> list[Hashable]:  # noqa: ARG002
        """``items`` by expected rating, highest first; equal ones by their id."""
        named = sorted(items, key=str)
        ratings = self.predictor.predict_many(str(user), [str(item) for item in named])
        return [named[n] for n in sorted(range(len(named)), key=lambda n: -ratings[n])]


class EngineRanker(reco.base.Ranker):  # type: ignore[misc]
    """Ranks items by the relevance that divrec's engine gives them: the model that the streams run.

    A reward that is a bool says whether the user turned to the item; a number is a rating on the configured scale.
    The context ``x`` may hold ``ts``, the time in epoch milliseconds; without it every event comes a millisecond
    after the one before. Items that the engine does not retrieve for the user have relevance 0.

    Parameters
    ----------
    config
        divrec's configuration; None stands for the defaults. What a user has had may be ranked again.
    max_users
        Profiles kept; the longest not heard of go first.
    """

    def __init__(self, config: Config | None = None, max_users: int = 100_000) -> None:
        super().__init__()
        self.config = config
        self.max_users = max_users
        settings = config or Config()
        self._config = settings.model_copy(
            update={"slate": settings.slate.model_copy(update={"consumed_actions": (), "allow_repeats": True})}
        )
        self._engine = Engine(self._config)
        self._profiles: OrderedDict[str, Profile] = OrderedDict()
        self._now = self._events = 0

    def learn_one(self, user: Hashable, item: Hashable, y: float, x: Features | None = None) -> None:
        user_id, item_id, ts = str(user), str(item), self._time(x)
        acted = isinstance(y, bool)
        click = Click(
            user_id=user_id,
            item_id=item_id,
            action="skip" if acted and not y else "click",
            rating=None if acted else float(y),
            ts=ts,
        )
        profile = self._profiles.get(user_id) or Profile(user_id, 0)
        observed = self._engine.observe(profile, click, str(self._events), self._events)
        if observed.delta is not None:
            self._engine.apply(ModelLogRecord(0, [observed.delta]), self._events)
        self._profiles[user_id] = observed.profile
        self._profiles.move_to_end(user_id)
        if len(self._profiles) > self.max_users:
            self._profiles.popitem(last=False)
        self._now, self._events = max(self._now, ts), self._events + 1

    def predict_one(self, user: Hashable, item: Hashable, x: Features | None = None) -> float:
        """Relevance in [0, 1]."""
        return self._relevance(user, x).get(str(item), 0.0)

    def rank(self, user: Hashable, items: set[Hashable], x: Features | None = None) -> list[Hashable]:
        """``items`` by relevance, highest first; equal ones by their id."""
        relevance = self._relevance(user, x)
        return sorted(items, key=lambda item: (-relevance.get(str(item), 0.0), str(item)))

    def _relevance(self, user: Hashable, x: Features | None) -> dict[str, float]:
        profile = self._profiles.get(str(user)) or Profile(str(user), 0)
        pool = self._config.slate.pool
        slate = self._engine.recommend(profile, max(self._now, self._time(x)), k=pool, diversity=0.0)
        return {item.item_id: item.relevance for item in slate}

    def _time(self, x: Features | None) -> int:
        return int(x["ts"]) if x and "ts" in x else self._now + 1


def _id(x: Features, name: str) -> str:
    return str(x.get(name, ""))
