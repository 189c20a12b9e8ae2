"""A small replayed log whose figures are committed: a change of behaviour shows.

Genres stand in for the vectors of a text model. Prequential: before each rating of 4 or better by a user who gave one
before, a slate is asked for; then the engine learns. ``DIVREC_RENEW_FIGURES=1 pytest tests/test_regression.py`` writes
the figures anew: look at the difference.
"""

import itertools
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from divrec.config import Config
from divrec.data.log import demo_log
from divrec.deltas import ModelLogRecord
from divrec.engine import Ask, Engine
from divrec.events import Click, ItemVector, SlateItem, pack_vector
from divrec.profile import Profile

EVENTS = 12_000
FIGURES = Path(__file__).parent / "figures" / "replay.json"


def measured() -> dict[str, float]:
    config = Config(feedback={"rating_min": 0.5})
    engine = Engine(config)
    with demo_log(config.feedback) as log:
        films = list(log.items())
        genres = sorted({genre for film in films for genre in film.categories})
        for film in films:
            engine.put_item(film)
            vector = np.array([genre in film.categories for genre in genres], np.float32)
            if vector.any():
                value = pack_vector(vector / np.linalg.norm(vector))
                engine.put_vector(ItemVector(item_id=film.item_id, model=config.encoder.model, vector=value))
        clicks = list(itertools.islice((e for e in log.events() if isinstance(e, Click)), EVENTS))
    profiles: dict[str, Profile] = {}
    liked: set[str] = set()
    shown: set[str] = set()
    tested = 0
    sums = {"hr@10": 0.0, "ndcg@10": 0.0, "slate_hr@10": 0.0, "slate_ndcg@10": 0.0, "reasons": 0.0}
    for offset, click in enumerate(clicks):
        profile = profiles.get(click.user_id) or Profile(click.user_id, 0)
        if (click.rating or 0) >= 4:
            if click.user_id in liked:
                tested += 1
                by_relevance, slate = engine.recommend_all(
                    [Ask(profile, click.ts, 10, 0.0), Ask(profile, click.ts, 10, config.slate.diversity)]
                )
                for name, items in (("", by_relevance), ("slate_", slate)):
                    position = found(items, click.item_id)
                    sums[f"{name}hr@10"] += position > 0
                    sums[f"{name}ndcg@10"] += 1 / math.log2(position + 1) if position else 0.0
                sums["reasons"] += sum(len(item.reasons) for item in slate) / 10
                shown.update(item.item_id for item in slate)
            liked.add(click.user_id)
        observed = engine.observe(profile, click, str(offset), offset)
        profiles[click.user_id] = observed.profile
        assert observed.delta is not None
        engine.apply(ModelLogRecord(0, [observed.delta]), offset)
    coverage = len(shown) / len(engine.catalog)
    return {"tested": tested, "coverage": coverage} | {name: value / tested for name, value in sums.items()}


def found(items: list[SlateItem], item_id: str) -> int:
    return next((item.position for item in items if item.item_id == item_id), 0)


def test_figures_are_as_committed() -> None:
    figures = measured()
    if os.environ.get("DIVREC_RENEW_FIGURES"):
        FIGURES.write_text(json.dumps({name: round(value, 6) for name, value in figures.items()}, indent=2) + "\n")
    assert figures == pytest.approx(json.loads(FIGURES.read_text()), abs=1e-4)
