"""Do a user's interest keywords know what he will like? Beside popularity and plain TF-IDF.

    python benchmarks/keywords.py [--data DIR] [--json OUT]

MovieLens 100K with plots (ml100k_inter.tsv.gz, ml100k_movie_plots.jsonl.gz) and ml-latest-small with titles and genres
(ml_latest_small_ratings.csv.gz, ml_latest_small_movies.csv.gz), each where its files are there. Of each user with five
liked films (4 of 5) the last fifth of the ratings is held back. From the rest of everybody's come popularity (likes),
the words of all, and each user's keywords as the engine keeps them: 256 words, fading, of what got more than the
middle of the scale. A film has the words that the engine takes: 12 of its genres, title and plot. Scores of a film:

- keywords: the mean lift of its words (``divrec.interest.lift``), as of the user's last rating;
- 64 keywords: the same where only 64 words are kept;
- by weight: the sum of the user's weights of its words, without lift;
- TF-IDF: the cosine of its words and the sum of those of all that the user liked, without bound and fading.

Against 300 films the user did not rate, drawn by popularity: the share of pairs in which the held-back liked film is
above (AUC). Popularity itself says nothing there. Against the held-back films that he did not like: the same. With
popularity: the score, to unit variance, times 0.3 plus the logarithm of popularity, likewise, against all films, and
NDCG@10. Means over users with 95 % intervals; the last column is of the difference to TF-IDF in the first.
"""

import argparse
import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from hardware import processor
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import rankdata

from divrec.catalog import words_of
from divrec.config import FeedbackConfig, ProfileConfig
from divrec.engine import feedback_of
from divrec.events import Item
from divrec.interest.keywords import Keywords, faded, learn_keywords
from divrec.interest.lift import Lifts, WordCounts, packed_words
from divrec.model import DAY_MS
from divrec.text.segment import terms

ROOT = Path(__file__).parents[1]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

LIKED, HELD_BACK, LEAST = 4.0, 0.2, 5
BOUND, HALF_LIFE_MS = ProfileConfig().keywords, ProfileConfig().keyword_half_life_days * DAY_MS
DRAWN, MIXED = 300, 0.3
MEASURES = ("of popularity", "not liked", "all", "NDCG@10")


@dataclass(frozen=True)
class Rating:
    ts: float
    item: int
    value: float


@dataclass
class World:
    feedback: FeedbackConfig
    words: list[tuple[str, ...]]
    users: dict[str, list[Rating]]


def ml_100k(data: Path) -> World:
    with gzip.open(data / "ml100k_movie_plots.jsonl.gz", "rt") as file:
        films = [json.loads(line) for line in file]
    items = {
        str(f["movie_id"]): (f"{f['title']} {f.get('plot') or ''}", (f.get("genre") or "").split(",")) for f in films
    }
    rows = _rows(data / "ml100k_inter.tsv.gz", "\t")
    names = ("user_id:token", "item_id:token", "rating:float", "timestamp:float")
    return _world(1.0, items, ([row[name] for name in names] for row in rows))


def ml_latest(data: Path) -> World:
    films = _rows(data / "ml_latest_small_movies.csv.gz")
    items = {film["movieId"]: (film["title"], film["genres"].split("|")) for film in films}
    rows = _rows(data / "ml_latest_small_ratings.csv.gz")
    return _world(0.5, items, ([row[name] for name in ("userId", "movieId", "rating", "timestamp")] for row in rows))


def _rows(path: Path, delimiter: str = ",") -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from csv.DictReader(file, delimiter=delimiter)


def _world(lowest: float, items: dict[str, tuple[str, list[str]]], ratings: Iterator[list[str]]) -> World:
    index = {item: n for n, item in enumerate(items)}
    words = [
        words_of(Item(item_id=item, categories=[genre.strip() for genre in genres], terms=terms(text)))
        for item, (text, genres) in items.items()
    ]
    users: dict[str, list[Rating]] = defaultdict(list)
    order = list(ratings)
    np.random.default_rng(0).shuffle(order)  # equal times
    for user, item, value, ts in sorted(order, key=lambda row: float(row[3])):
        if item in index:
            users[user].append(Rating(float(ts), index[item], float(value)))
    return World(FeedbackConfig(rating_min=lowest), words, users)


