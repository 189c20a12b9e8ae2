# ruff: noqa: E402
"""How varied slates are, and what it costs: balanced, divrec's default, beside every strategy of pyversity, one run.

    python benchmarks/diversity.py                                                      ml-100k and ml-latest-small
    python benchmarks/diversity.py --data FILE --map user=u,item=i,ts=t --items FILE    another log with categories

The evaluator goes through the log (docs/evaluation.md); at about `--requests` of its tests, evenly spread, the
engine's 100 most relevant candidates go to all strategies at 20 settings from 0.05 to 1, for slates of 10. Vectors
are the categories of the items (flags, cosine), the profile is what the user turned to so far. pyversity gets
relevance scaled to [0, 1]. Distance (ILD), category coverage and calibration (KL) are over the same categories.
`learned` is the default: the strength that the requests before have taught, as in the engine.
`above` is what a setting has more than the upper envelope of pyversity's curves at the same NDCG: the best that any
of its strategies has there, between two settings on the line. Intervals are 95 %, by a paired bootstrap over users.
"""

import argparse
import itertools
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray
from ranking import DATA, ml_100k, ml_latest_small, named_log
from rich.console import Console
from rich.progress import track

from divrec.config import Config, SlateConfig
from divrec.data.log import Log
from divrec.diversify.balanced import DIVERSITY, balanced
from divrec.engine import Ask
from divrec.evaluate.categories import Categories
from divrec.evaluate.content import Content
from divrec.evaluate.engine_rankers import EngineLearner
from divrec.evaluate.prequential import evaluate
from divrec.evaluate.ranker import Interaction, Learner, Past
from divrec.evaluate.stream import Stream, read_stream
from divrec.events import Item
from divrec.metrics.bootstrap import Interval, paired_bootstrap
from divrec.metrics.calibration import SMOOTHING, calibration
from divrec.metrics.hits import hits
from divrec.metrics.ild import ild
from divrec.metrics.ndcg import ndcg
from divrec.rank.strength import PROBE, Strengths, pack_verdict

try:
    import pyversity
except ModuleNotFoundError:
    sys.exit("expected pyversity to compare with: make install-bench")

K, POOL, REQUESTS = 10, 100, 10_000
SETTINGS = np.round(np.arange(0.05, 1.001, 0.05), 2).tolist()
STRATEGIES = ("mmr", "msd", "dpp", "ssd", "cover")
LEARNED = {"learned": 16, "16 x": 1}
"""One in so many of our requests is judged: about as many as the engine judges of such a log, and of one 16 times as
long."""
OURS = ("balanced", *LEARNED)
"""With one setting for all, and with the strength as it is learned on the way: the default."""
FIGURES = ("NDCG", "ILD", "coverage", "calibration")
SIGNS = np.array([1.0, 1.0, 1.0, -1.0])
"""Of the figures, 1 where higher is better."""

Floats = NDArray[np.float32]
Curves = dict[tuple[str, float], NDArray[np.float64]]
"""By strategy and setting: the figures of each request, float64[requests, 4]."""


class Requests(NamedTuple):
    items: NDArray[np.int32]
    relevance: Floats
    flags: Floats
    """float32[requests, POOL, categories]"""
    profile: Floats
    context: NDArray[np.int32]
    """Of the blend."""
    target: NDArray[np.int32]
    user: NDArray[np.int32]


