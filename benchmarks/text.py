# ruff: noqa: E402
"""How well reviews are understood: divrec's review head beside River's bag of words, TF-IDF and naive Bayes.

    python benchmarks/text.py                                                gift cards, magazines, Chinese shopping
    python benchmarks/text.py --data FILE --map text=review,label=label      another log of reviews

Prequential: each review is predicted, then learned, by default settings. In the order of time; logs without times are
shuffled with seed 0. The first 20,000 (--limit). A like is what the label says, else a rating from three quarters of
the scale on (4 of 5 stars). AUC and macro-F1 (at even odds) are of likes, RMSE of ratings, clipped to the scale. The
first row knows who wrote (``user=`` in --map), no other does. River's models see segmented words, so that Chinese is
no harder for them; their ratings come from a linear regression of the same features (of the bag of words by AdaGrad
with a rate of 0.03: by default it diverges). µs: CPU time of predicting and learning one review, without the encoder,
whose vectors are kept in its cache directory between runs.

--map gives columns to text, title, user, ts, rating and label; CSV, TSV, JSONL (also .gz) and Parquet. Labels are 0/1,
true/false, or two words of which the later in the alphabet is the like (negative, positive).
"""

import argparse
import csv
import gzip
import io
import json
import math
import os
import platform
import random
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded

import numpy as np
import numpy.typing as npt
import rjieba
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from river import compose, feature_extraction, linear_model, naive_bayes, optim, stats

from divrec.config import EncoderConfig
from divrec.data.values import read_time
from divrec.events import Review
from divrec.text.cache import CachedEncoder
from divrec.text.content import review_text
from divrec.text.encoder import load_encoder
from divrec.text.review_head import ReviewHead, ReviewSample
from divrec.text.review_predictor import ReviewPredictor

DATA = Path(__file__).parents[1].parent / "shared" / "data"
AMAZON = {"text": "reviewText", "title": "summary", "user": "reviewerID", "ts": "unixReviewTime", "rating": "overall"}
KNOWN = {
    "gift cards": ("amazon2018_Gift_Cards_5.jsonl.gz", AMAZON),
    "magazines": ("amazon2018_Magazine_Subscriptions_5.jsonl.gz", AMAZON),
    "Chinese shopping": ("zh_online_shopping_10_cats.csv.gz", {"text": "review", "label": "label"}),
}
FIELDS = ("text", "title", "user", "ts", "rating", "label")
CHUNK = 512
Floats = npt.NDArray[np.float64]


class Reviews(NamedTuple):
    texts: list[str]
    """Cleaned, title first."""
    users: list[str | None]
    likes: npt.NDArray[np.bool_]
    ratings: Floats
    """Where there are labels alone, the ends of the scale."""
    scale: tuple[float, float]
    rated: bool


class Measured(NamedTuple):
    odds: Floats
    """Anything that is larger for likes, above ``even`` if it is one."""
    even: float
    ratings: Floats | None
    us: float | None


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    name = path.name.removesuffix(".gz")
    if name.endswith((".parquet", ".pq")):
        from pyarrow import parquet

        for batch in parquet.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
        return
    opened: Any = gzip.open if path.name.endswith(".gz") else Path.open
    with opened(path, "rb") as file, io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="") as lines:
        if name.endswith((".csv", ".tsv", ".tab")):
            csv.field_size_limit(2**30)
            yield from csv.DictReader(lines, delimiter="," if name.endswith(".csv") else "\t")
        else:
            yield from (json.loads(line) for line in lines if line.strip())


def told(value: object) -> str:
    return "" if value is None else str(value).strip()


def number(value: object) -> float | None:
    try:
        found = float(told(value))
    except ValueError:
        return {"true": 1.0, "false": 0.0}.get(told(value).lower())
    return found if np.isfinite(found) else None


def read_rows(path: Path, columns: dict[str, str], limit: int) -> list[dict[str, Any]]:
    """The first ``limit`` rows that have all they need, by our fields."""
    needed = {field: columns[field] for field in ("text", "ts", "rating", "label") if field in columns}
    rows: list[dict[str, Any]] = []
    for n, row in enumerate(rows_of(path)):
        if n == 0 and (missing := sorted(set(columns.values()) - row.keys())):
            print(f"{path.name}: no column {', '.join(missing)} in the first row, which has {', '.join(map(str, row))}")
        rows.append({field: row.get(column) for field, column in columns.items()})
    if "ts" not in columns:
        random.Random(0).shuffle(rows)
    rows = [row for row in rows if all(told(row[field]) for field in needed)]
    if "ts" in columns:
        rows.sort(key=lambda row: read_time(row["ts"]))
    return rows[:limit]


def likes_of(labels: list[str], name: str) -> npt.NDArray[np.bool_]:
    numbers = [number(label) for label in labels]
    words = sorted(set(labels))
    if None in numbers and len(words) != 2:
        sys.exit(f"{name}: expected labels 0 and 1 or two words, got {', '.join(words[:8])}")
    scores = np.array([words.index(label) for label in labels] if None in numbers else numbers, np.float64)
    return scores > (scores.min() + scores.max()) / 2.0


