"""Ratings of texts in a process of its own: an encoder and the review head together."""

from collections.abc import Sequence

import numpy as np

from divrec.events import Review, pack_vector
from divrec.items import fingerprint
from divrec.text.content import review_text
from divrec.text.encoder import Encoder
from divrec.text.ngrams import hashed_ngrams
from divrec.text.review_head import NOBODY, ReviewHead, ReviewPrediction, ReviewSample

CHUNK = 256
"""Texts encoded together: enough for batches of equal length."""


class ReviewPredictor:
    """What rating someone who writes a text would give, in any language; learns every rated text once.

    Without an ``encoder`` words alone are used: quick, and less good. ``low``, ``high`` and ``liked`` are those of
    ``ReviewHead``.

    >>> predictor = ReviewPredictor()
    >>> for text, rating in [("a joy to use", 5), ("it broke at once", 1), ("what a joy", 4), ("broke, sadly", 2)]:
    ...     predictor.learn(text, rating)
    >>> predictor.predict("a joy").rating > predictor.predict("broke").rating
    True
    """

    def __init__(
        self, encoder: Encoder | None = None, low: float = 1.0, high: float = 5.0, *, liked: float | None = None
    ) -> None:
        self.encoder = encoder
        self.head = ReviewHead(low, high, liked=liked)

    def predict(self, text: str, user: str | None = None) -> ReviewPrediction:
        return self.head.predict(self.samples([text], [user])[0])

    def learn(self, text: str, rating: float, user: str | None = None) -> None:
        """Raises EventError for a rating outside the scale."""
        self.head.learn(self.samples([text], [user])[0], rating)

    def samples(self, texts: Sequence[str], users: Sequence[str | None] | None = None) -> list[ReviewSample]:
        """What the head reads of ``texts``, encoded together: far faster than one by one.

        ``head.predict`` and ``head.learn`` take them. Raises EncoderError.
        """
        cleaned = [review_text(Review(user_id="-", item_id="-", text=text)) for text in texts]
        words = [hashed_ngrams(text).astype("<u4").tobytes() for text in cleaned]
        prints = [NOBODY if user is None else fingerprint(user) for user in users or [None] * len(texts)]
        if self.encoder is None:
            return [ReviewSample(own, user) for own, user in zip(words, prints, strict=True)]
        name = self.encoder.name
        packed: list[bytes] = []
        for start in range(0, len(texts), CHUNK):
            vectors = self.encoder.encode(cleaned[start : start + CHUNK])
            packed += [pack_vector(np.asarray(vector)) for vector in vectors]
        return [ReviewSample(*each) for each in zip(words, prints, [name] * len(texts), packed, strict=True)]
