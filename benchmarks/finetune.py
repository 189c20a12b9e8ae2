# ruff: noqa: E402
"""Does training a text model on one's own data pay?

    python benchmarks/finetune.py [--only ml-100k|ml-latest-small|mlm|stars] [--data DIR] [--json OUT]

taste: contrastive fine-tuning on the first 60 % of a stream (``divrec train taste``; the last tenth of them chooses the
epoch), then NDCG@10 of ranking by texts alone (``divrec.training.next_liked``) over the last 40 %: MovieLens 100K with
plots and ml-latest-small with titles and genres. Beside each other: the stock model, the tuned one, both cut to their
first four layers, and the most popular items. Only the top layer is trained, on the first 32 tokens of each text. Texts
are encoded as the workers do, by default (256 tokens), and with encoder.max_tokens = 32. Warm are tests whose target
somebody liked within the 60 %, cold all others. Differences with 95 % intervals of a paired bootstrap over users.

mlm: masked language modelling on Amazon's magazine reviews by the model's first four layers, its loss on held-back
ones. stars: the ratings of those reviews, learned by the fourth layer from the stock model, with classes balanced, with
augmented texts, and (not with --only) from what masked language modelling left. Validated on the latest tenth.
"""

import argparse
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded

import numpy as np
from hardware import machine, processor
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from divrec.config import EncoderConfig, FeedbackConfig
from divrec.data.log import open_log
from divrec.evaluate.models import BASELINES
from divrec.evaluate.prequential import evaluate
from divrec.evaluate.stream import Stream, read_stream
from divrec.metrics.bootstrap import Interval, paired_bootstrap
from divrec.text.cache import CachedEncoder
from divrec.text.content import item_text
from divrec.text.encoder import load_encoder
from divrec.training.loop import Plan, Task
from divrec.training.mlm import MlmTask
from divrec.training.next_liked import NextLiked, next_liked
from divrec.training.rating import RatingTask
from divrec.training.run import run
from divrec.training.samples import opened, rated, said
from divrec.training.split import by_time
from divrec.training.taste import TasteTask
from divrec.training.trunk import start

DATA = Path(__file__).parents[1].parent / "shared" / "data"
LEARNED = 0.6
REDUCED = 4
TOKENS = 32
MAGAZINES = "amazon2018_Magazine_Subscriptions_5.jsonl.gz"
STOCK = EncoderConfig()
CONSOLE = Console(width=150)


def ml_100k(data: Path) -> tuple[Stream, list[str]]:
    log = open_log([data / "ml100k_inter.tsv.gz"], preset="ml-100k")
    columns = {"item": "movie_id", "title": "title", "categories": "genre", "description": "plot"}
    return read(log, open_log([], items=[data / "ml100k_movie_plots.jsonl.gz"], items_map=columns))


def ml_latest(data: Path) -> tuple[Stream, list[str]]:
    log = open_log([data / "ml_latest_small_ratings.csv.gz"], preset="movielens")
    return read(log, open_log([data / "ml_latest_small_movies.csv.gz"], preset="movielens"))


def read(log: Any, catalog: Any) -> tuple[Stream, list[str]]:
    stream = read_stream(log, FeedbackConfig(rating_min=0.5))
    texts = {item.item_id: item_text(item) for item in catalog.items()}
    return stream, [texts.get(item_id, "") for item_id in stream.items]


LOGS = {"ml-100k": ml_100k, "ml-latest-small": ml_latest}


def beginning(stream: Stream, events: int) -> Stream:
    columns = ("user", "item", "rating", "action", "ts", "positive", "tested")
    return dataclasses.replace(stream, **{name: getattr(stream, name)[:events] for name in columns})


def vectors(config: EncoderConfig, texts: Sequence[str], name: str) -> np.ndarray:
    """As the workers make them; zeros where there is no text."""
    encoder = load_encoder(config)
    cached = CachedEncoder(encoder, STOCK.cache_dir.expanduser() / "vectors-384.sqlite", STOCK.cache_bytes)
    found = np.zeros((len(texts), encoder.dimensions), np.float32)
    with shown() as progress:
        for first in progress.track(range(0, len(texts), 256), description=f"encoding, {name}"):
            found[first : first + 256] = cached.encode(texts[first : first + 256])
    found[[not text for text in texts]] = 0.0
    return found