class Collector:
    """A ranker that asks the engine for candidates at every so many tests, and recommends nothing."""

    def __init__(self, stream: Stream, described: Mapping[str, Item], requests: int) -> None:
        self._engine = EngineLearner(Config(), stream, Content(described))
        self._categories = Categories(stream, described)
        self._targets = stream.item[stream.tested]
        self._every = max(1, len(self._targets) // requests)
        self._test = -1
        self._found: list[tuple[Any, ...]] = []

    @property
    def learner(self) -> Learner:
        return self

    def learn(self, event: Interaction) -> None:
        self._engine.learn(event)
        self._categories.learn(event)

    def rank(self, user: int, now: int, k: int) -> list[int]:  # noqa: ARG002
        self._test += 1
        if self._test % self._every == 0 and (profile := self._categories.profile(user)).any():
            engine, own = self._engine.engine, self._engine.profile(user)
            slate = engine.recommend(own, now, k=POOL, diversity=0.0)
            if len(slate) == POOL:
                items = [self._engine.numbers[item.item_id] for item in slate]
                relevance = [item.relevance for item in slate]
                context = engine.pack([Ask(own, now)]).contexts[0]
                self._found.append((items, relevance, profile.copy(), context, self._targets[self._test], user))
        return []

    def requests(self) -> Requests:
        if not self._found:
            sys.exit("expected users with a history of items with categories, found none")
        items, relevance, profile, context, target, user = (
            np.array(column) for column in zip(*self._found, strict=True)
        )
        flags = self._categories.of(items)
        return Requests(items, relevance.astype(np.float32), flags, profile.astype(np.float32), context, target, user)


def collect(stream: Stream, described: Mapping[str, Item], requests: int) -> Requests:
    collectors: list[Collector] = []

    def make(past: Past) -> dict[str, Any]:  # noqa: ARG001
        collectors.append(Collector(stream, described, requests))
        return {"divrec": collectors[0]}

    evaluate(stream, [make], reference="divrec", content=Content(described))
    return collectors[0].requests()


def figures(asked: Requests, slates: NDArray[np.integer]) -> NDArray[np.float64]:
    rows = np.arange(len(slates))[:, None]
    flags = asked.flags[rows, slates]
    found = hits(asked.items[rows, slates], asked.target[:, None])
    shares = (flags / np.maximum(flags.sum(axis=2, keepdims=True), 1)).sum(axis=1)
    columns = [
        ndcg(found, np.ones(len(slates), np.int64)),
        np.nan_to_num(ild(flags)),
        flags.any(axis=1).mean(axis=1),
        np.nan_to_num(calibration(asked.profile, shares), nan=-np.log(SMOOTHING)),
    ]
    return np.stack(columns, axis=1)


def curves(asked: Requests, console: Console) -> Curves:
    low, high = asked.relevance.min(axis=1, keepdims=True), asked.relevance.max(axis=1, keepdims=True)
    scaled = (asked.relevance - low) / np.maximum(high - low, 1e-9)
    requests = range(len(asked.items))
    found: Curves = {("relevance", 0.0): figures(asked, np.tile(np.arange(K), (len(requests), 1)))}
    settings = sorted({*SETTINGS, DIVERSITY})
    for setting in track(settings, "strategies", console=console):
        for name in STRATEGIES:
            pick = getattr(pyversity, name)
            slates = [pick(asked.flags[n], scaled[n], K, diversity=setting).indices for n in requests]
            found[name, setting] = figures(asked, np.array(slates))
        found["balanced", setting] = figures(asked, varied(asked, np.full(len(requests), setting)))
    for name, judged in LEARNED.items():
        strengths = learned(asked, judged)
        found[name, float(strengths.mean())] = figures(asked, varied(asked, strengths))
    return found


def learned(asked: Requests, judged: int) -> NDArray[np.float64]:
    """The strength of each request, learned from one in ``judged`` of those before it."""
    config, strengths, found = SlateConfig(), Strengths(), np.empty(len(asked.items))
    probe = varied(asked, np.full(len(asked.items), PROBE))
    hits = asked.items == asked.target[:, None]
    plain, probed = places(hits[:, :K]), places(np.take_along_axis(hits, probe, axis=1))
    for n, context in enumerate(asked.context.tolist()):
        found[n] = strengths.effective(config.diversity, *config.diversity_range)[context]
        if n % judged == 0:
            strengths.learn([pack_verdict(context, plain[n], probed[n])])
    return found


def places(hits: NDArray[np.bool_]) -> list[int]:
    """Where each row has its hit, from 1; 0 where it has none."""
    found: list[int] = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0).tolist()
    return found


def varied(asked: Requests, strengths: NDArray[np.float64]) -> NDArray[np.int32]:
    """The slates of ``balanced``, each with its strength."""
    slates = [
        balanced(relevance, flags, K, diversity=strength, categories=flags, profile=profile)
        for relevance, flags, profile, strength in zip(
            asked.relevance, asked.flags, asked.profile, strengths.tolist(), strict=True
        )
    ]
    return np.array(slates)


def envelope(means: Mapping[tuple[str, float], NDArray[np.float64]], at_ndcg: float) -> NDArray[np.float64]:
    """The best ILD, coverage and calibration of pyversity at ``at_ndcg`` or better, lines between settings included."""
    best = np.full(3, -np.inf)
    for name in STRATEGIES:
        points = [means["relevance", 0.0], *(means[name, setting] for setting in SETTINGS)]
        signed = np.array(points) * SIGNS
        for point in signed:
            if point[0] >= at_ndcg:
                best = np.maximum(best, point[1:])
        for one, other in itertools.pairwise(signed):
            if min(one[0], other[0]) <= at_ndcg <= max(one[0], other[0]) and one[0] != other[0]:
                share = (at_ndcg - one[0]) / (other[0] - one[0])
                best = np.maximum(best, one[1:] + share * (other[1:] - one[1:]))
    return best * SIGNS[1:]


def interval(difference: NDArray[np.float64], user: NDArray[np.int32]) -> Interval:
    users = np.bincount(user)
    return paired_bootstrap(np.bincount(user, weights=difference), users, rounds=1_000)


def lost_by_user(lost: NDArray[np.float64], user: NDArray[np.int32]) -> tuple[float, float]:
    """Standard deviation of what users lose on average, without what chance adds to it, and of a single request's
    loss around its user's average; users of at least five requests."""
    own = np.bincount(user)[user] >= 5
    _, place = np.unique(user[own], return_inverse=True)
    count, lost = np.bincount(place), lost[own]
    mean = np.bincount(place, weights=lost) / count
    within = float(((lost - mean[place]) ** 2).sum() / (count - 1).sum())
    between = float(np.average((mean - lost.mean()) ** 2, weights=count)) - within * len(count) / len(lost)
    return max(0.0, between) ** 0.5, within**0.5


