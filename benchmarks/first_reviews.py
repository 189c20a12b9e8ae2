"""From how many rated reviews on is a predicted rating better than the configured feedback of a review?

    python benchmarks/first_reviews.py

The logs of text.py. At 25 places of each, drawn with seed 0, a review head begins anew: each of the next 300 reviews is
predicted, then learned, with vectors of `ngrams-512`. RMSE in stars of what it predicts, of what it says that it
misses by, and of 4.2 stars for every review, which is the feedback 0.6 (`feedback.review`).
"""

from itertools import pairwise

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from text import DATA, KNOWN, read_reviews, samples_of

from divrec.config import EncoderConfig, FeedbackConfig
from divrec.engine import RATED_FIRST
from divrec.text.encoder import load_encoder
from divrec.text.review_head import ReviewHead
from divrec.text.review_predictor import ReviewPredictor

STARTS, LENGTH, LIMIT = 25, 300, 20_000
EDGES = (0, 10, RATED_FIRST, 50, 100, 200, LENGTH)


def squares(name: str, random: np.random.Generator) -> np.ndarray:
    """Squared error, its expectation and that of the configured feedback: float64[STARTS, LENGTH, 3], in stars."""
    path, columns = KNOWN[name]
    reviews = read_reviews(DATA / path, columns, LIMIT)
    (low, high), flat = reviews.scale, FeedbackConfig().review
    stars = 4.0 * (reviews.ratings - low) / (high - low) + 1.0
    predictor = ReviewPredictor(load_encoder(EncoderConfig(model="ngrams-512")))
    with Progress(transient=True) as progress:
        samples = samples_of(reviews, predictor, progress)
    found = np.empty((STARTS, LENGTH, 3))
    for start, begin in enumerate(random.integers(0, len(samples) - LENGTH, STARTS)):
        head = ReviewHead()
        for n in range(LENGTH):
            sample, told = samples[begin + n], float(stars[begin + n])
            said = head.predict(sample)
            found[start, n] = (said.rating - told) ** 2, said.error**2, (2.0 * flat + 3.0 - told) ** 2
            head.learn(sample, told)
    return found


def main() -> None:
    random = np.random.default_rng(0)
    for name in KNOWN:
        found = squares(name, random)
        table = Table(name, "predicted", "said", "4.2 for all", box=None)
        for begin, end in pairwise(EDGES):
            rmse = np.sqrt(found[:, begin:end].mean(axis=(0, 1)))
            table.add_row(f"reviews {begin + 1} to {end}", *(f"{value:.2f}" for value in rmse))
        Console(width=100).print(table)


if __name__ == "__main__":
    main()
