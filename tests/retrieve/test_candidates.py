"""Candidates and their signals against the formulas in plain Python."""

import random
from collections import defaultdict

import numpy as np
import pytest

from divrec.config import Config
from divrec.deltas import Delta, ModelLogRecord
from divrec.engine import Engine
from divrec.events import Item
from divrec.retrieve.candidates import CONTENT, FRESH, ITEM_ITEM, POPULAR_NOW, SIGNALS, TRANSITION, retrieve

NOW = 1_000_000_000_000
DAY = 86_400_000


def learned() -> tuple[Engine, list[Delta]]:
    chance = random.Random(0)
    engine, deltas = Engine(Config()), []
    history: list[str] = []
    for n in range(400):
        item = f"i{chance.randrange(30)}"
        recent = [past for past in dict.fromkeys(reversed(history[-12:])) if past != item]
        deltas.append(Delta(n, item, chance.choice([0.3, 1.0]), NOW - (400 - n) * DAY // 8, recent))
        history.append(item)
    engine.apply(ModelLogRecord(0, deltas), 0)
    return engine, deltas


def signals(engine: Engine, history: list[str], feedback: list[float]) -> dict[str, np.ndarray]:
    rows = np.array([engine.items.get(item) for item in history], np.int32)
    space = engine._candidates.space
    interest = np.zeros(engine.catalog.dimensions, np.float32)
    count = retrieve(
        space,
        rows,
        np.array(feedback, np.float32),
        interest,
        NOW,
        30.0 * DAY,
        engine.model.arrays(),
        engine.catalog.arrays(),
    )
    assert not space.slots.any(), "the space is clean for the next"
    found = {engine.items.id(row): space.signals[at].copy() for at, row in enumerate(space.rows[:count])}
    assert len(found) == count, "each candidate once"
    return found


def test_signals_are_the_formulas() -> None:
    engine, deltas = learned()
    history, feedback = ["i3", "i8", "unknown", "i3", "i20", "i1"], [0.6, 1.0, 1.0, -0.25, -1.0, 0.0]
    pairs: dict[tuple[str, str], float] = defaultdict(float)
    steps: dict[tuple[str, str], float] = defaultdict(float)
    counts: dict[str, float] = defaultdict(float)
    out: dict[str, float] = defaultdict(float)
    popularity: dict[str, float] = defaultdict(float)
    for delta in deltas:
        counts[delta.item_id] += delta.weight
        popularity[delta.item_id] += delta.weight * 2.0 ** ((delta.ts - NOW) / (30 * DAY))
        for step, past in enumerate(delta.recent):
            pairs[delta.item_id, past] += delta.weight
            pairs[past, delta.item_id] += delta.weight
            if step < 10:
                steps[past, delta.item_id] += delta.weight * 0.8**step
                out[past] += delta.weight * 0.8**step
    item_item: dict[str, float] = defaultdict(float)
    transition: dict[str, float] = defaultdict(float)
    for q, (past, liked) in enumerate(zip(history, feedback, strict=True)):
        if past == "unknown" or liked <= -1.0:
            continue
        for other in counts:
            item_item[other] += (
                min(1.0, 1.0 + liked)
                * np.exp(-q / 10)
                * pairs[past, other]
                / ((counts[past] + 5) * (counts[other] + 5)) ** 0.5
            )
            transition[other] += 0.8**q * steps[past, other] / ((out[past] + 5) * (counts[other] + 5)) ** 0.5
    found = signals(engine, history, feedback)
    assert found.keys() == counts.keys()
    peak = max(popularity.values())
    for item, values in found.items():
        assert values[ITEM_ITEM] == pytest.approx(item_item[item], rel=1e-4, abs=1e-6)
        assert values[TRANSITION] == pytest.approx(transition[item], rel=1e-4, abs=1e-6)
        assert values[POPULAR_NOW] == pytest.approx(popularity[item] / peak, rel=2e-3)
        assert values[CONTENT] == values[FRESH] == 0.0


def test_fresh_items_fade_over_the_days() -> None:
    engine = Engine(Config())
    for name, ts in {"now": NOW, "half": NOW - 15 * DAY, "old": NOW - 31 * DAY, "soon": NOW + DAY, "none": 0}.items():
        engine.put_item(Item(item_id=name, ts=ts))
    found = {item: float(values[FRESH]) for item, values in signals(engine, [], []).items()}
    assert found == pytest.approx({"now": 1.0, "half": 2.0**-1.5, "old": 0.0, "soon": 0.0, "none": 0.0})


def test_the_widest_history_fits() -> None:
    """Every list full: more candidates than that there are not."""
    engine = Engine(Config(model={"neighbours": 300, "transitions": 80, "history": 50}))
    chance = random.Random(1)
    items = [f"i{n}" for n in range(9_000)]
    deltas = [Delta(n, f"past {n % 25}", 1.0, NOW, chance.sample(items, 50)) for n in range(500)]
    deltas += [
        Delta(500 + n, item, 1.0, NOW, [f"past {(n + k) % 25}" for k in range(10)]) for n, item in enumerate(items)
    ]
    engine.apply(ModelLogRecord(0, deltas), 0)
    for n in range(100):
        engine.put_item(Item(item_id=f"new {n}", ts=NOW))
    found = signals(engine, [f"past {n}" for n in range(25)], [1.0] * 25)
    assert 4_000 < len(found) <= len(engine._candidates.space.rows)
    assert all(values.shape == (len(SIGNALS),) and np.isfinite(values).all() for values in found.values())
