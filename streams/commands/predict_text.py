"""``divrec predict-rating --text``: what rating goes with a text."""

from typing import TYPE_CHECKING

import typer

from streams.commands.backfill import cached_encoder
from streams.commands.logs import tell_rejected
from streams.commands.options import put

if TYPE_CHECKING:
    from collections.abc import Sequence

    from divrec.config import Config
    from divrec.data.log import Log
    from divrec.events import Review
    from divrec.text.review_predictor import ReviewPredictor

CHUNK = 256
NOBODY = "-"
"""User of the reviews of a log that does not say who wrote them."""


def predict_text(settings: "Config", log: "Log", text: str, user: str | None, *, as_json: bool) -> None:
    """Learn the rated reviews of ``log`` in the order of time, then say how ``user`` rates what ``text`` is about."""
    import msgspec

    from divrec.text.language import likely_language
    from divrec.text.review_predictor import ReviewPredictor

    reviews = _rated(log)
    low, high = _scale(settings, reviews)
    predictor = ReviewPredictor(cached_encoder(settings), low, high)
    _learn(predictor, reviews)
    found = predictor.predict(text, user)
    language = likely_language(text)
    if as_json:
        told = {"text": text, "user": user, "language": language, "reviews": len(reviews), "scale": [low, high]}
        put(msgspec.json.encode({**told, **msgspec.to_builtins(found)}))
        return
    typer.echo(f"{found.rating:.2f} of {low:g} to {high:g}, give or take {found.error:.2f}")
    typer.echo(f"{found.likes:.0%} sure that the rating is {predictor.head.liked:g} or more")
    typer.echo(f"language: {language or 'not told by these words'}; learned from {len(reviews):,} reviews")


def _rated(log: "Log") -> "list[Review]":
    """Reviews with a rating by time, those of one time (also where none is given) shuffled. Raises ConfigError."""
    import random

    from divrec.errors import ConfigError
    from divrec.events import Review

    with log:
        reviews = [event for event in log.unordered() if isinstance(event, Review) and event.rating is not None]
    tell_rejected(log.rejected)
    if not reviews:
        raise ConfigError("log: expected reviews with a text and a rating, found none: name both columns in --map")
    random.Random(0).shuffle(reviews)
    reviews.sort(key=lambda review: review.ts)
    return reviews


def _scale(settings: "Config", reviews: "Sequence[Review]") -> tuple[float, float]:
    """Ends of the scale: as configured, or where the log goes beyond that, as found. Raises ConfigError."""
    from divrec.errors import ConfigError
    from divrec.evaluate.stream import WIDE

    ends = (WIDE.rating_min, WIDE.rating_max)  # what booleans are read as
    numbers = [review.rating for review in reviews if review.rating is not None and review.rating not in ends]
    if not numbers:
        return 0.0, 1.0
    low, high = settings.feedback.rating_min, settings.feedback.rating_max
    if not low <= min(numbers) <= max(numbers) <= high:
        low, high = min(numbers), max(numbers)
    if low == high:
        raise ConfigError(f"log: expected different ratings, found nothing but {low:g}")
    return low, high


def _learn(predictor: "ReviewPredictor", reviews: "Sequence[Review]") -> None:
    from rich.console import Console
    from rich.progress import Progress

    from divrec.text.content import review_text

    low, high = predictor.head.low, predictor.head.high
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("learning", total=len(reviews))
        for start in range(0, len(reviews), CHUNK):
            chunk = reviews[start : start + CHUNK]
            users = [None if review.user_id == NOBODY else review.user_id for review in chunk]
            for review, sample in zip(
                chunk, predictor.samples([review_text(review) for review in chunk], users), strict=True
            ):
                assert review.rating is not None
                predictor.head.learn(sample, min(max(review.rating, low), high))
            progress.advance(task, len(chunk))