def shown() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def trained(task: Task, plan: Plan, out: Path) -> dict[str, Any]:
    begin = time.process_time()
    results = run(task, plan, out, {"from": "stock"})
    return {**results, "cpu_s": time.process_time() - begin}


def taste(name: str, stream: Stream, texts: list[str], plan: Plan, work: Path) -> dict[str, Any]:
    first = round(LEARNED * len(stream))
    past = beginning(stream, first)
    liked = np.bincount(past.item[past.positive], minlength=len(texts)) > 0
    found: dict[str, NextLiked] = {}
    told: dict[str, Any] = {}

    def measured(row: str, config: EncoderConfig) -> None:
        found[row] = next_liked(vectors(config, texts, row), stream, first)
        CONSOLE.print(f"{name}, {row}: {found[row].ndcg.mean():.4f}", highlight=False)
        if config.max_tokens != TOKENS:
            measured(f"{row}, {TOKENS} tokens", config.model_copy(update={"max_tokens": TOKENS}))

    def tuned(row: str, layers: int | None) -> None:
        _, trunk = start(STOCK, layers=layers, frozen=(layers or 12) - 1, max_tokens=TOKENS, seed=plan.seed)
        begin = time.process_time()
        out = work / f"{name}-{len(found)}"
        results = trained(TasteTask(trunk, texts, past), plan, out)
        told[row] = {"cpu_s": time.process_time() - begin, "epochs": results["epochs"], "best": results["best"]}
        curve = ", ".join(f"{epoch['ndcg']:.4f}" for epoch in results["epochs"])
        CONSOLE.print(f"{name}, {row}: validation {curve}; {told[row]['cpu_s']:.0f} s of CPU", highlight=False)
        measured(row, STOCK.model_copy(update={"model": str(out)}))

    measured("stock, 12 layers", STOCK)
    tuned("tuned, 12 layers", None)
    _, cut = start(STOCK, layers=REDUCED, frozen=REDUCED, max_tokens=TOKENS, seed=0)
    cut.save(work / f"{name}-e5-cut")
    measured("stock, 4 layers", STOCK.model_copy(update={"model": str(work / f"{name}-e5-cut")}))
    tuned("tuned, 4 layers", REDUCED)
    late = dataclasses.replace(stream, tested=stream.tested & (np.arange(len(stream)) >= first))
    popular = evaluate(late, [lambda past: {"popularity": BASELINES["popularity"](past)}], reference="")
    table = Table("NDCG@10", "all", "warm", "cold", "over stock, same layers", "over stock, 12 layers", box=SIMPLE_HEAD)
    table.title = f"{name}: {len(next(iter(found.values())).ndcg):,} tests"
    rows: dict[str, Any] = {"popularity": popular.models["popularity"].figures["ndcg@10"], **told}
    for row, one in found.items():
        warm = liked[one.item]
        means = [float(one.ndcg[which].mean()) for which in (np.ones(len(warm), bool), warm, ~warm)]
        read = f", {TOKENS} tokens" * row.endswith("tokens")
        stock = [f"stock, {layers} layers{read}" for layers in (REDUCED if " 4 " in row else 12, 12)]
        against = [difference(one, found[other]) for other in stock]
        cold = difference(one, found[stock[0]], ~warm)
        table.add_row(row, *(f"{value:.4f}" for value in means), *(interval(one) for one in against))
        rows[row] = {**rows.get(row, {}), "all": means[0], "warm": means[1], "cold": means[2]}
        rows[row] |= {"against": against, "cold against": cold, "cold tests": int((~warm).sum())}
        if not row.startswith("stock"):
            CONSOLE.print(f"cold, {row}, over stock of the same layers: {interval(cold)}", highlight=False)
    table.add_row("most popular", f"{rows['popularity']:.4f}")
    CONSOLE.print(table)
    return rows


def difference(one: NextLiked, other: NextLiked, which: Any = slice(None)) -> Interval:
    user = one.user[which]
    sums = np.bincount(user, (one.ndcg - other.ndcg)[which])
    return paired_bootstrap(sums, np.bincount(user))


def interval(found: Interval) -> str:
    return f"{found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


