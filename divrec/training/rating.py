"""Review to rating: a class for each rating that occurs, on the mean of the last hidden states. Imports torch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from divrec.training.batches import mixed
from divrec.training.classes import class_metrics, class_weights
from divrec.training.loop import Figures
from divrec.training.split import Split
from divrec.training.trunk import Corpus, Told, Trunk, mean

BATCH = 32
DROPOUT = 0.1
MEASURED = 1_024
"""Texts that tell where the vectors lie, so that the head sees them centred and of unit variance."""


class RatingTask:
    """``split`` are rows of ``texts`` and of ``ratings[n]``. ``balanced``: each class counts as much as any other."""

    name, measure, higher = "rating", "f1", True

    def __init__(
        self,
        trunk: Trunk,
        texts: Sequence[str],
        ratings: Sequence[float],
        split: Split,
        *,
        balanced: bool = False,
        augmented: bool = False,
        told: Told = lambda *_: None,
    ) -> None:
        self.corpus, self.split = Corpus(trunk, texts, told, augmented=augmented), split
        self.values, labels = np.unique(np.asarray(ratings, np.float64), return_inverse=True)
        self.labels: npt.NDArray[np.int64] = labels.astype(np.int64)
        taught = self.labels[split.train]
        weights = class_weights(taught, len(self.values)) if balanced else np.ones(len(self.values))
        self._weights = torch.from_numpy(weights).float().to(trunk.device)
        self._drawn = np.random.default_rng(0).permutation(split.train)[:MEASURED].tolist()
        means = self.corpus.means(self._drawn)
        self._centre = torch.from_numpy(means.mean(0)).to(trunk.device)
        self._spread = torch.from_numpy(np.maximum(means.std(0), 1e-6)).to(trunk.device)
        head = nn.Linear(trunk.dimensions, len(self.values))
        nn.init.zeros_(head.weight)
        with torch.no_grad():
            share = np.bincount(taught, minlength=len(self.values)) + 1.0
            start = np.zeros(len(self.values)) if balanced else np.log(share / share.sum())
            head.bias.copy_(torch.from_numpy(start))
        self.module = nn.ModuleDict({"trunk": trunk, "head": head.to(trunk.device)})
        commonest = np.full(len(split.valid), np.bincount(taught).argmax())
        average = np.full(len(split.valid), self.values[taught].mean())
        held = self.labels[split.valid]
        self.data: Figures = {
            "train": len(split.train),
            "valid": len(split.valid),
            "commonest": class_metrics(held, commonest, self.values, average),
        }

    def batches(self, random: np.random.Generator) -> list[npt.NDArray[np.int64]]:
        lengths = [len(self.corpus.ids[row]) for row in self.split.train]
        return [self.split.train[batch] for batch in mixed(lengths, BATCH, random)]

    def loss(self, batch: npt.NDArray[np.int64], random: np.random.Generator) -> Any:
        vectors = mean(*self.corpus.states(batch.tolist(), random))
        labels = torch.from_numpy(self.labels[batch]).to(vectors.device)
        return functional.cross_entropy(self._logits(vectors), labels, self._weights)

    def validate(self) -> Figures:
        """Those of ``class_metrics``; the expected rating is the mean over the classes by their probability.
        ``valid_loss`` is the cross-entropy in nats, every row counting the same."""
        held, chances = self.labels[self.split.valid], self.chances(self.split.valid)
        loss = -np.log(np.maximum(chances[np.arange(len(held)), held], 1e-12)).mean()
        metrics = class_metrics(held, chances.argmax(1), self.values, chances @ self.values)
        return {"valid_loss": float(loss), **metrics}

    def chances(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """float64[n, classes] of the texts ``rows``: how probable each rating is, as things stand now."""
        self.module.eval()
        vectors = torch.from_numpy(self.corpus.means(rows.tolist())).to(self.corpus.trunk.device)
        with torch.no_grad():
            found: npt.NDArray[np.float64] = self._logits(vectors).double().softmax(1).cpu().numpy()
        return found

    def _logits(self, vectors: Any) -> Any:
        scaled = functional.dropout((vectors - self._centre) / self._spread, DROPOUT, self.module.training)
        return self.module["head"](scaled)
