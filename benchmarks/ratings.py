# ruff: noqa: E402
"""How well ratings are predicted: the blend beside its experts, River's recommenders and the mean; one table a log.

    python benchmarks/ratings.py                                             ml-100k, ml-latest-small, magazines
    python benchmarks/ratings.py --data FILE --map user=u,item=i,rating=r,ts=t   another log

Prequential: each rating is predicted, then learned. Events by time, those of the same time shuffled with seed 0, the
first of a user with an item kept. Predictions are clipped to the scale. A model says that a user likes an item if its
prediction lies nearer to a rating of 4 or more than to one below. µs: CPU time of predicting and learning one rating,
of a process with one thread; the experts are parts of the blend and have no time of their own. River's have the
settings of River's own tutorial, which were chosen for ml-100k.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded

import numpy as np
import numpy.typing as npt
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table
from river import optim, reco

from divrec.cf.ratings.experts import EXPERTS
from divrec.cf.ratings.predictor import RatingPredictor
from divrec.config import FeedbackConfig
from divrec.data.log import Log, open_log
from divrec.data.mapping import parse_map
from divrec.evaluate.stream import WIDE, Stream, read_stream
from divrec.metrics.likes import accuracy, likes_f1

DATA = Path(__file__).parents[1].parent / "shared" / "data"
Predictions = npt.NDArray[np.float64]

NORMAL = optim.initializers.Normal(mu=0.0, sigma=0.1, seed=73)
RIVER: dict[str, Callable[[], Any]] = {
    "River BiasedMF": lambda: reco.BiasedMF(10, optim.SGD(0.025), optim.SGD(0.05), latent_initializer=NORMAL),
    "River BiasedMF, defaults": lambda: reco.BiasedMF(seed=0),
    "River Baseline": lambda: reco.Baseline(optim.SGD(0.025)),
    "River FunkMF": lambda: reco.FunkMF(10, optim.SGD(0.05), l2=0.1, initializer=NORMAL),
}


class Measured(NamedTuple):
    predictions: Predictions
    us: float | None
    """CPU time of an event."""


def ratings_of(stream: Stream, told: str) -> Iterator[tuple[str, str, float]]:
    columns = (stream.user.tolist(), stream.item.tolist(), stream.rating.tolist())
    for user, item, rating in track(zip(*columns, strict=True), told, total=len(stream), console=Console(stderr=True)):
        yield stream.users[user], stream.items[item], rating


def measure_divrec(stream: Stream) -> Measured:
    low, high = stream.scale
    warm = RatingPredictor(low, high)  # compiles
    warm.learn_one("", "", low)
    warm.predict_one("", "")
    model = RatingPredictor(low, high)
    predictions = np.empty(len(stream))
    start = time.process_time()
    for n, (user, item, rating) in enumerate(ratings_of(stream, "divrec")):
        predictions[n] = model.predict_one(user, item)
        model.learn_one(user, item, rating)
    return Measured(predictions, (time.process_time() - start) / len(stream) * 1e6)


def measure_experts(stream: Stream) -> dict[str, Measured]:
    model = RatingPredictor(*stream.scale)
    said = np.empty((len(stream), len(EXPERTS)))
    for n, (user, item, rating) in enumerate(ratings_of(stream, "experts")):
        experts = model.experts(user, item)
        said[n] = [experts[name] for name in EXPERTS]
        model.learn_one(user, item, rating)
    return {f"  {name}": Measured(said[:, n], None) for n, name in enumerate(EXPERTS)}


def measure_river(stream: Stream, make: Callable[[], Any], name: str) -> Measured:
    model = make()
    predictions = np.empty(len(stream))
    start = time.process_time()
    for n, (user, item, rating) in enumerate(ratings_of(stream, name)):
        predictions[n] = model.predict_one(user, item)
        model.learn_one(user, item, rating)
    return Measured(predictions, (time.process_time() - start) / len(stream) * 1e6)


def measure_mean(stream: Stream) -> Measured:
    before = np.cumsum(stream.rating) - stream.rating
    return Measured(before / np.maximum(np.arange(len(stream)), 1), None)


def figures(stream: Stream, measured: Measured) -> dict[str, float | None]:
    low, high = stream.scale
    predicted = np.clip(measured.predictions, low, high)
    steps = np.diff(np.unique(stream.rating))
    assert stream.liked is not None
    likes = predicted >= stream.liked - (steps.min() / 2 if len(steps) else 0.0)
    told = stream.rating >= stream.liked
    error = predicted - stream.rating
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
        "accuracy": accuracy(likes, told),
        "f1": likes_f1(likes, told),
        "us": measured.us,
    }


def measure(stream: Stream) -> dict[str, dict[str, float | None]]:
    found = {"divrec": measure_divrec(stream)}
    found |= measure_experts(stream)
    found |= {name: measure_river(stream, make, name) for name, make in RIVER.items()}
    found["mean of all so far"] = measure_mean(stream)
    return {name: figures(stream, measured) for name, measured in found.items()}


def logs(asked: argparse.Namespace) -> dict[str, Log]:
    if asked.data:
        return {
            asked.data[0].name: open_log(asked.data, map=parse_map(asked.map) if asked.map else None, feedback=WIDE)
        }
    if not DATA.is_dir():
        sys.exit(f"expected logs in {DATA}, found no such directory: name one with --data")
    movielens = {"user": "userId", "item": "movieId", "rating": "rating", "ts": "timestamp"}
    return {
        "ml-100k": open_log([DATA / "ml100k_inter.tsv.gz"], preset="ml-100k"),
        "ml-latest-small": open_log([DATA / "ml_latest_small_ratings.csv.gz"], map=movielens, feedback=WIDE),
        "magazines": open_log([DATA / "amazon2018_Magazine_Subscriptions_5.jsonl.gz"], preset="amazon-reviews"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", help="another log")
    parser.add_argument("--map", help="its columns")
    parser.add_argument("--limit", type=int, help="only the first events")
    parser.add_argument("--json", type=Path, help="write all figures")
    asked = parser.parse_args()
    console = Console()
    table = Table("model", "RMSE", "MAE", "like acc.", "like F1", "µs", box=SIMPLE_HEAD)
    for column in table.columns[1:]:
        column.justify = "right"
    told: dict[str, Any] = {}
    for name, log in logs(asked).items():
        with log:
            stream = read_stream(log, FeedbackConfig(), limit=asked.limit)
        if np.isnan(stream.rating).any():
            sys.exit(f"{name}: expected a rating in every event, found {int(np.isnan(stream.rating).sum()):,} without")
        told[name] = measure(stream)
        table.add_section()
        table.add_row(
            f"[bold]{name}: {len(stream):,} ratings of {len(stream.users):,} users, {len(stream.items):,} items"
        )
        for model, row in told[name].items():
            cells = [f"{row[key]:.4f}" for key in ("rmse", "mae", "accuracy", "f1")]
            table.add_row(model, *cells, "" if row["us"] is None else f"{row['us']:,.0f}")
    console.print(table)
    console.print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    if asked.json:
        asked.json.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
