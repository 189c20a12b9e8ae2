"""The review head: how much someone liked what he writes about, in words of any language, learned from rated reviews.

It follows the split of ``divrec.model``. ``sample_of`` (observe) needs no state and makes of a review all that
learning needs: a Delta has to bring the ``ReviewSample`` and the rating. ``ReviewHead.learn`` (apply) is
deterministic to the bit. Of the text a sample holds hashes of words, so that replicas never segment (their Unicode
tables may differ), and the vector as it came with the review: 1.2 kB for 100 words. What learning does with the vector
(a covariance, 385 x 385 numbers) is computed by every replica: it could not be sent.

``review_learning`` has the formulas.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from divrec.errors import EventError
from divrec.events import Review, VectorBytes
from divrec.items import fingerprint
from divrec.text.content import review_text
from divrec.text.ngrams import MAX_WORDS, Hashes, hashed_ngrams
from divrec.text.review_learning import (
    Floats,
    HeadArrays,
    SpaceArrays,
    first_arrays,
    first_space,
    learn_review,
    predict_review,
)

MIDDLE = 3.0
"""Of the scale inside, 1 to 5."""
NOBODY = -1
MAX_NAME = 256
MAX_SPACES = 2


class ReviewSample(Struct, frozen=True, array_like=True, omit_defaults=True):
    """What of one review the head reads."""

    words: Annotated[bytes, Meta(max_length=8 * MAX_WORDS)]
    """Hashes of words and pairs of words, uint32 little-endian, each once, ascending."""
    user: Annotated[int, Meta(ge=NOBODY, lt=2**32)] = NOBODY
    """Fingerprint of who wrote it; some always give five stars."""
    model: Annotated[str, Meta(max_length=MAX_NAME)] = ""
    """The text model of ``vector``."""
    vector: VectorBytes = b""
    """float16, as in a Review; empty: none."""


class ReviewPrediction(Struct, frozen=True):
    likes: float
    """Probability that the rating is a like, in [0, 1]."""
    rating: float
    """On the head's scale."""
    error: float
    """By how much such predictions miss, root of the mean square, in ratings."""
    weight: float
    """What it should count beside a rating that was told, in (0, 1]: 1 / (1 + error²) with the error in stars.

    A told rating misses what someone thinks by about one star, a predicted one by its error besides.
    """


def sample_of(review: Review) -> ReviewSample:
    """The sample of a review as the encode worker passes it on; its rating is not read."""
    words = hashed_ngrams(review_text(review)).astype("<u4").tobytes()
    user = fingerprint(review.user_id)
    if review.model is None or len(review.model) > MAX_NAME or review.vector is None:
        return ReviewSample(words, user)
    return ReviewSample(words, user, review.model, review.vector)


class ReviewHead:
    """Predicts likes and ratings of reviews; learns each rated review once.

    ``low`` and ``high`` are the ends of the scale of ratings, ``liked`` is the least rating that is a like (by default
    at three quarters of the scale: 4 of 5 stars, 1 of 0 and 1). State is bounded: ``buckets`` for words and
    ``user_buckets`` for users, powers of two (16 bytes each), and the vectors of ``spaces`` text models (2.4 MB each
    at 384 dimensions), of which the one that was longest not learned from goes. A vector of a model that is not known,
    or of another length than before, counts as none when predicting: words and user speak alone.
    """

    def __init__(
        self,
        low: float = 1.0,
        high: float = 5.0,
        *,
        liked: float | None = None,
        buckets: int = 2**18,
        user_buckets: int = 2**16,
        spaces: int = MAX_SPACES,
    ) -> None:
        if not low < high:
            raise ValueError(f"scale: expected low < high, got {low} and {high}")
        self.low, self.high = low, high
        self.liked = low + 0.75 * (high - low) if liked is None else liked
        self.max_spaces = spaces
        self.learned = 0
        self.arrays = first_arrays(buckets, user_buckets)
        self.spaces: dict[str, SpaceArrays] = {}
        """By text model; the one last learned from comes last."""

    def predict(self, sample: ReviewSample) -> ReviewPrediction:
        """Changes nothing. Before the first rated review: even odds and the middle of the scale."""
        space, vector = self._seen(sample)
        likes, stars, error = predict_review(self.arrays, space, sample.user, _words(sample), vector)
        unit = (self.high - self.low) / 4.0
        rating = min(max(self.low + (stars + MIDDLE - 1.0) * unit, self.low), self.high)
        return ReviewPrediction(likes, rating, error * unit, 1.0 / (1.0 + error * error))

    def learn(self, sample: ReviewSample, rating: float) -> None:
        """The review of ``sample`` gave ``rating``. Raises EventError for a rating outside the scale."""
        if not self.low <= rating <= self.high:
            raise EventError("bad-rating", f"rating: expected a number in [{self.low}, {self.high}], got {rating}")
        self._enter(sample)
        space, vector = self._seen(sample)
        stars = 4.0 * (rating - self.low) / (self.high - self.low) + 1.0
        like = 1.0 if rating >= self.liked else 0.0
        learn_review(self.arrays, space, sample.user, _words(sample), vector, like, stars - MIDDLE)
        self.learned += 1

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Copies of all arrays, by name, for a snapshot: what two replicas must have alike."""
        out = {name: array.copy() for name, array in self.arrays._asdict().items()}
        out["learned"] = np.array([self.learned])
        for n, (model, space) in enumerate(self.spaces.items()):
            out[f"space_{n}_model"] = np.frombuffer(model.encode(), np.uint8).copy()
            out |= {f"space_{n}_{name}": array.copy() for name, array in space._asdict().items()}
        return out

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take what ``state`` gave; a head of other bounds raises ValueError."""
        for name, array in self.arrays._asdict().items():
            if state[name].shape != array.shape:
                raise ValueError(f"review head: expected {name} of shape {array.shape}, got {state[name].shape}")
        self.arrays = HeadArrays(*(state[name].copy() for name in HeadArrays._fields))
        self.learned = int(state["learned"][0])
        self.spaces = {}
        for n in range(self.max_spaces):
            if f"space_{n}_model" in state:
                arrays = (state[f"space_{n}_{name}"].copy() for name in SpaceArrays._fields)
                self.spaces[state[f"space_{n}_model"].tobytes().decode()] = SpaceArrays(*arrays)

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for held in (self.arrays, *self.spaces.values()) for array in held)

    def _enter(self, sample: ReviewSample) -> None:
        """Make the text model of ``sample`` the last one learned from."""
        if sample.model and len(_vector(sample)):
            space = self.spaces.pop(sample.model, None)
            self.spaces[sample.model] = space or first_space(len(sample.vector) // 2)
            if len(self.spaces) > self.max_spaces:
                del self.spaces[next(iter(self.spaces))]

    def _seen(self, sample: ReviewSample) -> tuple[SpaceArrays, Floats]:
        space, vector = self.spaces.get(sample.model), _vector(sample)
        if space is None or len(space.mean) != len(vector):
            return _NO_SPACE, vector[:0]
        return space, vector


_NO_SPACE = first_space(0)


def _words(sample: ReviewSample) -> Hashes:
    return np.frombuffer(sample.words, "<u4")


def _vector(sample: ReviewSample) -> Floats:
    """float32[d], empty if there is none or it is not finite."""
    if len(sample.vector) % 2:
        return np.zeros(0, np.float32)
    vector = np.frombuffer(sample.vector, "<f2").astype(np.float32)
    return vector if np.isfinite(vector).all() else vector[:0]
