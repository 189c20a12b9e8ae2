"""Other people's recommenders as models of the evaluator, with the defaults of their libraries and seed 0.

Online ones (River, FluRS) learn each event. Those of ``implicit`` are batch methods: they are fitted anew every
``REFIT`` events, on the positive events so far, and are given the user's current items where they take them.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from divrec.evaluate.prequential import Make as Pass
from divrec.evaluate.ranker import Interaction, Learner, Past, Ranker

REFIT = 5_000
Ids = npt.NDArray[np.int32]


class _OwnLearner:
    @property
    def learner(self) -> Learner:
        return self  # type: ignore[return-value]


class RiverRanker(_OwnLearner):
    """``river.reco``: learns ratings (1 where there are none), ranks all allowed items by what it predicts."""

    def __init__(self, past: Past, model: Any) -> None:
        self._past, self._model = past, model

    def learn(self, event: Interaction) -> None:
        self._model.learn_one(event.user, event.item, 1.0 if event.rating is None else event.rating)

    def rank(self, user: int, now: int, k: int) -> list[int]:  # noqa: ARG002
        allowed = set(range(self._past.seen)).difference(self._past.hidden(user).tolist())
        ranked: list[int] = self._model.rank(user, allowed)
        return ranked[:k]


class FlursRanker(_OwnLearner):
    """``flurs``: learns the positive events, as its recommenders for positive feedback expect."""

    def __init__(self, past: Past, model: Any) -> None:
        from flurs.data.entity import Event, Item, User

        self._past, self._model = past, model
        self._event, self._item, self._user = Event, Item, User
        np.random.seed(0)  # its only source of randomness
        model.initialize()

    def learn(self, event: Interaction) -> None:
        model = self._model
        user, item = self._user(event.user), self._item(event.item)
        if model.is_new_user(event.user):
            model.register(user)
        if model.is_new_item(event.item):
            model.register(item)
        known = model.users[event.user]["known_items"]
        if event.positive:
            known.add(event.item)
            if len(known) < model.n_item:
                model.update(self._event(user, item))

    def rank(self, user: int, now: int, k: int) -> list[int]:  # noqa: ARG002
        allowed = np.setdiff1d(np.arange(self._past.seen), self._past.hidden(user))
        if not len(allowed):
            return []
        ranked: list[int] = self._model.recommend(self._user(user), allowed)[0][:k].tolist()
        return ranked


class ImplicitRanker(_OwnLearner):
    """``implicit``: before its first fit, and for users that it cannot place, it recommends nothing."""

    def __init__(self, past: Past, new: Callable[[], Any], *, recalculate: bool) -> None:
        self._past, self._new, self._recalculate = past, new, recalculate
        stream = past.stream
        self._users, self._items = stream.user[stream.positive], stream.item[stream.positive]
        self._positives = 0
        self._shape = (0, 0)
        self._liked: dict[int, list[int]] = {}

    def learn(self, event: Interaction) -> None:
        if event.positive:
            self._positives += 1
            self._liked.setdefault(event.user, []).append(event.item)
        if (event.at + 1) % REFIT == 0 and self._positives:
            users, items = self._users[: self._positives], self._items[: self._positives]
            self._shape = (int(users.max()) + 1, int(items.max()) + 1)
            ones = np.ones(len(users), np.float32)
            self._model = self._new()  # one that was fitted keeps factors of its first size
            self._model.fit(csr_matrix((ones, (users, items)), shape=self._shape), show_progress=False)

    def rank(self, user: int, now: int, k: int) -> list[int] | Ids:  # noqa: ARG002
        users, items = self._shape
        if not users or (user >= users and not self._recalculate):
            return []
        liked = np.unique([item for item in self._liked[user] if item < items])
        row = csr_matrix((np.ones(len(liked), np.float32), liked.astype(np.int32), [0, len(liked)]), shape=(1, items))
        hidden = self._past.hidden(user)
        hidden = hidden[hidden < items]
        found, scores = self._model.recommend(
            user,
            row,
            N=k,
            filter_already_liked_items=False,
            filter_items=hidden.tolist() or None,
            recalculate_user=self._recalculate,
        )
        held = found[(scores > np.finfo(np.float32).min) & (found >= 0)][:k]
        return np.asarray(held, np.int32)


Make = Callable[[Past], Ranker]


def _river(name: str) -> Make:
    def make(past: Past) -> Ranker:
        from river import reco

        return RiverRanker(past, getattr(reco, name)(seed=0))

    return make


def _flurs(name: str) -> Make:
    def make(past: Past) -> Ranker:
        from flurs import recommender

        return FlursRanker(past, getattr(recommender, name)())

    return make


def _implicit(name: str) -> Make:
    def make(past: Past) -> Ranker:
        from implicit.cpu.als import AlternatingLeastSquares
        from implicit.cpu.bpr import BayesianPersonalizedRanking
        from implicit.nearest_neighbours import CosineRecommender

        models: dict[str, Callable[[], Any]] = {
            "als": lambda: AlternatingLeastSquares(num_threads=1, random_state=0),
            "bpr": lambda: BayesianPersonalizedRanking(num_threads=1, random_state=0),
            "item-item": lambda: CosineRecommender(num_threads=1),
        }
        return ImplicitRanker(past, models[name], recalculate=name != "bpr")

    return make


BATCH: dict[str, tuple[str, Make]] = {
    "implicit ALS": ("implicit", _implicit("als")),
    "implicit BPR": ("implicit", _implicit("bpr")),
    "implicit item-item": ("implicit", _implicit("item-item")),
}
"""Fast enough for every event of a log."""
RIVER: dict[str, tuple[str, Make]] = {
    "River FunkMF": ("river", _river("FunkMF")),
    "River BiasedMF": ("river", _river("BiasedMF")),
}
"""They score every item in Python: for logs of a few thousand items, or the first events of a log."""
FLURS: dict[str, tuple[str, Make]] = {
    "FluRS MF": ("flurs", _flurs("MFRecommender")),
    "FluRS BPR": ("flurs", _flurs("BPRMFRecommender")),
}
"""They sort every item: for the first events of a log only."""


def rivals(among: dict[str, tuple[str, Make]]) -> tuple[list[Pass], list[str]]:
    """Passes for those whose package is installed, and the packages that are not."""
    missing = sorted({package for package, _ in among.values() if find_spec(package) is None})
    return [_alone(name, make) for name, (package, make) in among.items() if package not in missing], missing


def _alone(name: str, make: Make) -> Pass:
    return lambda past: {name: make(past)}