def read_reviews(path: Path, columns: dict[str, str], limit: int) -> Reviews:
    if not columns.keys() & {"rating", "label"} or "text" not in columns or columns.keys() - set(FIELDS):
        sys.exit(f"--map: expected text and rating or label, and of {', '.join(FIELDS)} alone; got {columns}")
    rows = read_rows(path, columns, limit)
    rated = "rating" in columns
    if rated:
        rows = [row for row in rows if number(row["rating"]) is not None]
    if not rows:
        sys.exit(f"{path.name}: expected reviews with {' and '.join(columns.values())}, found none")
    likes = likes_of([told(row["label"]).lower() for row in rows], path.name) if "label" in columns else None
    ratings = np.array([number(row["rating"]) for row in rows] if rated else likes, np.float64)
    low, high = float(ratings.min()), float(ratings.max())
    if low == high:
        sys.exit(f"{path.name}: expected likes and dislikes, found nothing but {low:g}")
    if rated and low >= 1.0 and high <= 5.0:
        low, high = 1.0, 5.0
    if likes is None:
        likes = ratings >= low + 0.75 * (high - low)
    texts = [
        review_text(Review(user_id="-", item_id="-", text=told(row["text"]), title=told(row.get("title"))))
        for row in rows
    ]
    users = [told(row.get("user")) or None for row in rows]
    return Reviews(texts, users, likes, ratings, (low, high), rated)


def samples_of(reviews: Reviews, predictor: ReviewPredictor, progress: Progress) -> list[ReviewSample]:
    task = progress.add_task("encoding", total=len(reviews.texts))
    out: list[ReviewSample] = []
    for start in range(0, len(reviews.texts), CHUNK):
        chunk = slice(start, start + CHUNK)
        out += predictor.samples(reviews.texts[chunk], reviews.users[chunk])
        progress.update(task, completed=len(out))
    progress.remove_task(task)
    return out


def measure_head(reviews: Reviews, samples: Sequence[ReviewSample], name: str, progress: Progress) -> Measured:
    warm = ReviewHead()  # compiles
    warm.learn(samples[0], 3.0)
    warm.predict(samples[0])
    head = ReviewHead(*reviews.scale)
    odds, ratings = np.empty(len(samples)), np.empty(len(samples))
    task = progress.add_task(name, total=len(samples))
    start = time.process_time()
    for n, sample in enumerate(samples):
        found = head.predict(sample)
        odds[n], ratings[n] = found.likes, found.rating
        head.learn(sample, float(reviews.ratings[n]))
        if n % 100 == 0:
            progress.update(task, completed=n)
    spent = time.process_time() - start
    progress.remove_task(task)
    return Measured(odds, 0.5, ratings, spent / len(samples) * 1e6)


_HAN = re.compile(r"([\u3400-\u4dbf\u4e00-\u9fff]+)")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]")


def segmented(text: str) -> list[str]:
    """Words and signs in lower case, Chinese by its dictionary."""
    words: list[str] = []
    for n, part in enumerate(_HAN.split(text.lower())):
        words += rjieba.cut(part) if n % 2 else _WORD.findall(part)
    return words


def measure_river(
    reviews: Reviews,
    words: Sequence[str],
    features: Callable[[], Any],
    classifier: Any,
    regressor: Any | None,
    name: str,
    progress: Progress,
) -> Measured:
    likes = compose.Pipeline(features(), classifier)
    stars = compose.Pipeline(features(), regressor) if regressor is not None else None
    odds, ratings = np.full(len(words), 0.5), np.empty(len(words))
    mean = stats.Mean()
    task = progress.add_task(name, total=len(words))
    start = time.process_time()
    spent = 0.0
    for n, text in enumerate(words):
        odds[n] = likes.predict_proba_one(text).get(True, 0.5)
        likes.learn_one(text, bool(reviews.likes[n]))
        if stars is not None:
            pause = time.process_time()
            ratings[n] = mean.get() + stars.predict_one(text)
            mean.update(reviews.ratings[n])
            stars.learn_one(text, reviews.ratings[n] - mean.get())
            spent += time.process_time() - pause
        if n % 100 == 0:
            progress.update(task, completed=n)
    spent = time.process_time() - start - spent
    progress.remove_task(task)
    return Measured(odds, 0.5, ratings if stars is not None else None, spent / len(words) * 1e6)


def measure_mean(reviews: Reviews) -> Measured:
    seen = np.maximum(np.arange(len(reviews.ratings)), 1)
    share = (np.cumsum(reviews.likes) - reviews.likes) / seen
    return Measured(share, 0.5, (np.cumsum(reviews.ratings) - reviews.ratings) / seen, None)


class QuickComplementNB(naive_bayes.ComplementNB):
    """River's, to the same numbers: its own goes through the whole vocabulary for every word of a text."""

    def joint_log_likelihood(self, x: dict[str, int]) -> dict[bool, float]:
        everything = sum(self.class_totals.values()) + self.alpha * len(self.feature_counts)
        found = {}
        for kind in self.class_counts:
            total = everything - self.class_totals[kind]
            found[kind] = 0.0
            for word, count in x.items():
                own = self.feature_counts.get(word, {}).get(kind, 0)
                found[kind] -= count * math.log((self.feature_totals[word] + self.alpha - own) / total)
        return found


