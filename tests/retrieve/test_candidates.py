"""Candidates and their signals against the formulas in plain Python."""

import random
from collections import defaultdict

import numpy as np
import pytest

from divrec.config import Config
from divrec.deltas import Delta, ModelLogRecord
from divrec.engine import Ask, Engine
from divrec.events import Click, Item
from divrec.interest.keywords import faded
from divrec.interest.lift import Lifts, packed_words
from divrec.profile import Profile
from divrec.retrieve.candidates import describe, release, retrieve
from divrec.retrieve.signals import (
    CONTENT,
    CONTRASTED,
    FRESH,
    HABIT,
    ITEM_ITEM,
    KEYWORD,
    LIKED_ITEM,
    POPULAR_EVER,
    POPULAR_NOW,
    REPEAT,
    SIGNALS,
    SIMILAR_USER,
    TRANSITION,
    TRENDING,
    WELL_RATED,
    WIDTH,
)

NOW = 1_000_000_000_000
DAY = 86_400_000


def learned(config: Config | None = None) -> tuple[Engine, list[Delta]]:
    """One user wanders over 30 items; every third is not liked."""
    chance = random.Random(0)
    engine, deltas = Engine(config or Config()), []
    history: list[str] = []
    for n in range(400):
        item = f"i{chance.randrange(30)}"
        recent = [past for past in dict.fromkeys(reversed(history[-12:])) if past != item]
        unliked = sum((int(past[1:]) % 3 == 0) << place for place, past in enumerate(recent))
        liked = int(item[1:]) % 3 != 0
        weight = chance.choice([0.3, 1.0])
        ts = NOW - (400 - n) * DAY // 8
        deltas.append(Delta(n, item, weight, ts, recent, liked, unliked.to_bytes(2, "little"), 1 + n // 40))
        history.append(item)
    engine.apply(ModelLogRecord(0, deltas), 0)
    return engine, deltas


def profile_of(history: list[str], feedback: list[float]) -> Profile:
    """``history`` newest first."""
    count = len(history)
    return Profile("u", 0, -1, history[::-1], ["like"] * count, feedback[::-1], [NOW] * count)


def signals(
    engine: Engine, history: list[str], feedback: list[float], habits: dict[str, int] | None = None
) -> dict[str, np.ndarray]:
    profile = profile_of(history, feedback)
    profile.habits = habits or {}
    asks = engine.pack([Ask(profile, NOW)])
    space, model, catalog = engine.side_by_side.spaces[0].space, engine.model.arrays(), engine.catalog.arrays()
    count = retrieve(asks, 0, space, 30.0 * DAY, model, catalog)
    assert not space.likeness.any(), "the space is clean for the next"
    found = {engine.items.id(row): space.signals[at].copy() for at, row in enumerate(space.rows[:count])}
    assert len(found) == count, "each candidate once"
    known = space.rows[:count][::-1].copy()
    assert describe(asks, 0, space, known, model, catalog, count).tolist() == list(range(count))[::-1]
    release(space, count)
    assert not space.slots.any(), "the space is clean for the next"
    return found


def test_the_keyword_signal_is_the_mean_lift_of_an_items_words() -> None:
    engine, _ = learned()
    for n in range(30):
        engine.put_item(Item(item_id=f"i{n}", categories=[f"c{n % 3}"], terms=[f"t{n % 4}", "any"] if n % 5 else []))
    profile = profile_of(["i1"], [1.0])
    for n in (1, 4, 8):
        observed = engine.observe(profile, Click(user_id="u", item_id=f"i{n}", action="like", ts=NOW), f"{n}", n)
        profile = observed.profile
        assert observed.delta is not None
        engine.apply(ModelLogRecord(1, [observed.delta]), n)
    engine.model.words.add([packed_words(["any", "c1", "other"])], [9.0])
    asks, space = engine.pack([Ask(profile, NOW)]), engine.side_by_side.spaces[0].space
    count = retrieve(asks, 0, space, 30.0 * DAY, engine.model.arrays(), engine.catalog.arrays())
    lifts = Lifts(profile.keywords, faded(profile.keywords_ts, NOW, 90.0 * DAY), engine.model.words)
    seen = set()
    for at, row in enumerate(space.rows[:count]):
        words = engine.catalog.words[row]
        expected = sum(lifts.lift(word) for word in words if word in profile.keywords) / len(words) if words else 0.0
        assert space.signals[at, KEYWORD] == pytest.approx(expected, rel=1e-5, abs=1e-7)
        seen.add(round(expected, 6))
    release(space, count)
    assert len(seen) > 3


def test_signals_are_the_formulas() -> None:
    engine, deltas = learned()
    history, feedback = ["i3", "i8", "unknown", "i4", "i20", "i1"], [-1.0, 1.0, 1.0, 1.0, -0.25, 0.5]
    weights: dict[str, dict[tuple[str, str], float]] = defaultdict(lambda: defaultdict(float))
    counts: dict[str, float] = defaultdict(float)
    likes: dict[str, float] = defaultdict(float)
    popularity: dict[str, float] = defaultdict(float)
    trend: dict[str, float] = defaultdict(float)
    users: dict[int, list[str]] = {}
    for n, delta in enumerate(deltas):
        item, liked = delta.item_id, int(delta.item_id[1:]) % 3 != 0
        counts[item] += delta.weight
        likes[item] += delta.weight * liked
        popularity[item] += delta.weight * liked * 2.0 ** ((delta.ts - NOW) / (30 * DAY))
        trend[item] += delta.weight * liked * 2.0 ** (n / 1_000)
        users[delta.user] = [past for past in (item, *delta.recent) if int(past[1:]) % 3 != 0]
        for distance, past in enumerate(delta.recent):
            past_liked = int(past[1:]) % 3 != 0
            faded = delta.weight * np.exp(-distance / 30)
            for one, other, one_liked, other_liked in (
                (item, past, liked, past_liked),
                (past, item, past_liked, liked),
            ):
                weights["all"][one, other] += faded
                weights["liked"][one, other] += faded * (one_liked and other_liked)
                weights["contrast"][one, other] += faded * (other_liked and not one_liked)
            weights["next"][past, item] += delta.weight * 0.8**distance
    expected: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    steps = 0
    for q, (past, felt) in enumerate(zip(history, feedback, strict=True)):
        liked = felt >= 0.5
        for other in counts if past != "unknown" else []:
            root = np.sqrt((counts[past] + 5) * (counts[other] + 5))
            to_liked = np.sqrt((counts[past] + 5) * (likes[other] + 5))
            both = np.sqrt((likes[past] + 5) * (likes[other] + 5))
            expected[ITEM_ITEM][other] += np.exp(-q / 10) * weights["all"][past, other] / root
            expected[LIKED_ITEM][other] += liked * np.exp(-steps / 10) * weights["liked"][past, other] / both
            expected[CONTRASTED][other] += (not liked) * np.exp(-q / 10) * weights["contrast"][past, other] / to_liked
            expected[TRANSITION][other] += 0.8**q * weights["next"][past, other] / root
        steps += liked
    found = signals(engine, history, feedback)
    assert found.keys() == counts.keys()
    for item, values in found.items():
        for signal in (ITEM_ITEM, LIKED_ITEM, CONTRASTED, TRANSITION):
            assert values[signal] == pytest.approx(expected[signal][item], rel=1e-4, abs=1e-6), (item, SIGNALS[signal])
        assert values[POPULAR_NOW] == pytest.approx(popularity[item] / max(popularity.values()), rel=2e-3)
        assert values[TRENDING] == pytest.approx(trend[item] / max(trend.values()), rel=2e-3)
        assert values[POPULAR_EVER] == pytest.approx(likes[item], rel=1e-5)
        assert values[WELL_RATED] == pytest.approx((likes[item] + 1) / (counts[item] + 2), rel=1e-5)
        similar = sum(item in liked for liked in users.values())
        assert (values[SIMILAR_USER] > 0) == (similar > 0)
        assert values[CONTENT] == values[FRESH] == values[REPEAT] == values[HABIT] == 0.0


def test_similar_users_are_those_who_liked_the_same() -> None:
    engine = Engine(Config())
    deltas = [Delta(n, "a", 1.0, NOW, [f"x{n}", "b"], True, b"", 1 + n) for n in range(3)]
    deltas += [Delta(3, "y", 1.0, NOW, ["c"], True, b"", 9), Delta(4, "z", 1.0, NOW, ["a"], True, b"\1", 10)]
    engine.apply(ModelLogRecord(0, deltas), 0)
    found = {item: float(values[SIMILAR_USER]) for item, values in signals(engine, ["a"], [1.0]).items()}
    one = (1 / np.sqrt(3.0 + 5)) / np.sqrt(3.0 + 20)
    assert found.pop("a") == found.pop("b") == pytest.approx(3 * one, rel=1e-5)
    assert {item: value for item, value in found.items() if value} == pytest.approx(
        {f"x{n}": one for n in range(3)}, rel=1e-5
    )


def test_repeats_count_where_they_are_allowed() -> None:
    engine, _ = learned(Config(slate={"allow_repeats": True}))
    found = signals(engine, ["i3", "i8", "i3"], [1.0] * 3, {"i3": 7, "gone": 1, "i8": 1})
    assert [found["i3"][REPEAT], found["i3"][HABIT]] == pytest.approx([1 + 1 / 3, 7])
    assert [found["i8"][REPEAT], found["i8"][HABIT]] == pytest.approx([1 / 2, 1])
    assert found["i5"][REPEAT] == found["i5"][HABIT] == 0.0


def test_fresh_items_fade_over_the_days() -> None:
    engine = Engine(Config())
    for name, ts in {"now": NOW, "half": NOW - 15 * DAY, "old": NOW - 31 * DAY, "soon": NOW + DAY, "none": 0}.items():
        engine.put_item(Item(item_id=name, ts=ts))
    found = {item: float(values[FRESH]) for item, values in signals(engine, [], []).items()}
    assert found == pytest.approx({"now": 1.0, "half": 2.0**-1.5, "old": 0.0, "soon": 0.0, "none": 0.0})


def test_the_widest_history_fits() -> None:
    """Every list full: more candidates than that there are not."""
    engine = Engine(Config(model={"neighbours": 300, "history": 50}))
    chance = random.Random(1)
    items = [f"i{n}" for n in range(9_000)]
    deltas = [Delta(n, f"past {n % 25}", 1.0, NOW, chance.sample(items, 50)) for n in range(500)]
    deltas += [
        Delta(500 + n, item, 1.0, NOW, [f"past {(n + k) % 25}" for k in range(10)], True, b"", 1 + n)
        for n, item in enumerate(items)
    ]
    engine.apply(ModelLogRecord(0, deltas), 0)
    for n in range(100):
        engine.put_item(Item(item_id=f"new {n}", ts=NOW))
    found = signals(engine, [f"past {n}" for n in range(25)], [1.0] * 25)
    assert 4_000 < len(found) <= len(engine.side_by_side.spaces[0].space.rows)
    assert all(values.shape == (WIDTH,) and np.isfinite(values).all() for values in found.values())