class Scores:
    """What each method gives every film, for a user's past."""

    def __init__(self, world: World, past: dict[str, list[Rating]]) -> None:
        self.words, self.feedback = world.words, world.feedback
        self.vocabulary = {word: n for n, word in enumerate(dict.fromkeys(w for words in world.words for w in words))}
        columns = [self.vocabulary[word] for words in world.words for word in words]
        starts = np.cumsum([0, *map(len, world.words)])
        self.has = sp.csr_matrix((np.ones(len(columns)), columns, starts), (len(world.words), len(self.vocabulary)))
        self.count = np.maximum(1.0, np.diff(starts))
        shared = np.asarray(self.has.sum(0)).ravel()
        weighted = self.has.multiply(np.log((1 + len(world.words)) / (1 + shared)) + 1.0).tocsr()
        length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1)).ravel())
        self.tfidf = sp.diags(1.0 / np.where(length > 0, length, 1.0)) @ weighted
        self.likes: Doubles = np.zeros(len(world.words))
        self.counts = WordCounts()
        for ratings in past.values():
            for rating in ratings:
                if rating.value >= LIKED:
                    self.likes[rating.item] += 1.0
                if self._feedback(rating) > 0.0:
                    self.counts.add([packed_words(world.words[rating.item])], [1.0])
        self.methods: dict[str, Callable[[list[Rating]], Doubles]] = {
            "popularity": lambda _: self.likes,
            "TF-IDF": self._tfidf,
            "by weight": lambda past: self.has @ self._vector(self._keywords(past, BOUND)[0]),
            "64 keywords": lambda past: self._lift(past, 64),
            "keywords": lambda past: self._lift(past, BOUND),
        }

    def _feedback(self, rating: Rating) -> float:
        return feedback_of(self.feedback, "click", rating.value)[0]

    def _lift(self, past: list[Rating], bound: int) -> Doubles:
        keywords, base = self._keywords(past, bound)
        lifts = Lifts(keywords, faded(base, round(1_000 * past[-1].ts), HALF_LIFE_MS), self.counts)
        score: Doubles = self.has @ self._vector({word: lifts.lift(word) for word in keywords}) / self.count
        return score

    def _tfidf(self, past: list[Rating]) -> Doubles:
        liked = [rating.item for rating in past if rating.value >= LIKED]
        score: Doubles = self.tfidf @ np.asarray(self.tfidf[liked].sum(0)).ravel()
        return score

    def _keywords(self, past: list[Rating], bound: int) -> tuple[Keywords, int]:
        keywords: Keywords = {}
        base = 0
        for rating in past:
            if (feedback := self._feedback(rating)) > 0.0:
                ts, words = round(1_000 * rating.ts), self.words[rating.item]
                base = learn_keywords(keywords, base, words, feedback, ts, HALF_LIFE_MS, bound)
        return keywords, base

    def _vector(self, keywords: Keywords) -> Doubles:
        vector: Doubles = np.zeros(len(self.vocabulary))
        vector[[self.vocabulary[word] for word in keywords]] = list(keywords.values())
        return vector


def measured(world: World, name: str) -> dict[str, NDArray[np.float64]]:
    """Of each method ``float64[users, measures]``, NaN where a user has nothing to be measured by."""
    cut = {user: int((1 - HELD_BACK) * len(ratings)) for user, ratings in world.users.items()}
    past = {user: ratings[: cut[user]] for user, ratings in world.users.items()}
    scores = Scores(world, past)
    popular = np.log1p(scores.likes)
    popular = (popular - popular.mean()) / popular.std()
    rng = np.random.default_rng(0)
    rows: dict[str, list[list[float]]] = {method: [] for method in scores.methods}
    for user in track(sorted(past), name, console=Console(stderr=True), transient=True):
        known = {rating.item for rating in past[user]}
        held = [rating for rating in world.users[user][cut[user] :] if rating.item not in known]
        liked: Ints = np.unique([rating.item for rating in held if rating.value >= LIKED]).astype(np.int64)
        others = np.setdiff1d(np.unique([rating.item for rating in held]).astype(np.int64), liked)
        if not len(liked) or sum(rating.value >= LIKED for rating in past[user]) < LEAST:
            continue
        candidates = np.setdiff1d(np.arange(len(world.words)), list(known))
        unrated = np.setdiff1d(candidates, np.concatenate([liked, others]))
        chances = scores.likes[unrated] + 1e-9
        drawn = rng.choice(unrated, DRAWN, p=chances / chances.sum())
        for method, score in scores.methods.items():
            values = score(past[user])
            spread = values[candidates].std()
            mixed = popular + (MIXED * (values - values[candidates].mean()) / spread if spread else 0.0)
            if method == "popularity":
                mixed = popular
            rows[method].append(
                [
                    auc(values, liked, drawn),
                    auc(values, liked, others),
                    auc(mixed, liked, unrated),
                    ndcg(mixed + 1e-9 * rng.random(len(mixed)), liked, candidates),
                ]
            )
    return {method: np.array(found) for method, found in rows.items()}


def auc(values: Doubles, above: Ints, below: Ints) -> float:
    if not len(above) or not len(below):
        return float("nan")
    ranks = rankdata(np.concatenate([values[above], values[below]]))[: len(above)]
    return float((ranks.sum() - len(above) * (len(above) + 1) / 2) / (len(above) * len(below)))


def ndcg(values: Doubles, liked: Ints, candidates: Ints, k: int = 10) -> float:
    top = candidates[np.argsort(-values[candidates])[:k]]
    gains = 1.0 / np.log2(np.arange(2, k + 2))
    return float(gains[np.isin(top, liked)].sum() / gains[: min(k, len(liked))].sum())


def interval(values: Doubles) -> tuple[float, float]:
    """Mean and half of its 95 % interval."""
    values = values[~np.isnan(values)]
    return float(values.mean()), float(1.96 * values.std(ddof=1) / np.sqrt(len(values)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    console, told = Console(width=140), {}
    for name, read in (("ml-100k, plots", ml_100k), ("ml-latest-small", ml_latest)):
        try:
            world = read(options.data)
        except FileNotFoundError as error:
            console.print(f"SKIPPED: {name}: there is no {error.filename}")
            continue
        found = measured(world, name)
        table = Table(f"{name}: AUC over", *MEASURES[:2], "with popularity: all", "NDCG@10", "over TF-IDF", box=None)
        result: dict[str, Any] = {}
        for method, rows in found.items():
            values = [interval(rows[:, n]) for n in range(len(MEASURES))]
            gained = interval(rows[:, 0] - found["TF-IDF"][:, 0])
            cells = [f"{mean:.4f} ± {half:.4f}" for mean, half in (*values, gained)]
            table.add_row(method, *cells)
            result[method] = {**dict(zip(MEASURES, values, strict=True)), "over TF-IDF": gained, "users": len(rows)}
        console.print(table)
        told[name] = result
    if options.json:
        options.json.write_text(json.dumps({"machine": processor(), "logs": told}, indent=2) + "\n")


if __name__ == "__main__":
    main()
