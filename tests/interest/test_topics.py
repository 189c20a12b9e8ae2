"""Topics: groups are found in one pass, memory is fixed, and interest spreads as the history says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.interest.topics import Topics, Vectors, interest_in_topics


def groups(
    seed: int, count: int = 600, dimensions: int = 24
) -> tuple[Vectors, "np.ndarray[tuple[int], np.dtype[np.int64]]"]:
    """Unit vectors around 4 directions; half of all belong to the first."""
    random = np.random.default_rng(seed)
    centres = np.linalg.qr(random.normal(size=(dimensions, 4)))[0].T
    group = np.where(random.random(count) < 0.5, 0, random.integers(0, 4, count))
    vectors = centres[group] + 0.1 * random.normal(size=(count, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), group


def test_groups_are_found() -> None:
    vectors, group = groups(0)
    topics = Topics(8, vectors.shape[1])
    topics.learn(vectors)
    found = topics.of(vectors)
    for topic in set(found.tolist()):
        members = np.bincount(group[found == topic])
        assert members.max() > 0.95 * members.sum(), "a topic is of one group"
    assert np.linalg.norm(topics.means, axis=1) == pytest.approx(np.ones(8), abs=1e-5)
    assert topics.sizes.sum() == len(vectors)
    assert topics.sizes.min() > 10, "no topic starves"


def test_one_by_one_is_the_same_as_all_at_once() -> None:
    vectors, _ = groups(1, 100)
    one, other = Topics(4, vectors.shape[1]), Topics(4, vectors.shape[1])
    one.learn(vectors)
    for n in range(len(vectors)):
        other.learn(vectors[n : n + 1])
    assert one.means == pytest.approx(other.means, abs=1e-5)


def test_topics_follow_a_catalogue_that_changes() -> None:
    before, _ = groups(2, 5_000)
    after, _ = groups(3, 8_000)
    topics = Topics(6, before.shape[1])
    topics.learn(before)
    fits = (after @ topics.means.T).max(axis=1).mean()
    topics.learn(after)
    assert (after @ topics.means.T).max(axis=1).mean() > fits + 0.2


def test_nothing_and_zero_vectors() -> None:
    topics = Topics(3, 5)
    zero = np.zeros((2, 5), np.float32)
    assert topics.of(zero).tolist() == [-1, -1]
    topics.learn(zero)
    assert not topics.sizes.any()
    topics.learn(np.eye(5, dtype=np.float32)[:1])
    assert topics.of(np.vstack((np.eye(5, dtype=np.float32)[:2], zero))).tolist() == [0, 0, -1, -1]
    assert topics.of(zero[:0]).tolist() == []


@given(
    st.lists(st.tuples(st.integers(-1, 4), st.floats(-1, 1)), max_size=30),
    st.sampled_from([0.5, 0.9, 1.0]),
)
def test_interest(history: list[tuple[int, float]], decay: float) -> None:
    topics = np.array([topic for topic, _ in history], np.int32)
    feedback = np.array([one for _, one in history], np.float32)
    shares = interest_in_topics(topics, feedback, 5, decay)
    assert shares.shape == (5,) and shares.dtype == np.float32
    assert (shares >= 0).all()
    assert shares.sum() == pytest.approx(1.0, abs=1e-5) or not shares.any()


def test_interest_decays_and_dislikes_push_away() -> None:
    shares = interest_in_topics(np.array([0, 1, 1, 2], np.int32), np.array([1, 1, -0.5, -1], np.float32), 3, 0.5)
    assert shares == pytest.approx([1 / 1.375, 0.375 / 1.375, 0.0])
