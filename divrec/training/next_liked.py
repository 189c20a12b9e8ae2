"""Does nearness of texts alone tell what a user will like next?"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.evaluate.stream import Stream

STEPS = 10.0
HISTORY = 50
_AT_ONCE = 512

Floats = npt.NDArray[np.float32]


class NextLiked(NamedTuple):
    """One value for each test."""

    ndcg: npt.NDArray[np.float64]
    user: npt.NDArray[np.int64]
    item: npt.NDArray[np.int64]


def next_liked(vectors: Floats, stream: Stream, first: int, *, k: int = 10) -> NextLiked:
    """NDCG@k of ranking by text alone, in [0, 1], higher is better, at each test of ``stream`` from event ``first`` on.

    As in ``divrec.evaluate``: candidates are the items seen so far but those the user has had, the target is what he
    likes next. A user is the sum of the vectors of the last 50 items that he liked, each weighing exp(-steps back/10).
    Vectors, ``float32[items, d]`` by the stream's numbers, are centred and made unit first; a row of zeros is an item
    without text, which nobody is recommended.
    """
    known: npt.NDArray[np.bool_] = np.any(vectors != 0.0, axis=1)
    rows: Floats = vectors - vectors[known].mean(axis=0)
    rows[~known] = 0.0
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    liked: list[list[int]] = [[] for _ in stream.users]
    had: list[list[int]] = [[] for _ in stream.users]
    tests: list[tuple[int, int, int, list[int], list[int]]] = []
    values: list[npt.NDArray[np.float64]] = []
    users, targets, seen = [], [], 0
    for at in range(len(stream)):
        user, item = int(stream.user[at]), int(stream.item[at])
        if at >= first and stream.tested[at]:
            tests.append((user, item, seen, liked[user][-HISTORY:], had[user][:]))
            users.append(user)
            targets.append(item)
            if len(tests) == _AT_ONCE:
                values.append(_ndcg(rows, known, tests, k))
                tests = []
        if stream.positive[at]:
            liked[user].append(item)
        if not stream.repeats:
            had[user].append(item)
        seen = max(seen, item + 1)
    if tests:
        values.append(_ndcg(rows, known, tests, k))
    ndcg = np.concatenate(values) if values else np.zeros(0)
    return NextLiked(ndcg, np.array(users, np.int64), np.array(targets, np.int64))


def _ndcg(
    rows: Floats, known: npt.NDArray[np.bool_], tests: list[tuple[int, int, int, list[int], list[int]]], k: int
) -> npt.NDArray[np.float64]:
    profiles = np.zeros((len(tests), rows.shape[1]), np.float32)
    for test, (_, _, _, liked, _) in enumerate(tests):
        weights = np.exp(-np.arange(len(liked))[::-1] / STEPS).astype(np.float32)
        profiles[test] = weights @ rows[liked]
    scores = profiles @ rows.T
    scores[:, ~known] = -np.inf
    places = np.empty(len(tests), np.int64)
    for test, (_, target, seen, _, had) in enumerate(tests):
        own = scores[test]
        score = own[target]
        own[had] = -np.inf
        better = int(np.count_nonzero(own[:seen] > score))
        places[test] = better if target < seen and np.isfinite(score) else k
    found: npt.NDArray[np.float64] = np.where(places < k, 1.0 / np.log2(places + 2.0), 0.0)
    return found
