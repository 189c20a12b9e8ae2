"""BERT-like models through transformers and torch."""

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from divrec.errors import EncoderError

CHARACTERS_PER_TOKEN = 64
"""No text needs more characters to fill its tokens; longer ones are cut before they are tokenized."""


class TransformerEncoder:
    """The mean of a BERT-like model's last hidden states over the tokens of a text, as a unit vector.

    ``directory`` is a transformers model directory. Texts are sorted by length and run in batches of at most
    ``token_budget`` tokens, padding included: mixed lengths would spend most of the work on padding.
    Raises EncoderError if the model cannot be loaded or gives no unit vector.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str,
        prefix: str = "",
        max_tokens: int = 256,
        token_budget: int = 512,
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        self.name = name
        self._prefix, self._token_budget, self._threads = prefix, token_budget, threads
        self._lock = threading.Lock()
        if threads == 1:
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        try:
            self._tokenizer, self._model = _tokenizer(directory), _model(directory, device)
        except EncoderError:
            raise
        except Exception as error:  # transformers raises whatever its many model classes do
            text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise EncoderError(
                f"text model {name}: cannot be loaded from {directory} on {device}: {text}; "
                f"if the files are damaged, delete that directory and start again"
            ) from error
        known = self._model.get_input_embeddings().num_embeddings
        if self._tokenizer.get_vocab_size() > known:
            raise EncoderError(
                f"text model {name}: {self._tokenizer.get_vocab_size()} pieces in the tokenizer, {known} in the model; "
                f"they belong to different models"
            )
        self._device = device
        self._max_tokens = min(max_tokens, _positions(self._model))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self._max_tokens)
        self._pad = int(getattr(self._model.config, "pad_token_id", None) or 0)
        self.dimensions = int(self._model.config.hidden_size)
        self.encode([""])  # a model that cannot be used says so now

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """``float32[n, d]``, unit rows in the order of ``texts``. Raises EncoderError."""
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        if not texts:
            return vectors
        with self._lock:  # the tokenizer keeps its settings in itself, and torch runs its own threads
            tokens = self._tokens(texts)
            for rows in batches([len(ids) for ids in tokens], self._token_budget):
                vectors[rows] = self._forward([tokens[row] for row in rows])
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        wrong = np.flatnonzero(~((norms[:, 0] > 0) & np.isfinite(norms[:, 0])))
        if len(wrong):
            raise EncoderError(
                f"text model {self.name}: expected a finite vector that is not zero, got norm "
                f"{norms[wrong[0], 0]} for the text {texts[wrong[0]][:80]!r} ({len(wrong)} of {len(texts)} texts)"
            )
        vectors /= norms
        return vectors

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        longest = CHARACTERS_PER_TOKEN * self._max_tokens
        # lone surrogates, which a careless reader of logs lets through, are refused by the tokenizer
        clean = [(self._prefix + text)[:longest].encode("utf-8", "replace").decode() for text in texts]
        return [encoding.ids or [self._pad] for encoding in self._tokenizer.encode_batch_fast(clean)]

    def _forward(self, tokens: list[list[int]]) -> NDArray[np.float32]:
        import torch

        longest = max(map(len, tokens))
        ids = np.full((len(tokens), longest), self._pad, np.int64)
        mask = np.zeros((len(tokens), longest), np.int64)
        for row, own in enumerate(tokens):
            ids[row, : len(own)] = own
            mask[row, : len(own)] = 1
        if self._device == "cpu" and torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)  # kept per thread by OpenMP, and we are called from several
        with torch.inference_mode():
            attention = torch.from_numpy(mask).to(self._device)
            hidden = self._model(input_ids=torch.from_numpy(ids).to(self._device), attention_mask=attention)[0].float()
            weights = attention.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * weights).sum(1) / weights.sum(1)
            result: NDArray[np.float32] = mean.cpu().numpy()
        return result


def batches(lengths: Sequence[int], token_budget: int) -> Iterator[list[int]]:
    """Indices into ``lengths``, each once, shortest first, in batches of count × longest <= ``token_budget``.

    A text that is longer than the budget is a batch of its own.

    >>> list(batches([3, 9, 3, 4], 9))
    [[0, 2], [3], [1]]
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[index] > token_budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _tokenizer(directory: Path) -> Any:
    from tokenizers import Tokenizer

    if (directory / "tokenizer.json").is_file():
        return Tokenizer.from_file(str(directory / "tokenizer.json"))
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(directory, local_files_only=True).backend_tokenizer


def _model(directory: Path, device: str) -> Any:
    import transformers

    from divrec.text.onednn import use_onednn

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    model, report = transformers.AutoModel.from_pretrained(directory, local_files_only=True, output_loading_info=True)
    missing = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if missing:
        raise EncoderError(
            f"text model {directory}: the weights lack {len(missing)} tensors ({', '.join(missing[:3])}…), "
            f"which would stay random; use a complete model"
        )
    model = model.float().eval().to(device)
    if device == "cpu":
        use_onednn(model)
    return model


def _positions(model: Any) -> int:
    """Tokens that ``model`` has positions for; RoBERTa's begin after the padding piece."""
    positions = getattr(model.config, "max_position_embeddings", None) or 1_000_000
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return int(positions - (0 if padding is None else padding + 1))
