"""Baseline: plain item-item cosine (Sarwar et al., 2001; Deshpande & Karypis, 2004).

    score(j) = Σ_i c(i, j) / √(n(i) n(j))    over the user's last 50 items i

c(i, j) counts users who turned to both within 50 items of theirs; each item keeps its ``NEIGHBOURS`` strongest. No
weights by age, no damping: what a textbook gives. It shares no code with the engine.
"""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.evaluate.ranker import Interaction, Learner, Past
from divrec.evaluate.stream import Ids

NEIGHBOURS = 512
HISTORY = 50

Floats = npt.NDArray[np.float32]


class ItemItemRanker:
    def __init__(self, past: Past) -> None:
        items = len(past.stream.items)
        self._past = past
        self._ids: Ids = np.full((items, NEIGHBOURS), -1, np.int32)
        self._weights: Floats = np.zeros((items, NEIGHBOURS), np.float32)
        self._counts: Floats = np.zeros(items, np.float32)
        self._scores: Floats = np.zeros(items, np.float32)
        none = self._counts[:0].astype(np.int32)
        _learn(self._ids, self._weights, self._counts, 0, none)  # compiled before it is measured
        _rank(self._ids, self._weights, self._counts, self._scores, none, none, 1)
        self._counts[:1] = 0.0

    @property
    def learner(self) -> Learner:
        return self

    def learn(self, event: Interaction) -> None:
        history = self._past.history(event.user)[-HISTORY:]
        _learn(self._ids, self._weights, self._counts, event.item, history)

    def rank(self, user: int, now: int, k: int) -> Ids:  # noqa: ARG002
        past = self._past
        history, hidden = past.history(user)[-HISTORY:], past.hidden(user)
        return _rank(self._ids, self._weights, self._counts, self._scores, history, hidden, k)


@compiled
def _learn(ids: Ids, weights: Floats, counts: Floats, item: int, history: Ids) -> None:
    counts[item] += np.float32(1)
    for other in history:
        if other != item:
            _add(ids[item], weights[item], other)
            _add(ids[other], weights[other], item)


@compiled
def _add(ids: Ids, weights: Floats, neighbour: int) -> None:
    """Count ``neighbour`` in a row. In a full one it wears the weakest down, and takes its place when that is at 0."""
    weakest = 0
    for slot in range(len(ids)):
        if ids[slot] == neighbour or ids[slot] < 0:
            ids[slot] = neighbour
            weights[slot] += np.float32(1)
            return
        if weights[slot] < weights[weakest]:
            weakest = slot
    weights[weakest] -= np.float32(1)
    if weights[weakest] <= 0:
        ids[weakest] = neighbour
        weights[weakest] = np.float32(1)


@compiled
def _rank(ids: Ids, weights: Floats, counts: Floats, scores: Floats, history: Ids, hidden: Ids, k: int) -> Ids:
    """``scores`` are 0 before and after."""
    touched = np.empty(len(history) * ids.shape[1], np.int32)
    count = 0
    for past in history:
        for slot in range(ids.shape[1]):
            item = ids[past, slot]
            if item < 0:
                break
            if scores[item] == 0:
                touched[count] = item
                count += 1
            scores[item] += weights[past, slot] / np.sqrt(counts[past] * counts[item])
    for item in hidden:
        scores[item] = 0.0
    best = np.empty(k, np.int32)
    found = 0
    for n in range(count):  # insertion into the k best so far
        item = touched[n]
        score = scores[item]
        if score <= 0 or (found == k and score <= scores[best[k - 1]]):
            continue
        at = min(found, k - 1)
        while at > 0 and scores[best[at - 1]] < score:
            best[at] = best[at - 1]
            at -= 1
        best[at] = item
        found = min(k, found + 1)
    for n in range(count):
        scores[touched[n]] = 0.0
    return best[:found]
