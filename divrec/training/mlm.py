"""Masked-language-model pretraining, continued on texts of one's own. Imports torch.

The head guesses among the pieces that occur in the texts, not among all of the model's vocabulary: of the 250,000 of a
multilingual model some 10,000, so that it costs no more than a layer does.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from divrec.training.batches import mixed
from divrec.training.loop import Figures
from divrec.training.masking import Masked, mask
from divrec.training.split import Split
from divrec.training.trunk import Corpus, Ids, Trunk

BATCH = 32
SEED = 0
"""Of the masks that are validated with: always the same."""


class MlmTask:
    """``split`` are rows of ``texts``. The head: a dense layer, GELU, LayerNorm, then the input embeddings of the
    pieces (tied) and a bias, which begins as the logarithm of how frequent each is."""

    name, measure, higher = "mlm", "valid_loss", False

    def __init__(self, trunk: Trunk, texts: Sequence[str], split: Split) -> None:
        self.corpus, self.split, self.trunk = Corpus(trunk, texts, kept=False), split, trunk
        self.vocabulary = self.corpus.vocabulary
        self._pieces = torch.from_numpy(self.vocabulary).to(trunk.device)
        counts = np.ones(len(self.vocabulary))
        for row in split.train:
            np.add.at(counts, self._places(self.corpus.ids[row][trunk.lead : -1]), 1.0)
        self._frequency = np.log(counts / counts.sum())
        bias = nn.Parameter(torch.from_numpy(self._frequency).float())
        head = nn.Sequential(
            nn.Linear(trunk.dimensions, trunk.dimensions), nn.GELU(), nn.LayerNorm(trunk.dimensions)
        ).to(trunk.device)
        nn.init.constant_(head[2].weight, trunk.dimensions**-0.5)
        self.module = nn.ModuleDict({"trunk": trunk, "head": head, "bias": nn.ParameterList([bias]).to(trunk.device)})
        self._mask_id = _mask_id(trunk)
        random = np.random.default_rng(SEED)
        self._asked = [(int(row), self._masked(int(row), random)) for row in split.valid]
        known = np.concatenate([self._frequency[self._targets(row, masked)] for row, masked in self._asked])
        self.data: Figures = {
            "train": len(split.train),
            "valid": len(split.valid),
            "pieces": len(self.vocabulary),
            "valid_loss_of_frequencies": float(-known.mean()),
        }

    def batches(self, random: np.random.Generator) -> list[npt.NDArray[np.int64]]:
        lengths = [len(self.corpus.ids[row]) for row in self.split.train]
        return [self.split.train[batch] for batch in mixed(lengths, BATCH, random)]

    def loss(self, batch: npt.NDArray[np.int64], random: np.random.Generator) -> Any:
        logits, targets = self._guesses([(int(row), self._masked(int(row), random)) for row in batch])
        return functional.cross_entropy(logits, targets)

    def validate(self) -> Figures:
        """``valid_loss``, the mean cross-entropy in nats of the tokens to be guessed; ``perplexity``; ``accuracy``."""
        self.module.eval()
        loss = right = total = 0.0
        with torch.no_grad():
            for first in range(0, len(self._asked), BATCH):
                logits, targets = self._guesses(self._asked[first : first + BATCH])
                loss += float(functional.cross_entropy(logits, targets, reduction="sum"))
                right += int((logits.argmax(1) == targets).sum())
                total += len(targets)
        return {"valid_loss": loss / total, "perplexity": float(np.exp(loss / total)), "accuracy": right / total}

    def _masked(self, row: int, random: np.random.Generator) -> Masked:
        return mask(self.corpus.ids[row], self.trunk.lead, self._mask_id, self.vocabulary, random)

    def _guesses(self, asked: Sequence[tuple[int, Masked]]) -> tuple[Any, Any]:
        """float32[tokens, pieces] and the right places int64[tokens]."""
        hidden, _ = self.corpus.said([masked.ids for _, masked in asked])
        guessed = np.zeros(hidden.shape[:2], np.bool_)
        for n, (_, masked) in enumerate(asked):
            guessed[n, : len(masked.guessed)] = masked.guessed
        targets = np.concatenate([self._targets(row, masked) for row, masked in asked])
        device = self.trunk.device
        rows = self.module["head"](hidden[torch.from_numpy(guessed).to(device)])
        with torch.autocast(device.type, torch.bfloat16, enabled=self.trunk.bfloat16):
            scores = rows @ self.trunk.word_embeddings[self._pieces].T
        return scores.float() + self.module["bias"][0], torch.from_numpy(targets).to(device)

    def _targets(self, row: int, masked: Masked) -> Ids:
        return self._places(self.corpus.ids[row][masked.guessed])

    def _places(self, ids: Ids) -> Ids:
        return np.searchsorted(self.vocabulary, ids).astype(np.int64)


def _mask_id(trunk: Trunk) -> int:
    for token in ("<mask>", "[MASK]", "<unk>", "[UNK]"):
        if (found := trunk.tokenizer.token_to_id(token)) is not None:
            return int(found)
    return trunk.pad
