# ruff: noqa: E402
"""What diversification and rules add to a slate, and what a slate costs: CPU time in one process, turn by turn.

    python benchmarks/slate_speed.py [--json FILE]

A catalogue of 10,000 items with vectors of 384 dimensions in 100 clusters, one to three of 100 categories each; 400
users who turned to up to 100 of them. Slates of 10 from 100 candidates, in batches as a worker makes them, with
`diversity` 0 and the configured one in turns, and with that again under rules of every kind: packing, compiled pass and
reasons. Medians of the turns.
"""

import argparse
import json
import os
from pathlib import Path
from statistics import median
from time import process_time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded

import numpy as np
from hardware import machine

from divrec.config import Config
from divrec.deltas import ModelLogRecord
from divrec.engine import Ask, Engine
from divrec.events import Click, Item, ItemVector, pack_vector
from divrec.profile import Profile
from divrec.warm_up import warm_up

ITEMS, USERS, CLICKS, DIMENSIONS = 10_000, 400, 30_000, 384
START = 1_700_000_000_000
TURNS = 40
RULES = {
    "filters": [{"name": "f", "where": [{"field": "price", "below": 5}]}],
    "boosts": [{"name": "b", "where": [{"field": "brand", "any_of": ["b3"]}], "factor": 1.5}],
    "pins": [{"name": "p", "item": "i77", "position": 1}],
    "sponsored": [{"name": "s", "where": [{"field": "categories", "any_of": ["category 7"]}], "positions": [3, 7]}],
    "limits": [
        {"name": "sellers", "by": "seller", "most": 2},
        {"name": "least", "where": [{"field": "brand", "any_of": ["b5"]}], "least": 2},
    ],
    "own_items": False,
    "cap_impressions": 5,
    "cool_down_hours": 1,
}


def learned(config: Config) -> tuple[Engine, list[Profile]]:
    random = np.random.default_rng(0)
    engine = Engine(config)
    centres = random.normal(size=(100, DIMENSIONS))
    for n in range(ITEMS):
        names = [f"category {c}" for c in {n % 100, *random.integers(0, 100, random.integers(0, 3)).tolist()}]
        about = {"brand": f"b{n % 10}", "seller": f"s{n % 30}", "price": float(n % 100)}
        engine.put_item(Item(item_id=f"i{n}", title=f"item {n}", categories=names, ts=1, **about))
        vector = centres[n % 100] + random.normal(size=DIMENSIONS)
        value = pack_vector((vector / np.linalg.norm(vector)).astype(np.float32))
        engine.put_vector(ItemVector(item_id=f"i{n}", model=config.encoder.model, vector=value))
    profiles = [Profile(f"u{n}", 0) for n in range(USERS)]
    rows = np.minimum(random.zipf(1.2, CLICKS), ITEMS) - 1
    for at, row in enumerate(rows):
        user = int(random.integers(USERS))
        click = Click(user_id=profiles[user].user_id, item_id=f"i{row}", ts=START + at)
        observed = engine.observe(profiles[user], click, str(at), at)
        profiles[user] = observed.profile
        if observed.delta is not None:
            engine.apply(ModelLogRecord(0, [observed.delta]), at)
    return engine, profiles


def seconds(engine: Engine, profiles: list[Profile], diversity: float) -> float:
    asks = [Ask(profile, START + CLICKS, diversity=diversity) for profile in profiles]
    begin = process_time()
    for at in range(0, USERS, 200):
        engine.recommend_all(asks[at : at + 200])
    return process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write all figures")
    asked = parser.parse_args()
    print(machine())
    warm_up(Config())
    engine, profiles = learned(Config())
    ruled, _ = learned(Config(rules=RULES))
    varied = engine.config.slate.diversity
    asked_of = ((engine, 0.0), (engine, varied), (ruled, varied))
    turns = [[1e6 * seconds(one, profiles, d) / USERS for one, d in asked_of] for _ in range(TURNS)]
    found = {
        "slate_us": median(turn[0] for turn in turns),
        "varied_slate_us": median(turn[1] for turn in turns),
        "diversification_us": median(turn[1] - turn[0] for turn in turns),
        "rules_us": median(turn[2] - turn[1] for turn in turns),
    }
    for name, us in found.items():
        print(f"{name:20}{us:8.0f}")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