def bag() -> Any:
    return feature_extraction.BagOfWords(tokenizer=str.split, lowercase=False)


def tfidf() -> Any:
    return feature_extraction.TFIDF(tokenizer=str.split, lowercase=False)


def auc(odds: Floats, likes: npt.NDArray[np.bool_]) -> float:
    """P(a like has more than a dislike), ties count half; NaN without both."""
    _, at, counts = np.unique(odds, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[at]
    there = int(likes.sum())
    pairs = there * (len(likes) - there)
    return float((ranks[likes].sum() - there * (there + 1) / 2.0) / pairs) if pairs else float("nan")


def macro_f1(predicted: npt.NDArray[np.bool_], likes: npt.NDArray[np.bool_]) -> float:
    """Mean of the F1 of likes and of dislikes."""
    found = []
    for kind in (True, False):
        right = int(((predicted == kind) & (likes == kind)).sum())
        wrong = int((predicted != likes).sum())
        found.append(2 * right / (2 * right + wrong) if right else 0.0)
    return sum(found) / 2.0


def figures(reviews: Reviews, measured: Measured) -> dict[str, float | None]:
    rmse = None
    if measured.ratings is not None and reviews.rated:
        rmse = float(np.sqrt(np.mean((np.clip(measured.ratings, *reviews.scale) - reviews.ratings) ** 2)))
    return {
        "auc": auc(measured.odds, reviews.likes),
        "macro_f1": macro_f1(measured.odds >= measured.even, reviews.likes),
        "rmse": rmse,
        "us": measured.us,
    }


def measure(reviews: Reviews, predictor: ReviewPredictor, progress: Progress) -> dict[str, dict[str, float | None]]:
    samples = samples_of(reviews, predictor, progress)
    unsigned = [ReviewSample(one.words, model=one.model, vector=one.vector) for one in samples]
    wordy = [ReviewSample(one.words) for one in samples]
    words = [" ".join(segmented(text)) for text in reviews.texts]
    logistic, linear = linear_model.LogisticRegression, linear_model.LinearRegression
    found = {}
    if any(reviews.users):
        found["divrec, knowing users"] = measure_head(reviews, samples, "divrec, knowing users", progress)
    found["divrec"] = measure_head(reviews, unsigned, "divrec", progress)
    found["divrec, words alone"] = measure_head(reviews, wordy, "divrec, words alone", progress)
    for name, features, classifier, regressor in (
        ("River bag of words, logistic", bag, logistic(), linear(optim.AdaGrad(0.03))),
        ("River TF-IDF, logistic", tfidf, logistic(), linear()),
        ("River ComplementNB", bag, QuickComplementNB(), None),
    ):
        found[name] = measure_river(reviews, words, features, classifier, regressor, name, progress)
    found["running mean"] = measure_mean(reviews)
    return {name: figures(reviews, measured) for name, measured in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="another log")
    parser.add_argument("--map", help="its columns: text=review,label=label,ts=…,rating=…,user=…,title=…")
    parser.add_argument("--limit", type=int, default=20_000, help="only the first reviews")
    parser.add_argument("--json", type=Path, help="write all figures")
    asked = parser.parse_args()
    if asked.data:
        if not asked.map:
            sys.exit("--data: expected --map text=…,label=…, got none")
        pairs = [part.partition("=") for part in asked.map.split(",")]
        logs = {asked.data.name: (asked.data, {name.strip(): column.strip() for name, _, column in pairs})}
    else:
        if not DATA.is_dir():
            sys.exit(f"expected logs in {DATA}, found no such directory: name one with --data")
        logs = {name: (DATA / file, columns) for name, (file, columns) in KNOWN.items()}
    config = EncoderConfig()
    model = load_encoder(config)
    file = config.cache_dir.expanduser() / f"vectors-{model.dimensions}.sqlite"
    encoder = CachedEncoder(model, file, config.cache_bytes)
    console = Console()
    table = Table("model", "AUC", "macro-F1", "RMSE", "µs", box=SIMPLE_HEAD)
    for column in table.columns[1:]:
        column.justify = "right"
    out: dict[str, Any] = {}
    with Progress(console=Console(stderr=True)) as progress:
        for name, (path, columns) in logs.items():
            task = progress.add_task(f"[bold]{name}", total=None)
            reviews = read_reviews(path, columns, asked.limit)
            out[name] = measure(reviews, ReviewPredictor(encoder), progress)
            progress.remove_task(task)
            table.add_section()
            share = float(reviews.likes.mean())
            table.add_row(f"[bold]{name}: {len(reviews.texts):,}, {share:.0%} likes")
            for model, row in out[name].items():
                cells = ["" if row[key] is None else f"{row[key]:.4f}" for key in ("auc", "macro_f1", "rmse")]
                table.add_row(model, *cells, "" if row["us"] is None else f"{row['us']:,.0f}")
    encoder.close()
    console.print(table)
    console.print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {encoder.name}")
    if asked.json:
        asked.json.write_text(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
