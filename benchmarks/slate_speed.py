# ruff: noqa: E402
"""What diversification adds to a slate, and what a slate costs: CPU time in one process, pair by pair.

    python benchmarks/slate_speed.py [--json FILE]

A catalogue of 10,000 items with vectors of 384 dimensions in 100 clusters, one to three of 100 categories each; 400
users who turned to up to 100 of them. Slates of 10 from 100 candidates, in batches as a worker makes them, with
`diversity` 0 and the configured one in turns: packing, compiled pass and reasons. Medians of the pairs.
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
PAIRS = 40


def learned() -> tuple[Engine, list[Profile]]:
    config, random = Config(), np.random.default_rng(0)
    engine = Engine(config)
    centres = random.normal(size=(100, DIMENSIONS))
    for n in range(ITEMS):
        names = [f"category {c}" for c in {n % 100, *random.integers(0, 100, random.integers(0, 3)).tolist()}]
        engine.put_item(Item(item_id=f"i{n}", title=f"item {n}", categories=names, ts=1))
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
    engine, profiles = learned()
    varied = engine.config.slate.diversity
    pairs = [[1e6 * seconds(engine, profiles, d) / USERS for d in (0.0, varied)] for _ in range(PAIRS)]
    found = {
        "slate_us": median(pair[0] for pair in pairs),
        "varied_slate_us": median(pair[1] for pair in pairs),
        "diversification_us": median(pair[1] - pair[0] for pair in pairs),
    }
    for name, us in found.items():
        print(f"{name:20}{us:8.0f}")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
