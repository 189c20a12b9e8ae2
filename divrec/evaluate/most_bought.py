"""Baseline where repeats count: what the user turned to most often, the latest first among equals."""

import numpy as np

from divrec.evaluate.ranker import Interaction, Learner, Past
from divrec.evaluate.stream import Ids


class MostBoughtRanker:
    def __init__(self, past: Past) -> None:
        self._past = past

    @property
    def learner(self) -> Learner:
        return self

    def learn(self, event: Interaction) -> None:
        """The past is all there is to know."""

    def rank(self, user: int, now: int, k: int) -> Ids:  # noqa: ARG002
        newest_first = self._past.history(user)[::-1]
        items, first, counts = np.unique(newest_first, return_index=True, return_counts=True)
        return items[np.lexsort((first, -counts))[:k]]
