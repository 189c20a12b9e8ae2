"""divrec's text encoder beside sentence-transformers' ``encode``: the same texts, model, threads and process.

    python benchmarks/encode.py [--data DIR] [--limit 80] [--repeats 3] [--threads 1] [--json OUT]

The model is multilingual-e5-small as divrec unpacks it. sentence-transformers runs twice: with its default batch size,
and with the one of 4, 8, 16 and 32 that is the fastest on a third of these very texts. All take turns, so that
other load on the machine meets all of them; ratios are of CPU seconds and of wall time within one turn, of which the
median is shown. ``cosine`` is the lowest between our vector of a text and theirs.

Texts: MovieLens titles with genres, and from ``--data``, each where its file is there, English reviews
(amazon2018_Magazine_Subscriptions_5.jsonl.gz), Chinese ones of meals (zh_waimai_10k.csv.gz) and of goods
(zh_online_shopping_10_cats.csv.gz).

Both sort by length. Ours bounds the tokens of a batch instead of its texts, so that the long ones do not leave the
cache, and multiplies with oneDNN, which unlike MKL uses the whole vector width of any processor. ``--plain`` measures
it without the latter.
"""

import argparse
import csv
import gzip
import json
import logging
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import torch
from hardware import processor
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from divrec.config import EncoderConfig
from divrec.events import Item, Review
from divrec.text import onednn
from divrec.text.content import item_text, review_text
from divrec.text.locate import locate
from divrec.text.transformer import TransformerEncoder

ROOT = Path(__file__).parents[1]
PREFIX = "passage: "
DEFAULT_BATCH = 32
BATCHES = (4, 8, 16, 32)
TITLES_PER_REVIEW = 4
"""Titles are short: so many more of them take about as long."""

Encode = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True)
class Turn:
    """One encoder over one set of texts, once."""

    encoder: str
    texts: int
    wall_s: float
    cpu_s: float
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """The medians of one set, or of all. ``than_…`` are ours over theirs in texts/s, of CPU or wall time."""

    texts: int
    tokens: float
    best_batch: int | None
    ours_cpu_s: float
    default_cpu_s: float
    best_cpu_s: float
    than_default: float
    than_best: float
    than_default_wall: float
    than_best_wall: float
    cosine: float


def text_sets(data: Path, limit: int) -> dict[str, list[str]]:
    def rows(path: Path) -> list[dict[str, str]]:
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    def titles(path: Path) -> list[str]:
        return [
            item_text(Item(item_id=row["movieId"], title=row["title"], categories=row["genres"].split("|")))
            for row in rows(path)
        ]

    def magazines(path: Path) -> list[str]:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            reviews = [json.loads(line) for line in file]
        return [_review(review.get("reviewText", ""), review.get("summary", "")) for review in reviews]

    def chinese(path: Path) -> list[str]:
        return [_review(row["review"]) for row in rows(path)]

    sources: dict[str, tuple[Path, Callable[[Path], list[str]], int]] = {
        "film titles": (ROOT / "divrec/data/demo/movies.csv.gz", titles, TITLES_PER_REVIEW * limit),
        "English reviews": (data / "amazon2018_Magazine_Subscriptions_5.jsonl.gz", magazines, limit),
        "Chinese meals": (data / "zh_waimai_10k.csv.gz", chinese, limit),
        "Chinese goods": (data / "zh_online_shopping_10_cats.csv.gz", chinese, limit),
    }
    sets = {}
    for name, (path, read, count) in sources.items():
        if not path.is_file():
            print(f"SKIPPED: {name}: there is no {path}", file=sys.stderr)
            continue
        texts = sorted({text for text in read(path) if text})
        sets[name] = random.Random(0).sample(texts, min(count, len(texts)))
    return sets


def _review(text: str, title: str = "") -> str:
    return review_text(Review(user_id="u", item_id="i", text=text, title=title))


def sentence_transformer(directory: Path, max_tokens: int) -> Any:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    logging.getLogger("transformers").setLevel(logging.ERROR)
    transformer = modules.Transformer(str(directory), max_seq_length=max_tokens)
    pooling = modules.Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    return SentenceTransformer(modules=[transformer, pooling, modules.Normalize()], device="cpu")


def theirs(model: Any, batch: int, threads: int) -> Encode:
    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        torch.set_num_threads(threads)
        vectors: NDArray[np.float32] = model.encode(
            list(texts), batch_size=batch, prompt=PREFIX, show_progress_bar=False
        )
        return vectors

    return encode


def take_turn(name: str, encode: Encode, texts: Sequence[str]) -> Turn:
    cpu, wall = time.process_time(), time.perf_counter()
    vectors = encode(texts)
    return Turn(name, len(texts), time.perf_counter() - wall, time.process_time() - cpu, vectors)


