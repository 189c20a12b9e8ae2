"""The evaluator against a plain one, and what it promises."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from divrec.config import Config, WorkerConfig
from divrec.errors import ConfigError
from divrec.evaluate.content import Content
from divrec.evaluate.models import SIGNAL_MODELS, passes
from divrec.evaluate.popularity import PopularityRanker
from divrec.evaluate.prequential import Evaluation, Make, evaluate
from divrec.evaluate.ranker import Interaction, Learner, Past, Ranker
from divrec.evaluate.stream import Stream
from divrec.evaluate.tally import ACCURACY, CHUNK
from divrec.events import Item, pack_vector
from tests.evaluate.logs import stream_of

T0 = 1_600_000_000


def random_stream(directory: Path, *, repeats: bool = False, events: int = 3_000, items: int = 150) -> Stream:
    random = np.random.default_rng(3)
    users, chosen = random.integers(0, 60, events), random.zipf(1.2, events) % items
    ratings, times = random.integers(1, 6, events), T0 + np.sort(random.integers(0, 90 * 86_400, events))
    rows = [f"u{u},i{i},{r},{t}" for u, i, r, t in zip(users, chosen, ratings, times, strict=True)]
    return stream_of(directory, "u,i,r,t", rows, repeats=repeats)


class Scores:
    """A ranker that sorts everything by a score, as slowly as can be."""

    def __init__(self, past: Past, score: Callable[[int, int], tuple[float, ...]]) -> None:
        self._past, self._score = past, score
        self.asked = 0

    @property
    def learner(self) -> Learner:
        return self

    def learn(self, event: Interaction) -> None:
        pass

    def rank(self, user: int, now: int, k: int) -> list[int]:
        self.asked += 1
        hidden = set(self._past.hidden(user).tolist())
        allowed = [item for item in range(self._past.seen) if item not in hidden]
        return sorted(allowed, key=lambda item: self._score(item, now), reverse=True)[:k]


def by_hand(stream: Stream, k: int) -> dict[str, float]:
    """Popularity, evaluated without any of our code."""
    counts, liked, tests = Counter[int](), set[int](), 0
    had: dict[int, set[int]] = defaultdict(set)
    sums: dict[str, float] = defaultdict(float)
    rows = zip(*(column.tolist() for column in (stream.user, stream.item, stream.positive, stream.ts)), strict=True)
    gained: dict[int, int] = {}
    appeared: dict[int, int] = {}
    last: dict[int, set[int]] = {}
    distances = []
    for at, (user, item, positive, ts) in enumerate(rows):
        appeared.setdefault(item, ts)
        if positive and user in liked:
            tests += 1
            hidden = set() if stream.repeats else had[user]
            order = sorted(counts, key=lambda one: (-counts[one], gained[one]))
            slate = [one for one in order if one not in hidden][:k]
            if item in slate:
                place = slate.index(item) + 1
                for name, value in (("hr", 1.0), ("mrr", 1 / place), ("ndcg", 1 / math.log2(place + 1))):
                    sums[name] += value
            total = sum(counts.values())
            sums["novelty"] += float(np.mean([-math.log2(counts[one] / total) for one in slate]))
            sums["freshness"] += float(np.mean([ts - appeared[one] <= 30 * 86_400_000 for one in slate]))
            if user in last:
                distances.append(1 - len(last[user] & set(slate)) / len(last[user] | set(slate)))
            last[user] = set(slate)
        if positive:
            liked.add(user)
        had[user].add(item)
        counts[item] += 1
        gained[item] = at
    means = {name: total / tests for name, total in sums.items()}
    return {"tests": tests, "inter_list": float(np.mean(distances))} | means


@pytest.mark.parametrize("repeats", [False, True])
def test_popularity_as_by_hand(tmp_path: Path, repeats: bool) -> None:
    stream = random_stream(tmp_path, repeats=repeats, events=8_000, items=800)
    found = evaluate(stream, [popularity], reference="divrec")
    expected = by_hand(stream, 10)
    assert found.tested == expected.pop("tests") > CHUNK and found.events == len(stream)
    figures = found.models["popularity"].figures
    named = {f"{name}@10" if name in ACCURACY else name: value for name, value in expected.items()}
    assert {name: figures[name] for name in named} == pytest.approx(named)
    assert figures["precision@10"] == pytest.approx(named["hr@10"] / 10)
    assert not found.models["popularity"].against


@pytest.mark.parametrize("half_life", [None, 3.0])
def test_the_order_of_popularity_is_kept_exactly(tmp_path: Path, half_life: float | None) -> None:
    stream = random_stream(tmp_path, events=1_500)

    class Slow(Scores):
        def __init__(self, past: Past) -> None:
            self.values: dict[int, float] = defaultdict(float)
            super().__init__(past, lambda item, _: (self.values[item],))

        def learn(self, event: Interaction) -> None:
            days = (event.ts - int(stream.ts[0])) / 86_400_000
            self.values[event.item] += 1.0 if half_life is None else 2.0 ** (days / half_life)

    found = evaluate(
        stream,
        [lambda past: {"slow": Slow(past)}, lambda past: {"fast": PopularityRanker(past, half_life)}],
        reference="slow",
    )
    fast, plain = found.models["fast"], found.models["slow"]
    if half_life is not None:  # without decay equals are many, and the two order them differently
        assert fast.figures["ndcg@10"] == pytest.approx(plain.figures["ndcg@10"])
        assert fast.against["ndcg@10"] == pytest.approx((0.0, 0.0, 0.0))
    assert abs(fast.figures["hr@10"] - plain.figures["hr@10"]) < 0.05


class Checked:
    """A ranker whose slates are looked at."""

    def __init__(self, ranker: Ranker, past: Past) -> None:
        self._ranker, self._past = ranker, past

    @property
    def learner(self) -> Learner:
        return self._ranker.learner

    def rank(self, user: int, now: int, k: int) -> list[int]:
        slate: list[int] = np.asarray(self._ranker.rank(user, now, k)).tolist()
        assert len(slate) == len(set(slate)) <= k
        assert not set(slate) & set(self._past.hidden(user).tolist())
        assert all(0 <= item < self._past.seen for item in slate)
        return slate


def test_nothing_hidden_or_unseen_is_recommended(tmp_path: Path) -> None:
    for repeats in (False, True):
        stream = random_stream(tmp_path, repeats=repeats, events=1_000)
        names = ["divrec", "divrec-slate", *SIGNAL_MODELS, "popularity", "decayed-popularity", "item-item"]
        if repeats:
            names.append("most-bought")
        made = passes(names, stream, Config(), described(stream))
        found = evaluate(stream, [checked(make) for make in made], reference="divrec")
        assert list(found.models) == names


def checked(make: Make) -> Make:
    return lambda past: {name: Checked(ranker, past) for name, ranker in make(past).items()}


def described(stream: Stream) -> Content:
    items = {
        item_id: Item(item_id=item_id, categories=[f"c{number % 7}", f"c{number % 3}"], ts=T0 * 1000)
        for number, item_id in enumerate(stream.items)
    }
    random = np.random.default_rng(0)
    vectors = {item_id: random.normal(size=16).astype(np.float32) + 3 for item_id in stream.items[::2]}
    packed = {item_id: pack_vector(vector / np.linalg.norm(vector)) for item_id, vector in vectors.items()}
    return Content(items, Config().encoder.model, packed)


def measured(stream: Stream, names: list[str], config: Config | None = None) -> Evaluation:
    content = described(stream)
    return evaluate(stream, passes(names, stream, config or Config(), content), reference="divrec", content=content)


def test_the_same_again_whatever_runs_beside_and_fits_in_memory(tmp_path: Path) -> None:
    stream = random_stream(tmp_path, events=1_500)
    alone, beside = (
        measured(stream, ["divrec"]),
        measured(stream, ["popularity", "divrec-slate", "divrec", "item-item"]),
    )
    few = measured(stream, ["divrec"], Config(worker=WorkerConfig(cached_profiles=5)))
    for one in (alone, beside, few):
        for name in ("cpu_us_learn", "cpu_us_recommend", "cpu_us_rate"):
            assert one.models["divrec"].figures.pop(name) > 0
    assert alone.models["divrec"] == beside.models["divrec"] == few.models["divrec"]
    assert set(beside.models["item-item"].against) == {"ndcg@10", "hr@10"}


def test_figures_are_in_their_ranges(tmp_path: Path) -> None:
    found = measured(random_stream(tmp_path), ["divrec", "popularity"])
    for result in found.models.values():
        figures = result.figures
        assert figures["user_coverage"] == 1.0 and 0 < figures["catalog_coverage"] <= 1
        assert 0.8 < figures["ild"] < 1.2, "random vectors, once their mean is gone"
        assert 0 <= figures["ild_categories"] <= 1 and 0 <= figures["calibration"] <= math.log(100)
        assert 0 <= figures["serendipity"] <= figures["hr@10"], "expected hits count less"
        assert 0 <= figures["serendipity_categories"] <= figures["unexpectedness_categories"] <= 1
        assert 1 / 64 < figures["topic_coverage"] <= 10 / 64 and 0.1 < figures["category_coverage"] <= 1
        assert 0 < figures["unexpectedness"] <= 1 and 0 < figures["inter_list"] < 1 and 0 < figures["freshness"] < 1
        assert 0 <= figures["gini"] < 1 and 0 < figures["entropy"] <= math.log2(found.items)
        assert sum(result.curves["hr@10"]) / len(result.curves["hr@10"]) == pytest.approx(figures["hr@10"], abs=0.02)
        late = np.mean(result.curves["hr@10"][67:])
        assert result.last_third["hr@10"] == pytest.approx(late, abs=0.02)


def test_the_popular_are_more_popular_than_what_users_have(tmp_path: Path) -> None:
    figures = measured(random_stream(tmp_path), ["popularity"]).models["popularity"].figures
    assert 0 < figures["popularity_lift"] < figures["popularity"] and figures["popularity"] > 0.8


def test_without_times_nothing_is_fresh(tmp_path: Path) -> None:
    rows = [f"{user},i{n},5" for user in "ab" for n in range(4)]
    found = evaluate(stream_of(tmp_path, "u,i,r", rows), [popularity], reference="divrec")
    assert "freshness" not in found.models["popularity"].figures


def test_an_unseen_item_is_a_miss(tmp_path: Path) -> None:
    rows = [f"a,i{n},5,{T0 + n}" for n in range(20)]
    stream = stream_of(tmp_path, "u,i,r,t", rows)
    made: list[Scores] = []

    def make(past: Past) -> dict[str, Ranker]:
        made.append(Scores(past, lambda item, _: (item,)))
        return {"all": made[0]}

    found = evaluate(stream, [make], reference="all")
    assert found.tested == made[0].asked == 19
    assert found.models["all"].figures["hr@10"] == 0.0, "the user has had every item that was seen"


def test_a_stream_without_tests_is_refused(tmp_path: Path) -> None:
    stream = stream_of(tmp_path, "u,i,r,t", [f"a,x,5,{T0}", f"b,x,5,{T0 + 1}", f"b,y,3,{T0 + 2}"])
    with pytest.raises(ConfigError, match="a user with two positive events, found none among 2; positive: rating >= 4"):
        evaluate(stream, [popularity], reference="divrec")


class Expecting(Scores):
    """Expects every rating to be what the item's number says."""

    def rate(self, user: int, item: int) -> float:  # noqa: ARG002
        return 1.0 + item % 5

    def learn_rating(self, event: Interaction) -> None:
        pass


def test_likes_and_dislikes(tmp_path: Path) -> None:
    rows = [f"a,i{n},{1 + n % 5},{T0 + n}" for n in range(20)] + [f"b,i4,1,{T0 + 30}", f"b,i0,,{T0 + 31}"]
    stream = stream_of(tmp_path, "u,i,r,t", rows)
    found = evaluate(
        stream, [lambda past: {"all": Expecting(past, lambda item, _: (item,))}, popularity], reference="all"
    )
    figures = found.models["all"].figures
    assert figures["accuracy"] == pytest.approx(20 / 21), "b's dislike is the only surprise; no rating, no question"
    assert figures["likes_f1"] == pytest.approx(16 / 17) and figures["rmse"] == pytest.approx(math.sqrt(16 / 21))
    assert "accuracy" not in found.models["popularity"].figures


def popularity(past: Past) -> dict[str, Ranker]:
    return {"popularity": PopularityRanker(past)}
