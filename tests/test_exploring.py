"""Slates that explore: the rules hold, a trigger that comes again gets the same, and propensities are frequencies."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from divrec.config import Config
from divrec.deltas import ModelLogRecord
from divrec.engine import Ask, Engine
from divrec.evaluate.policy import estimate
from divrec.events import Item, SlateItem
from divrec.model import DAY_MS
from divrec.profile import Profile
from tests.test_engine import NOW, clicked, ids, with_items
from tests.test_slate_property import USERS, Stream, steps


def explored(item: SlateItem) -> bool:
    return bool(item.reasons) and item.reasons[0].code == "explored"


class Exploring(Stream):
    """The same with slates that explore: what is no longer so is that all come by relevance."""

    def check(self, user: str, exclude: list[str], k: int, diversity: float) -> None:
        super().check(user, exclude, k, diversity or 0.3)
        asks = [Ask(self.profiles[user], self.offset, k, diversity, exclude)] * 2
        slate, again = self.engine.recommend_all(asks)
        assert slate == again
        (plain,) = self.engine.recommend_all([asks[0]._replace(explore=False)])
        assert len(slate) >= len(plain), "a pool never takes a place away"
        assert all(0.0 < item.propensity <= 1.0 for item in slate)
        assert {item.propensity for item in plain} <= {1.0}
        kept = [item.item_id for item in slate if not explored(item)]
        if self.config.slate.explore < 1.0:
            assert kept == [i for i in ids(plain) if i in kept], "in the order of relevance"
        if len(plain) < k:
            assert {item.item_id for item in plain} <= {item.item_id for item in slate}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=5, max_size=60), st.booleans(), st.sampled_from([0.3, 1.0]))
def test_rules_have_the_last_word(stream_steps: list[tuple[Any, ...]], repeats: bool, share: float) -> None:
    stream = Exploring(allow_repeats=repeats, explore=share)
    for step in stream_steps:
        stream.step(step)
    for user in USERS:
        stream.check(user, [], 30, 0.3)


def crowded(share: float) -> Engine:
    """Forty items that many know, among them twenty-five new ones and fifteen that nobody knows."""
    engine = with_items(40, Config(slate={"explore": share, "k": 4, "diversity": 0.0}), ts=NOW - 300 * DAY_MS)
    for n in range(40, 80):
        engine.put_item(Item(item_id=f"i{n}", ts=NOW - DAY_MS if n < 65 else NOW - 100 * DAY_MS))
    profile = Profile("many", 0)
    for n in range(1_000):
        profile, delta, *_ = clicked(engine, profile, f"i{n % 65}", action="like")
        assert delta is not None
        engine.apply(ModelLogRecord(0, [delta]), n)
    return engine


@pytest.fixture(scope="module")
def half() -> Engine:
    return crowded(0.5)


def users(count: int) -> list[Ask]:
    return [Ask(Profile(f"u{n}", 0), NOW) for n in range(count)]


def test_nothing_is_explored_by_default(half: Engine) -> None:
    assert with_items(30).config.slate.explore == 0.0
    (plain,) = half.recommend_all([Ask(Profile("u", 0), NOW, explore=False)])
    assert not any(map(explored, plain)) and all(item.propensity == 1.0 for item in plain)


def test_pools_hold_what_is_fresh_and_what_is_little_known(half: Engine) -> None:
    found = {item.item_id for slate in half.recommend_all(users(300)) for item in slate if explored(item)}
    fresh = {f"i{n}" for n in range(40, 65)}
    unknown = {f"i{n}" for n in range(65, 80)}
    assert found & fresh and found & unknown
    assert found <= fresh | unknown
    assert len(found) <= 2 * 4, "the best of each, as many as a slate has places"


def test_the_next_event_draws_anew_and_the_same_one_draws_the_same(half: Engine) -> None:
    profile = Profile("ann", 0)
    made = []
    for _ in range(20):
        profile = profile.copy()
        profile.events += 1
        first, again = half.recommend_all([Ask(profile, NOW), Ask(profile.copy(), NOW)])
        assert first == again
        made.append(tuple(ids(first)))
    assert len(set(made)) > 5


def test_positions_similarities_and_ranks_are_those_of_the_drawn_slate(half: Engine) -> None:
    (plain,) = half.recommend_all([Ask(Profile("u", 0), NOW, 60, explore=False)])
    rank_of = {item.item_id: item.relevance_rank for item in plain}
    for slate in half.recommend_all(users(50)):
        assert [item.position for item in slate] == [1, 2, 3, 4]
        for item in slate:
            assert item.relevance_rank == rank_of.get(item.item_id, item.relevance_rank)
            assert len({other.relevance_rank for other in slate}) == 4
    (item,) = half.recommend_all([Ask(Profile("u1", 0), NOW, 1)])[0]
    assert item.similarity == 0.0


def test_propensities_are_the_frequencies_of_many_users(half: Engine) -> None:
    """Users without a history are asked the same: the first item and its propensity hang together as told."""
    slates = half.recommend_all(users(4_000))
    told = {slate[0].item_id: slate[0].propensity for slate in slates}
    seen = Counter(slate[0].item_id for slate in slates)
    assert sum(told.values()) == pytest.approx(1.0)
    for item_id, propensity in told.items():
        assert seen[item_id] / 4_000 == pytest.approx(propensity, abs=4 * (propensity / 4_000) ** 0.5)
    share = np.mean([explored(item) for slate in slates for item in slate])
    assert 0.3 < share < 0.5, "some of what is drawn would have been shown anyway"


def test_what_exploring_costs_is_estimated_from_the_slates(half: Engine) -> None:
    """Users turn to items by a known chance; slates that explore tell what those would earn that do not."""
    random = np.random.default_rng(3)
    appeal = {f"i{n}": random.uniform(0.02, 0.5) for n in range(80)}
    held = 0
    for round_ in range(12):
        columns: list[tuple[int, float, float, float]] = []
        truth = 0.0
        asks = [Ask(Profile(f"r{round_} {n}", 0), NOW) for n in range(400)]
        for n, (ask, slate) in enumerate(zip(asks, half.recommend_all(asks), strict=True)):
            (plain,) = half.recommend_all([ask._replace(explore=False)])
            for position, item in enumerate(slate):
                above = ids(slate[:position])
                best = next(i for i in ids(plain) if i not in above)
                truth += appeal[best]
                reward = float(random.random() < appeal[item.item_id])
                columns.append((n, reward, item.propensity, float(not explored(item))))
        slate_, reward_, propensity, target = (np.array(column) for column in zip(*columns, strict=True))
        outcome = estimate(slate_, reward_, propensity, target)
        assert outcome.supported and outcome.weight.value == pytest.approx(1.0, abs=0.1)
        held += outcome.ips.low <= truth / len(columns) <= outcome.ips.high
    assert held >= 10, "95 % intervals"
