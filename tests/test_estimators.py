"""divrec's estimators by River's own checks, in its pipelines and its progressive validation."""

import random
from typing import Any

import pytest
from river import checks, compose, dummy, evaluate, metrics, reco, stats

from divrec.config import Config, SlateConfig
from divrec.data.log import demo_log
from divrec.estimators import EngineRanker, LikeClassifier, RatingRanker, RatingRegressor
from divrec.events import Click

ESTIMATORS = (
    RatingRegressor(),
    RatingRegressor(max_items=64, max_users=8, history=4),
    LikeClassifier(),
    RatingRanker(),
    EngineRanker(),
    EngineRanker(Config(slate=SlateConfig(pool=20)), max_users=1),
)


def ratings(count: int) -> list[tuple[dict[str, Any], float]]:
    with demo_log() as log:
        rated = [e for e in log.events() if isinstance(e, Click)][:count]
    return [({"user": e.user_id, "item": e.item_id, "ts": e.ts}, e.rating or 0.0) for e in rated]


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(estimator, check, id=f"{n}-{type(estimator).__name__}-{check.__name__}")
        for n, estimator in enumerate(ESTIMATORS)
        for check in checks.yield_checks(estimator)
        if check.__name__ not in estimator._unit_test_skips()
    ],
)
def test_checks_of_river(estimator: Any, check: Any) -> None:
    check(estimator.clone())


@pytest.mark.parametrize("estimator", ESTIMATORS[:1] + ESTIMATORS[2:5], ids=lambda estimator: type(estimator).__name__)
def test_check_estimator(estimator: Any) -> None:
    checks.check_estimator(estimator)


def test_progressive_validation() -> None:
    told = ratings(6_000)
    ours = evaluate.progressive_val_score(told, RatingRegressor(0.5, 5.0), metrics.RMSE()).get()
    mean = evaluate.progressive_val_score(told, dummy.StatisticRegressor(stats.Mean()), metrics.RMSE()).get()
    assert ours < 0.93 * mean


def test_pipeline() -> None:
    """Ids under other names, renamed and selected on the way."""
    model = compose.Renamer({"who": "user", "what": "item"}) | compose.Select("user", "item") | RatingRegressor()
    plain = RatingRegressor()
    for x, y in ratings(300):
        there = {"who": x["user"], "what": x["item"], "noise": 1}
        assert model.predict_one(there) == plain.predict_one(x)
        model.learn_one(there, y)
        plain.learn_one(x, y)


def test_likes() -> None:
    told = [(x, y >= 4) for x, y in ratings(6_000)]
    assert evaluate.progressive_val_score(told, LikeClassifier(), metrics.ROCAUC()).get() > 0.7
    assert LikeClassifier().predict_proba_one({}) == {False: 0.5, True: 0.5}


def preferences(ranker: reco.base.Ranker) -> reco.base.Ranker:
    """Even users like even items, odd ones odd items."""
    rng = random.Random(0)
    for _ in range(600):
        user, item = rng.randrange(20), rng.randrange(20)
        if item != 0 or user == 1:
            ranker.learn_one(user, item, (user + item) % 2 == 0)
    return ranker


@pytest.mark.parametrize("ranker", [RatingRanker(), EngineRanker()], ids=lambda ranker: type(ranker).__name__)
def test_rankers_learn_who_likes_what(ranker: Any) -> None:
    learned = preferences(ranker)
    for user in range(20):
        first = learned.rank(user, set(range(1, 20)))[:5]
        assert sum(item % 2 == user % 2 for item in first) >= 4, (user, first)  # type: ignore[operator]
        assert learned.predict_one(user, first[0]) >= learned.predict_one(user, first[-1])


def test_rank_keeps_every_item_and_its_type() -> None:
    items = {1, "b", (2, 3), None}
    for ranker in (RatingRanker(), EngineRanker()):
        ranker.learn_one("u", (2, 3), True)
        assert ranker.rank("u", items)[0] == (2, 3) or isinstance(ranker, RatingRanker)
        assert set(ranker.rank("u", items)) == items
        assert ranker.rank("u", set()) == []


def test_engine_ranker_takes_ratings_and_times() -> None:
    ranker = EngineRanker()
    for x, y in ratings(300):
        ranker.learn_one(x["user"], x["item"], max(1.0, y), {"ts": x["ts"]})
    one, _ = ratings(1)[0]
    assert 0.0 < ranker.predict_one("new", ranker.rank("new", {x["item"] for x, _ in ratings(300)})[0]) <= 1.0
    assert ranker.predict_one(one["user"], "never seen") == 0.0


def test_profiles_are_bounded() -> None:
    ranker = EngineRanker(max_users=3)
    for n in range(20):
        ranker.learn_one(n, n % 4, True)
    assert len(ranker._profiles) == 3
