"""Vectors that carry taste: texts of items that the same users liked come nearer to each other. Imports torch.

InfoNCE over the items of a batch (van den Oord et al., 2018), items of one window of a user's likes being each other's
positives, all others negatives. A popular item is a negative more often than another; the logarithm of its share of the
likes is taken off its score (log-Q, Yi et al., 2019), so that it is not pushed away for that.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from divrec.errors import ConfigError
from divrec.evaluate.stream import Stream
from divrec.training.likes import Ids, co_liked, windows
from divrec.training.loop import Figures
from divrec.training.next_liked import next_liked
from divrec.training.split import VALIDATED
from divrec.training.trunk import Corpus, Told, Trunk, mean

TEMPERATURE = 0.05
LEAST = -1e4
"""Score of what does not take part; minus infinity would have no gradient where nothing else is left."""
WINDOW, BATCH = 20, 8
"""Likes of a window, and windows of a batch."""


class TasteTask:
    """``texts`` are those of the items of ``stream``, by its numbers; empty: it takes no part.

    The last tenth of the events is validated on, by NDCG@10 of the texts alone (``next_liked``). ``keep`` weighs
    1 - cosine between what a text's vector was and what it is now: it holds back those whom nobody has liked yet.
    Raises ConfigError.
    """

    name, measure, higher = "taste", "ndcg", True

    def __init__(
        self,
        trunk: Trunk,
        texts: Sequence[str],
        stream: Stream,
        *,
        keep: float = 0.0,
        augmented: bool = False,
        told: Told = lambda *_: None,
    ) -> None:
        self.module = nn.ModuleDict({"trunk": trunk})
        self.corpus = Corpus(trunk, texts, told, augmented=augmented)
        self.stream, self.keep = stream, keep
        self.known = np.array([bool(text) for text in texts])
        self.first = len(stream) - max(1, round(VALIDATED * len(stream)))
        used = stream.positive[: self.first] & self.known[stream.item[: self.first]]
        self.user, self.item = stream.user[: self.first][used], stream.item[: self.first][used]
        counts = np.bincount(self.item, minlength=len(texts))
        self.log_share = np.log(np.maximum(counts, 1) / max(1, counts.sum())).astype(np.float32)
        self.before = self._vectors() if keep else None
        runs = len(windows(self.user, self.item, WINDOW, np.random.default_rng(0)))
        self.data: Figures = {"events": len(stream), "likes": len(self.item), "items": int(self.known.sum())}
        self._steps = -(-runs // BATCH)
        if not stream.tested[self.first :].any():
            raise ConfigError(
                f"training: expected, among the latest tenth of the events, likes of users who liked something before, "
                f"found none among {len(stream) - self.first:,}; positive: {stream.rule}"
            )
        if runs < 2:
            raise ConfigError(
                f"training: expected users who liked several items with a text, found {len(self.item):,} such likes "
                f"among the first {self.first:,} events; positive: {stream.rule}"
            )

    def batches(self, random: np.random.Generator) -> list[list[Ids]]:
        runs = windows(self.user, self.item, WINDOW, random)
        return [runs[first : first + BATCH] for first in range(0, len(runs), BATCH)][: self._steps]

    def loss(self, batch: list[Ids], random: np.random.Generator) -> Any:
        items, together = co_liked(batch)
        device = self.corpus.trunk.device
        vectors = functional.normalize(mean(*self.corpus.states(items.tolist(), random)), dim=1)
        popular = torch.from_numpy(self.log_share[items]).to(device)
        loss = info_nce(vectors, torch.from_numpy(together).to(device), popular)
        if self.before is not None:
            was = torch.from_numpy(self.before[items]).to(device)
            loss = loss + self.keep * (1.0 - (vectors * was).sum(1)).mean()
        return loss

    def validate(self) -> Figures:
        found = next_liked(self._vectors(), self.stream, self.first)
        return {"ndcg": float(found.ndcg.mean()), "tests": len(found.ndcg)}

    def _vectors(self) -> npt.NDArray[np.float32]:
        means = self.corpus.means()
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        means[~self.known] = 0.0
        return means


def info_nce(vectors: Any, together: Any, log_share: Any) -> Any:
    """The mean over pairs (i, j), each as often as ``together[n, n]`` says, of
    -log(e^s(i, j) / (e^s(i, j) + Σ_k e^s(i, k))) with k the items that are in no pair with i, and
    s(i, j) = ``vectors[i]·vectors[j]`` / .05 - ``log_share[j]``.

    A number of 0 and more, lower is better.
    """
    scores = vectors @ vectors.T / TEMPERATURE - log_share
    others = (together == 0).fill_diagonal_(False)
    against = scores.masked_fill(~others, LEAST).logsumexp(1, keepdim=True)
    losses = torch.logaddexp(scores, against) - scores
    return (losses * together).sum() / together.sum().clamp(min=1.0)