def summary(turns: list[dict[str, Turn]], tokens: float, best_batch: int | None = None) -> Row:
    """Of the rounds of one set; a round holds one turn of each encoder."""

    texts = turns[0]["ours"].texts
    cpu_s = {who: statistics.median(one[who].cpu_s for one in turns) for who in turns[0]}
    cosine = min(
        float((one["ours"].vectors * one[who].vectors).sum(1).min()) for one in turns for who in ("default", "best")
    )
    return Row(
        texts,
        tokens,
        best_batch,
        cpu_s["ours"],
        cpu_s["default"],
        cpu_s["best"],
        *(statistics.median(one[who].cpu_s / one["ours"].cpu_s for one in turns) for who in ("default", "best")),
        *(statistics.median(one[who].wall_s / one["ours"].wall_s for one in turns) for who in ("default", "best")),
        cosine,
    )


def together(sets: Sequence[dict[str, Turn]]) -> dict[str, Turn]:
    """One round over all sets as a round over all their texts."""
    return {
        name: Turn(
            name,
            sum(one[name].texts for one in sets),
            sum(one[name].wall_s for one in sets),
            sum(one[name].cpu_s for one in sets),
            np.concatenate([one[name].vectors for one in sets]),
        )
        for name in sets[0]
    }


def machine() -> str:
    return f"{processor()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the review files")
    parser.add_argument("--limit", type=int, default=80, help="reviews per set")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of both")
    parser.add_argument("--plain", action="store_true", help="ours without oneDNN")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()

    if options.plain:
        onednn.use_onednn = lambda model: not model  # no layer is replaced
    config = EncoderConfig(threads=options.threads)
    directory = locate(config.model, config.cache_dir.expanduser()).directory
    ours = TransformerEncoder(
        directory,
        name=config.model,
        prefix=PREFIX,
        max_tokens=config.max_tokens,
        token_budget=config.token_budget,
        threads=config.threads,
    )
    model = sentence_transformer(directory, config.max_tokens)
    sets = text_sets(options.data, options.limit)
    with Progress(transient=True, console=Console(stderr=True)) as progress:
        bar = progress.add_task("encoding", total=(1 + options.repeats) * len(sets))
        theirs(model, DEFAULT_BATCH, config.threads)(["the first call of anything is slow"])
        best = {}
        for name, texts in sets.items():
            trials = {batch: take_turn("", theirs(model, batch, config.threads), texts[::3]).cpu_s for batch in BATCHES}
            best[name] = min(trials, key=trials.__getitem__)
            progress.advance(bar)
        rounds: list[dict[str, dict[str, Turn]]] = []
        for _ in range(options.repeats):
            rounds.append({})
            for name, texts in sets.items():
                encoders: dict[str, Encode] = {
                    "ours": ours.encode,
                    "default": theirs(model, DEFAULT_BATCH, config.threads),
                    "best": theirs(model, best[name], config.threads),
                }
                rounds[-1][name] = {who: take_turn(who, encode, texts) for who, encode in encoders.items()}
                progress.advance(bar)

    tokens = {name: [len(ids) for ids in ours._tokens(texts)] for name, texts in sets.items()}
    rows = {name: summary([one[name] for one in rounds], statistics.mean(tokens[name]), best[name]) for name in sets}
    everything = [count for counts in tokens.values() for count in counts]
    rows["all"] = summary([together(list(one.values())) for one in rounds], statistics.mean(everything))
    show(rows, config, options.repeats)
    if options.json:
        result = {
            "machine": machine(),
            "threads": config.threads,
            "token_budget": config.token_budget,
            "repeats": options.repeats,
            "onednn": not options.plain,
            "sets": {name: asdict(row) for name, row in rows.items()},
        }
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def show(rows: dict[str, Row], config: EncoderConfig, repeats: int) -> None:
    console = Console(width=140)
    console.print(f"{machine()}; {config.threads} thread(s); medians of {repeats} rounds")
    table = Table(
        *("texts", "of", "tokens", "ours", f"theirs (batch {DEFAULT_BATCH})", "theirs (best batch)"),
        *("ratio, CPU", "ratio, wall", "cosine"),
        box=None,
        caption="texts per CPU second (CPU seconds); ratio of texts/s: ours over theirs by default / at its best",
    )
    for name, row in rows.items():
        table.add_row(
            *(name, str(row.texts), f"{row.tokens:.0f}"),
            *(f"{row.texts / cpu_s:.0f}/s ({cpu_s:.1f})" for cpu_s in (row.ours_cpu_s, row.default_cpu_s)),
            f"{row.texts / row.best_cpu_s:.0f}/s ({row.best_cpu_s:.1f}) {row.best_batch or ''}",
            f"{row.than_default:.2f} / {row.than_best:.2f}",
            f"{row.than_default_wall:.2f} / {row.than_best_wall:.2f}",
            f"{row.cosine:.6f}",
        )
    console.print(table)


if __name__ == "__main__":
    main()