def better(ours: NDArray[np.float64], theirs: NDArray[np.float64], user: NDArray[np.int32]) -> tuple[bool, bool]:
    """Whether the means of ours are better on all four figures, and whether all four intervals say so."""
    difference = (ours - theirs) * SIGNS
    if not (difference.mean(axis=0) > 0).all():
        return False, False
    return True, all(interval(column, user).low > 0 for column in difference.T)


def report(title: str, asked: Requests, found: Curves) -> dict[str, Any]:
    means = {key: values.mean(axis=0) for key, values in found.items()}
    base, base_means = found["relevance", 0.0], means["relevance", 0.0]
    held = float((asked.items == asked.target[:, None]).any(axis=1).mean())
    print(f"\n{title}: {len(asked.items):,} requests, {len(np.unique(asked.user)):,} users, ", end="")
    print(f"{asked.flags.shape[2]} categories; what came next is among the candidates of {held:.1%}")
    print(
        f"{'':10}{'':>6}" + "".join(f"{name:>13}" for name in FIGURES) + f"{'above: ILD':>14}{'coverage':>10}{'KL':>8}"
    )
    rows = []
    for (name, setting), mean in sorted(means.items(), key=lambda row: (row[0][0] in OURS, row[0][0] != "relevance")):
        above = (mean[1:] - envelope(means, mean[0])) * SIGNS[1:] if name in OURS else np.full(3, np.nan)
        rows.append({"strategy": name, "diversity": setting, **dict(zip(FIGURES, mean.tolist(), strict=True))})
        if name in OURS:
            rows[-1]["above"] = above.tolist() if np.isfinite(above).all() else None
        if name in (*OURS, "relevance") or round(setting * 100) % 20 == 10:
            shown = "".join(f"{value:13.4f}" for value in mean)
            tail = f"{above[0]:+14.4f}{above[1]:+10.4f}{above[2]:+8.3f}" if name in OURS else ""
            if np.isinf(above).any():
                tail = f"{'no NDCG as high':>32}"
            print(f"{name:10}{setting:6.2f}{shown}{tail}")
    gains: dict[str, Any] = {}
    for name, setting in means:
        if name not in LEARNED and (name, setting) != ("balanced", DIVERSITY):
            continue
        print(f"{name} {setting:.3g} against relevance alone:")
        gains[name] = {}
        for at, figure in enumerate(FIGURES):
            gain = interval((found[name, setting] - base)[:, at] * SIGNS[at] / base_means[at], asked.user)
            gains[name][figure] = gain._asdict()
            print(f"  {figure:12}{gain.difference:+7.1%}  [{gain.low:+.1%}, {gain.high:+.1%}]")
    lost = (base - found["balanced", PROBE])[:, 0] / base_means[0]
    users = lost_by_user(lost, asked.user)
    print(f"NDCG lost at {PROBE:g}: standard deviation between users {users[0]:.3f}, of one request {users[1]:.3f}")
    table = {}
    print("pairs (setting of balanced, setting of theirs): better on all four, so by all intervals; worse on all four")
    for name in STRATEGIES:
        pairs = [(found["balanced", ours], found[name, theirs]) for ours in SETTINGS for theirs in SETTINGS]
        won = [better(ours, theirs, asked.user) for ours, theirs in pairs]
        lost = sum(bool(((o - t).mean(axis=0) * SIGNS < 0).all()) for o, t in pairs)
        table[name] = {
            "pairs": len(pairs),
            "better": sum(w[0] for w in won),
            "sure": sum(w[1] for w in won),
            "worse": lost,
        }
        print(f"  {name:8}{len(pairs):6}{table[name]['better']:8}{table[name]['sure']:8}{lost:8}")
    return {
        "requests": len(asked.items),
        "curves": rows,
        "against_relevance": gains,
        "lost_by_user": users,
        "pairs": table,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", help="another log")
    parser.add_argument("--map", help="its columns")
    parser.add_argument("--items", type=Path, nargs="+", help="the items of the log, with their categories")
    parser.add_argument("--items-map", help="their columns")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="about how many")
    parser.add_argument("--limit", type=int, help="only the first events")
    parser.add_argument("--json", type=Path, help="write all figures")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    console = Console(stderr=True)
    logs: dict[str, Log] = {}
    if asked.data:
        logs[asked.data[0].name] = named_log(asked)
    elif DATA.is_dir():
        logs = {"ml-100k": ml_100k(), "ml-latest-small": ml_latest_small()}
    else:
        sys.exit(f"expected MovieLens logs in {DATA}, found no such directory: name a log with --data")
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    print(machine)
    found: dict[str, Any] = {"machine": machine}
    for name, log in logs.items():
        described = {item.item_id: item for item in log.items()}
        stream = read_stream(log, Config().feedback, limit=asked.limit)
        with console.status(f"{name}: candidates"):
            requests = collect(stream, described, asked.requests)
        found[name] = report(name, requests, curves(requests, console))
        log.close()
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
