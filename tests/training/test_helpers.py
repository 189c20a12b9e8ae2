"""What is drawn, split, weighed and measured, without torch."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.errors import ConfigError
from divrec.evaluate.stream import Stream
from divrec.training.augment import augment
from divrec.training.batches import mixed
from divrec.training.classes import class_metrics, class_weights
from divrec.training.likes import co_liked, windows
from divrec.training.masking import mask
from divrec.training.next_liked import next_liked
from divrec.training.samples import opened, rated
from divrec.training.schedule import factor
from divrec.training.split import by_time


@given(st.lists(st.tuples(st.integers(0, 5), st.text("ab", max_size=3)), min_size=1, max_size=40))
def test_nothing_is_validated_on_that_is_older_or_known(rows: list[tuple[int, str]]) -> None:
    ts, texts = [row[0] for row in rows], [row[1] for row in rows]
    try:
        train, valid = by_time(ts, texts, share=0.3)
    except ConfigError:
        return
    assert max(ts[row] for row in train) <= min(ts[row] for row in valid)
    assert not {texts[row] for row in train} & {texts[row] for row in valid}


@given(st.integers(1, 500), st.floats(0.0, 0.9))
def test_the_rate_rises_then_falls(total: int, warm_up: float) -> None:
    rates = [factor(step, total, warm_up) for step in range(total)]
    top = rates.index(max(rates))
    assert all(0.0 < rate <= 1.0 for rate in rates)
    assert rates[: top + 1] == sorted(rates[: top + 1]) and rates[top:] == sorted(rates[top:], reverse=True)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=99), st.integers(1, 8))
def test_every_row_is_in_one_batch(lengths: list[int], size: int) -> None:
    found = mixed(lengths, size, np.random.default_rng(0))
    assert sorted(np.concatenate(found).tolist()) == list(range(len(lengths)))
    assert len(found) == -(-len(lengths) // size) and max(map(len, found)) <= size


@given(st.lists(st.integers(0, 3), min_size=1, max_size=50), st.integers(0, 9))
def test_class_metrics_of_what_is_always_right(labels: list[int], seed: int) -> None:
    told, values = np.array(labels), np.arange(1.0, 5.0)
    found = class_metrics(told, told, values, values[told])
    assert [found[name] for name in ("accuracy", "precision", "recall", "f1")] == [1.0] * 4 and found["rmse"] == 0.0
    guessed = np.random.default_rng(seed).integers(0, 4, len(told))
    other = class_metrics(told, guessed, values, values[guessed])
    assert other["accuracy"] == pytest.approx(np.mean(told == guessed))
    weights = class_weights(told, 4)
    sums = np.bincount(told, weights[told], 4)
    assert sums[sums > 0] == pytest.approx(len(told) / 4)


def test_class_metrics_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import precision_recall_fscore_support

    random = np.random.default_rng(1)
    told, guessed = random.integers(0, 3, 200), random.integers(0, 4, 200)  # a class that never occurs
    found = class_metrics(told, guessed, np.arange(4.0), guessed.astype(float))
    wanted = precision_recall_fscore_support(told, guessed, labels=[0, 1, 2], average="macro", zero_division=0)
    assert [found[name] for name in ("precision", "recall", "f1")] == pytest.approx(list(wanted[:3]))


@given(st.integers(0, 30), st.integers(0, 99))
def test_only_the_texts_own_tokens_are_hidden(length: int, seed: int) -> None:
    ids = np.concatenate([[0, 7], np.arange(10, 10 + length), [2]])
    seen, guessed = mask(ids, 2, 99, np.arange(10, 50), np.random.default_rng(seed))
    assert guessed.any() == (length > 0) and not guessed[[0, 1, -1]].any()
    assert (seen[~guessed] == ids[~guessed]).all()


@given(st.integers(0, 30), st.integers(0, 99))
def test_augmented_texts_keep_their_ends(length: int, seed: int) -> None:
    ids = np.concatenate([[0, 7], np.arange(10, 10 + length), [2]])
    before, words = ids.copy(), {n: np.array([n + 100]) for n in range(10, 40)}
    found = augment(ids, words, np.random.default_rng(seed), lead=2, share=0.4)
    assert (ids == before).all() and found[[0, 1, -1]].tolist() == [0, 7, 2]
    assert len(found) >= min(len(ids), 4)
    assert {n - 100 if n >= 100 else n for n in found.tolist()} <= set(ids.tolist())


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=60), st.integers(2, 8))
def test_windows_are_runs_of_one_user(likes: list[tuple[int, int]], size: int) -> None:
    user, item = (np.array([like[n] for like in likes], np.int32) for n in (0, 1))
    runs = windows(user, item, size, np.random.default_rng(0)) if likes else []
    histories = [item[user == one].tolist() for one in range(4)]
    for run in runs:
        assert 2 <= len(run) <= size
        assert any(run.tolist() == h[at : at + len(run)] for h in histories for at in range(len(h)))
    if runs:
        items, together = co_liked(runs)
        assert (together == together.T).all() and not together.diagonal().any() and len(items) == len(together)


def test_ratings_are_those_of_the_log(tmp_path: Path) -> None:
    lines = [f'{{"overall": {n}.0, "reviewText": "said {n}", "reviewerID": "u", "asin": "a"}}' for n in (1, 3, 5)]
    amazon = tmp_path / "reviews.jsonl"
    amazon.write_text("\n".join(lines))
    with opened([amazon], None, "amazon-reviews") as log:
        assert [one.rating for one in rated(log)] == [1.0, 3.0, 5.0]
    labels = tmp_path / "labels.csv"
    labels.write_text("label,review\ntrue,good\nfalse,bad\n")
    with opened([labels], {"text": "review", "rating": "label"}, None) as log:
        assert [(one.text, one.rating) for one in rated(log)] == [("good", 1.0), ("bad", 0.0)]


def toy_stream(likes: list[tuple[int, int]], items: int) -> Stream:
    user, item = (np.array([like[n] for like in likes], np.int32) for n in (0, 1))
    every = np.ones(len(likes), np.bool_)
    tested = np.array([any(u == user[at] for u in user[:at]) for at in range(len(likes))])
    users = [str(n) for n in range(int(user.max()) + 1)]
    names = [str(n) for n in range(items)]
    ratings, ts = np.full(len(likes), 5.0), np.arange(len(likes))
    actions = np.zeros(len(likes), np.int8)
    return Stream(users, names, user, item, ratings, actions, ts, every, tested, (1.0, 5.0), 4.0, False, 0)


def test_next_liked() -> None:
    stream = toy_stream([(0, 0), (1, 1), (1, 2), (0, 3), (2, 3), (2, 0)], 4)
    vectors = np.float32([[1, 0], [0, 1], [0.1, 1], [1, 0.1]])
    found = next_liked(vectors, stream, 0)
    # of the users' second likes the first two are of new items, which cannot be found; the last is the nearest
    assert found.user.tolist() == [1, 0, 2] and found.ndcg.tolist() == [0.0, 0.0, 1.0]
    assert next_liked(vectors, stream, 5).item.tolist() == [0]
    without = dataclasses.replace(stream)
    vectors[0] = 0.0  # no text
    assert next_liked(vectors, without, 5).ndcg.tolist() == [0.0]