def mlm(data: Path, work: Path) -> dict[str, Any]:
    with opened([data / MAGAZINES], None, "amazon-reviews") as log:
        texts = said(log)
    _, trunk = start(STOCK, layers=REDUCED, frozen=0, max_tokens=64, seed=0)
    split = by_time([one.ts for one in texts], [one.text for one in texts])
    found = trained(MlmTask(trunk, [one.text for one in texts], split), Plan(epochs=2, rate=2e-4), work / "read-e5")
    table = Table("epoch", "loss, held back", "perplexity", "accuracy", box=SIMPLE_HEAD)
    table.add_row("by frequency", f"{found['data']['valid_loss_of_frequencies']:.3f}")
    for epoch in found["epochs"]:
        cells = [f"{epoch[name]:.3f}" for name in ("valid_loss", "perplexity", "accuracy")]
        table.add_row(str(epoch["epoch"]), *cells)
    table.title = (
        f"MLM: {found['data']['train']:,} texts, {found['data']['pieces']:,} pieces, {found['cpu_s']:.0f} s of CPU"
    )
    CONSOLE.print(table)
    return found


def stars(data: Path, work: Path) -> dict[str, Any]:
    with opened([data / MAGAZINES], None, "amazon-reviews") as log:
        ratings = rated(log)
    told = [one.text for one in ratings]
    split = by_time([one.ts for one in ratings], told)
    table = Table("", "accuracy", "precision", "recall", "F1", "RMSE", "CPU s", box=SIMPLE_HEAD)
    table.title = f"ratings: {len(split.train):,} learned, {len(split.valid):,} validated on"
    found: dict[str, Any] = {}
    right = {}
    for row, options, begin in (
        ("stock", {}, STOCK),
        ("balanced", {"balanced": True}, STOCK),
        ("augmented", {"augmented": True}, STOCK),
        ("after MLM", {}, STOCK.model_copy(update={"model": str(work / "read-e5")})),
    ):
        if not (begin is STOCK or (work / "read-e5").exists()):
            continue
        _, trunk = start(begin, layers=REDUCED, frozen=REDUCED - 1, max_tokens=64, seed=0)
        task = RatingTask(trunk, told, [one.rating for one in ratings], split, **options)
        results = trained(task, Plan(epochs=3, rate=2e-4), work / f"rating-{row.replace(' ', '-')}")
        right[row] = (task.chances(split.valid).argmax(1) == task.labels[split.valid]).astype(float)
        names_ = ("accuracy", "precision", "recall", "f1", "rmse")
        if not found.get("commonest"):
            found["commonest"] = results["data"]["commonest"]
            table.add_row("commonest class", *(f"{found['commonest'][name]:.3f}" for name in names_))
        best = results["epochs"][results["best"]]
        table.add_row(row, *(f"{best[name]:.3f}" for name in names_), f"{results['cpu_s']:.0f}")
        found[row] = results
    CONSOLE.print(table)
    per_class = Table("stars", "precision", "recall", "F1", "rows", box=SIMPLE_HEAD, title="balanced, per class")
    classes = found["balanced"]["epochs"][found["balanced"]["best"]]["per_class"]
    for name, one in classes.items():
        per_class.add_row(name, *(f"{one[key]:.3f}" for key in ("precision", "recall", "f1")), str(one["rows"]))
    CONSOLE.print(per_class)
    for row in right.keys() & {"augmented", "after MLM"}:
        gained = paired_bootstrap(right[row] - right["stock"], np.ones(len(right[row]), np.int64))
        CONSOLE.print(f"{row}, accuracy over stock: {interval(gained)}", highlight=False)
        found[row]["over stock"] = gained
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=(*LOGS, "mlm", "stars"))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    CONSOLE.print(machine())
    found: dict[str, Any] = {"machine": processor()}
    with tempfile.TemporaryDirectory(prefix="divrec-finetune-") as place:
        work = Path(place)
        for name, log in LOGS.items():
            if options.only in (None, name):
                stream, texts = log(options.data)
                found[name] = taste(name, stream, texts, Plan(epochs=2, rate=2e-4), work)
        if options.only in (None, "mlm"):
            found["mlm"] = mlm(options.data, work)
        if options.only in (None, "stars"):
            found["stars"] = stars(options.data, work)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
