"""The review head: learns what is liked, is the same everywhere, and stands anything."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.errors import EventError
from divrec.events import Review, pack_vector
from divrec.text.review_head import ReviewHead, ReviewSample, sample_of
from divrec.text.review_learning import logistic

GOOD = ["great", "love it", "works well", "非常好", "喜欢"]
BAD = ["broken", "waste of money", "do not buy", "太差了", "退货"]


def reviews(count: int, *, dimensions: int = 16, seed: int = 0) -> list[tuple[ReviewSample, float]]:
    """Half good, half bad; the vector tells it too, with noise."""
    random = np.random.default_rng(seed)
    out = []
    for n in range(count):
        good = bool(random.random() < 0.5)
        text = f"{random.choice(GOOD if good else BAD)} {random.integers(100)}"
        vector = random.normal(size=dimensions) / 2 + (0.5 if good else -0.5) * np.eye(dimensions)[0]
        packed = pack_vector((vector / np.linalg.norm(vector)).astype(np.float32))
        review = Review(user_id=f"u{n % 7}", item_id="i", text=text, model="m", vector=packed)
        out.append((sample_of(review), 5.0 if good else 1.0))
    return out


def taught(head: ReviewHead, rated: Sequence[tuple[ReviewSample, float]]) -> ReviewHead:
    for sample, rating in rated:
        head.learn(sample, rating)
    return head


def digest(head: ReviewHead) -> str:
    whole = hashlib.sha256()
    for name, array in sorted(head.state().items()):
        whole.update(name.encode() + array.tobytes())
    return whole.hexdigest()


def small() -> ReviewHead:
    return ReviewHead(buckets=2**10, user_buckets=2**4)


def test_nothing_is_known_at_first() -> None:
    found = small().predict(reviews(1)[0][0])
    assert found.likes == 0.5 and found.rating == 3.0 and found.error == 1.0 and found.weight == 0.5


def test_it_learns_what_is_liked() -> None:
    head = taught(small(), reviews(200))
    for sample, rating in reviews(50, seed=1):
        found = head.predict(sample)
        assert (found.likes > 0.5) == (rating > 3.0)
        assert abs(found.rating - rating) < 1.5


@pytest.mark.parametrize("text", ["great", "太差了"])
def test_words_alone_will_do(text: str) -> None:
    head = taught(small(), [(ReviewSample(sample.words), rating) for sample, rating in reviews(200)])
    assert head.predict(sample_of(Review(user_id="x", item_id="i", text=text))).likes > 0.8 or text in BAD
    assert head.predict(sample_of(Review(user_id="x", item_id="i", text=text))).likes < 0.2 or text in GOOD


def test_errors_are_told_as_they_are() -> None:
    random = np.random.default_rng(3)
    head, missed, told = small(), [], []
    for sample, _ in reviews(1_000):
        rating = float(np.clip(3.5 + random.normal(), 1, 5))  # nothing to be seen in the review
        found = head.predict(sample)
        missed.append((found.rating - rating) ** 2)
        told.append(found.error**2)
        head.learn(sample, rating)
    assert np.mean(missed[300:]) == pytest.approx(np.mean(told[300:]), rel=0.15)


def test_prediction_changes_nothing() -> None:
    head = taught(small(), reviews(50))
    before = digest(head)
    for sample, _ in reviews(20, seed=2):
        head.predict(sample)
    head.predict(ReviewSample(b"", model="unseen", vector=b"\0\0" * 3))
    assert digest(head) == before


def test_what_is_learned_is_the_same_to_the_bit() -> None:
    """Learned twice, or in part from a snapshot."""
    rated = reviews(300)
    assert digest(taught(small(), rated)) == digest(taught(small(), rated))
    half = taught(small(), rated[:150])
    other = small()
    other.restore(half.state())
    assert digest(other) == digest(half)
    assert digest(taught(other, rated[150:])) == digest(taught(small(), rated))


def test_a_snapshot_of_other_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="review head: expected words of shape"):
        small().restore(ReviewHead(buckets=2**9).state())


def test_another_text_model_starts_anew_and_words_go_on() -> None:
    head = taught(small(), reviews(200))
    old = head.predict(reviews(1)[0][0])
    for sample, rating in reviews(5, dimensions=24, seed=4):
        head.learn(ReviewSample(sample.words, sample.user, "new", sample.vector), rating)
    assert list(head.spaces) == ["m", "new"]
    assert abs(head.predict(reviews(1)[0][0]).likes - old.likes) < 0.2
    for name in ("third", "fourth"):
        head.learn(ReviewSample(b"", model=name, vector=b"\0\x3c" * 8), 5.0)
    assert list(head.spaces) == ["third", "fourth"]


@pytest.mark.parametrize("vector", [b"\0", b"\0\x7c" * 16, b"\0\x7e" * 16, b"\0\x3c" * 4, b""])
def test_a_vector_that_is_none_counts_as_none(vector: bytes) -> None:
    head, other = taught(small(), reviews(50)), taught(small(), reviews(50))
    words = reviews(1)[0][0].words
    assert head.predict(ReviewSample(words, 1, "m", vector)) == head.predict(ReviewSample(words, 1))
    head.learn(ReviewSample(words, 1, "m", vector), 2.0)
    other.learn(ReviewSample(words, 1), 2.0)
    assert digest(head) == digest(other)


def test_other_scales() -> None:
    stars, votes = small(), ReviewHead(0.0, 1.0, buckets=2**10, user_buckets=2**4)
    for sample, rating in reviews(100):
        stars.learn(sample, rating)
        votes.learn(sample, (rating - 1.0) / 4.0)
    for sample, _ in reviews(20, seed=1):
        found, vote = stars.predict(sample), votes.predict(sample)
        assert (vote.likes, vote.weight) == (found.likes, found.weight)
        assert vote.rating == pytest.approx((found.rating - 1.0) / 4.0)
        assert vote.error == pytest.approx(found.error / 4.0)


@pytest.mark.parametrize("rating", [0.9, 5.1, float("nan"), float("inf")])
def test_a_rating_outside_the_scale_is_refused(rating: float) -> None:
    head = small()
    with pytest.raises(EventError, match=r"expected a number in \[1.0, 5.0\]"):
        head.learn(reviews(1)[0][0], rating)
    assert digest(head) == digest(small())


def test_a_scale_has_two_ends() -> None:
    with pytest.raises(ValueError, match="expected low < high"):
        ReviewHead(5.0, 1.0)


def test_it_never_gets_out_of_hand() -> None:
    """Ten thousand times the same: no variance becomes negative, nothing overflows, new words still count."""
    head = small()
    for sample, rating in reviews(4) * 2_500:
        head.learn(sample, rating)
    for array in head.state().values():
        assert np.isfinite(array).all()
    assert (head.arrays.word_variances >= 0).all() and (head.arrays.bias_variances > 0).all()
    covariance = head.spaces["m"].covariance
    assert (covariance == covariance.transpose(0, 2, 1)).all()
    assert np.linalg.eigvalsh(covariance).min() > 0


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.text(max_size=50), st.floats(1, 5), st.lists(st.floats(-1, 1, width=16), min_size=4, max_size=4)),
        max_size=20,
    )
)
def test_any_reviews(rated: list[tuple[str, float, list[float]]]) -> None:
    head = small()
    for text, rating, vector in rated:
        packed = pack_vector(np.array(vector, np.float32))
        sample = sample_of(Review(user_id="u", item_id="i", text=text, model="m", vector=packed))
        found = head.predict(sample)
        assert 0.0 <= found.likes <= 1.0 and 1.0 <= found.rating <= 5.0 and 0.0 < found.error < 10.0
        assert 0.0 < found.weight <= 1.0
        head.learn(sample, rating)


@given(st.floats(allow_nan=False))
def test_logistic(value: float) -> None:
    bounded = min(max(value, -40.0), 40.0)
    assert logistic(value) == pytest.approx(1.0 / (1.0 + np.exp(-bounded)), rel=1e-14)
