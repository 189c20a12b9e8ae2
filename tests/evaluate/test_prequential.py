"""The evaluator against a plain one, and what it promises."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from divrec.config import Config
from divrec.evaluate.categories import Categories
from divrec.evaluate.models import make_rankers
from divrec.evaluate.popularity import PopularityRanker
from divrec.evaluate.prequential import Evaluation, evaluate
from divrec.evaluate.ranker import Interaction, Learner, Past, Ranker
from divrec.evaluate.stream import Stream
from divrec.evaluate.tally import CHUNK
from divrec.events import Item
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
    rows = zip(stream.user.tolist(), stream.item.tolist(), stream.positive.tolist(), strict=True)
    gained: dict[int, int] = {}
    for at, (user, item, positive) in enumerate(rows):
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
        if positive:
            liked.add(user)
        had[user].add(item)
        counts[item] += 1
        gained[item] = at
    return {"tests": tests} | {name: total / tests for name, total in sums.items()}


@pytest.mark.parametrize("repeats", [False, True])
def test_popularity_as_by_hand(tmp_path: Path, repeats: bool) -> None:
    stream = random_stream(tmp_path, repeats=repeats, events=20_000, items=800)
    past = Past(stream)
    found = evaluate(stream, past, {"popularity": PopularityRanker(past)}, reference="divrec")
    expected = by_hand(stream, 10)
    assert found.tested == expected.pop("tests") > 2 * CHUNK and found.events == len(stream)
    figures = found.models["popularity"].figures
    named = {f"{name}@10" if name != "novelty" else name: value for name, value in expected.items()}
    assert {name: figures[name] for name in named} == pytest.approx(named)
    assert figures["precision@10"] == pytest.approx(named["hr@10"] / 10)
    assert not found.models["popularity"].against


@pytest.mark.parametrize("half_life", [None, 3.0])
def test_the_order_of_popularity_is_kept_exactly(tmp_path: Path, half_life: float | None) -> None:
    stream = random_stream(tmp_path, events=1_500)
    past = Past(stream)
    values: dict[int, float] = defaultdict(float)

    class Slow(Scores):
        def learn(self, event: Interaction) -> None:
            days = (event.ts - int(stream.ts[0])) / 86_400_000
            values[event.item] += 1.0 if half_life is None else 2.0 ** (days / half_life)

    slow = Slow(past, lambda item, _: (values[item],))
    found = evaluate(stream, past, {"fast": PopularityRanker(past, half_life), "slow": slow}, reference="slow")
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
        past = Past(stream)
        names = ["divrec", "divrec-slate", "popularity", "decayed-popularity", "item-item"]
        rankers = make_rankers(names + ["most-bought"] * repeats, stream, past, Config(), described(stream))

        evaluate(stream, past, {name: Checked(ranker, past) for name, ranker in rankers.items()}, reference="divrec")


def described(stream: Stream) -> dict[str, Item]:
    return {
        item_id: Item(item_id=item_id, categories=[f"c{number % 7}", f"c{number % 3}"], ts=T0 * 1000)
        for number, item_id in enumerate(stream.items)
    }


def measured(stream: Stream, names: list[str]) -> Evaluation:
    past = Past(stream)
    items = described(stream)
    rankers = make_rankers(names, stream, past, Config(), items)
    return evaluate(stream, past, rankers, reference="divrec", categories=Categories(stream, items))


def test_the_same_again_whatever_runs_beside(tmp_path: Path) -> None:
    stream = random_stream(tmp_path, events=1_500)
    alone, beside = (
        measured(stream, ["divrec"]),
        measured(stream, ["popularity", "divrec-slate", "divrec", "item-item"]),
    )
    for one in (alone, beside):
        for name in ("cpu_us_learn", "cpu_us_recommend"):
            assert one.models["divrec"].figures.pop(name) > 0
    assert alone.models["divrec"] == beside.models["divrec"]
    assert set(beside.models["item-item"].against) == {"ndcg@10", "hr@10"}


def test_figures_are_in_their_ranges(tmp_path: Path) -> None:
    found = measured(random_stream(tmp_path), ["divrec", "popularity"])
    for result in found.models.values():
        figures = result.figures
        assert figures["user_coverage"] == 1.0 and 0 < figures["catalog_coverage"] <= 1
        assert 0 <= figures["ild_categories"] <= 1 and 0 <= figures["calibration"] <= math.log(100)
        assert 0 <= figures["gini"] < 1 and 0 < figures["entropy"] <= math.log2(found.items)
        assert sum(result.curves["hr@10"]) / len(result.curves["hr@10"]) == pytest.approx(figures["hr@10"], abs=0.02)
        late = np.mean(result.curves["hr@10"][67:])
        assert result.last_third["hr@10"] == pytest.approx(late, abs=0.02)


def test_an_unseen_item_is_a_miss(tmp_path: Path) -> None:
    rows = [f"a,i{n},5,{T0 + n}" for n in range(20)]
    stream = stream_of(tmp_path, "u,i,r,t", rows)
    past = Past(stream)
    ranker = Scores(past, lambda item, _: (item,))
    found = evaluate(stream, past, {"all": ranker}, reference="all")
    assert found.tested == ranker.asked == 19
    assert found.models["all"].figures["hr@10"] == 0.0, "the user has had every item that was seen"
