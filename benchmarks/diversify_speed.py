# ruff: noqa: E402
"""Time per call of the diversifiers, beside pyversity where it has the same: one run, one table.

    python benchmarks/diversify_speed.py [--json FILE]

100, 500 and 1,000 candidates of 64 and 384 dimensions, slates of 10 and 50; vectors in 20 clusters, relevance falling
as a recommender's does (few high, many low), diversity 0.3. Each figure is the median of the calls of 0.2 s, ours and
theirs in turns, on one thread; `picks` says in how many of 20 such requests (3 for large COVER) both pick the same:
where they do not, two candidates differ by less than float32 resolves.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded

import numpy as np

from divrec.diversify.balanced import balanced
from divrec.diversify.calibrated import calibrated
from divrec.diversify.cover import cover
from divrec.diversify.dpp import dpp
from divrec.diversify.mmr import mmr
from divrec.diversify.msd import msd
from divrec.diversify.set_cover import set_cover
from divrec.diversify.ssd import ssd
from divrec.diversify.xquad import xquad

try:
    import pyversity
except ModuleNotFoundError:
    sys.exit("expected pyversity to compare with: make install-bench")

BOTH: dict[str, Callable[..., Any]] = {"mmr": mmr, "msd": msd, "dpp": dpp, "ssd": ssd, "cover": cover}
OURS: dict[str, Callable[..., Any]] = {"xquad": xquad, "calibrated": calibrated, "set_cover": set_cover}
SECONDS = 0.2
DIVERSITY = 0.3
REQUESTS = 20
CATEGORIES = 20


def request(seed: int, n: int, d: int) -> tuple[Any, Any, Any, Any]:
    """Relevance, vectors, categories and a profile."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(20, d))[random.integers(0, 20, n)] + 0.7 * random.normal(size=(n, d))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    relevance = random.uniform(size=n) ** 3
    relevance = np.sort((relevance - relevance.min()) / np.ptp(relevance))[::-1]
    flags = random.uniform(size=(n, CATEGORIES)) < 0.12
    found = (relevance, vectors, flags, random.dirichlet(np.full(CATEGORIES, 0.5)))
    return tuple(np.ascontiguousarray(values, np.float32) for values in found)  # type: ignore[return-value]


def time_calls(*calls: Callable[[], Any]) -> list[float]:
    """Microseconds of each, median."""
    for call in calls:
        call()
    found: list[list[float]] = [[] for _ in calls]
    end = perf_counter() + SECONDS * len(calls)
    while perf_counter() < end or len(found[0]) < 3:
        for times, call in zip(found, calls, strict=True):
            begin = perf_counter()
            call()
            times.append((perf_counter() - begin) * 1e6)
    return [median(times) for times in found]


def same_picks(name: str, n: int, d: int, k: int) -> str:
    """In how many of how many requests."""
    theirs = getattr(pyversity, name)
    requests = REQUESTS if name != "cover" or n == 100 else 3
    same = 0
    for seed in range(requests):
        relevance, vectors, _, _ = request(seed, n, d)
        found = BOTH[name](relevance, vectors, k, diversity=DIVERSITY)
        same += np.array_equal(found, theirs(vectors, relevance, k, diversity=DIVERSITY).indices)
    return f"{same}/{requests}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write all figures")
    asked = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, numpy {np.__version__}"
    rows = []
    print(machine)
    print(f"{'':11}{'n':>6}{'d':>5}{'k':>4}{'pyversity µs':>14}{'divrec µs':>11}{'times':>7}  picks")
    for n in (100, 500, 1_000):
        for d in (64, 384):
            relevance, vectors, flags, profile = request(0, n, d)
            for k in (10, 50):
                for name, ours in BOTH.items():
                    theirs = getattr(pyversity, name)
                    their_us, our_us = time_calls(
                        partial(theirs, vectors, relevance, k, diversity=DIVERSITY),
                        partial(ours, relevance, vectors, k, diversity=DIVERSITY),
                    )
                    same = same_picks(name, n, d, k)
                    rows.append({"name": name, "n": n, "d": d, "k": k, "pyversity_us": their_us, "divrec_us": our_us})
                    rows[-1]["same_picks"] = same
                    speed = their_us / our_us
                    print(f"{name:11}{n:6,}{d:5}{k:4}{their_us:14,.0f}{our_us:11,.0f}{speed:7.1f}  {same}", flush=True)
                calls = {
                    name: partial(ours, relevance, flags, k, diversity=DIVERSITY, profile=profile)
                    for name, ours in OURS.items()
                }
                calls["balanced"] = partial(balanced, relevance, vectors, k, categories=flags, profile=profile)
                for name, us in zip(calls, time_calls(*calls.values()), strict=True):
                    rows.append({"name": name, "n": n, "d": d, "k": k, "divrec_us": us})
                    print(f"{name:11}{n:6,}{d:5}{k:4}{'':14}{us:11,.0f}", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps({"machine": machine, "calls": rows}, indent=1))


if __name__ == "__main__":
    main()
