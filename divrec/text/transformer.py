"""BERT-like models: from texts to batches of tokens, and from what a network makes of them to unit vectors."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from divrec.errors import EncoderError
from divrec.text.sizes import Sizes

CHARACTERS_PER_TOKEN = 64
"""No text needs more characters to fill its tokens; longer ones are cut before they are tokenized."""


class Network(Protocol):
    """``divrec.text.torch_network`` or ``divrec.text.onnx_network``."""

    sizes: Sizes
    alone: bool
    """Texts beside it would change a text's vector."""

    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """``float32[n, d]``: the mean of the last hidden states over the tokens, ``ids[n, l]`` where ``mask`` is 1."""
        ...


class TransformerEncoder:
    """The mean of a BERT-like model's last hidden states over the tokens of a text, as a unit vector.

    ``directory`` is a transformers model directory, ``load`` makes a network of it. Texts are sorted by length and run
    in batches of at most ``token_budget`` tokens, padding included: mixed lengths would spend most of the work on
    padding. Raises EncoderError if the model cannot be loaded or gives no unit vector.
    """

    def __init__(
        self,
        directory: Path,
        load: Callable[[Path], Network],
        *,
        name: str,
        prefix: str = "",
        max_tokens: int = 256,
        token_budget: int = 512,
        threads: int = 1,
    ) -> None:
        self.name = name
        self._prefix = prefix
        self._lock = threading.Lock()
        if threads == 1:
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        try:
            self._tokenizer, self.network = read_tokenizer(directory), load(directory)
        except EncoderError:
            raise
        except Exception as error:  # transformers raises whatever its many model classes do
            text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise EncoderError(
                f"text model {name}: cannot be loaded from {directory}: {text}; "
                f"if the files are damaged, delete that directory and start again"
            ) from error
        self._token_budget = 1 if self.network.alone else token_budget
        sizes = self.network.sizes
        if self._tokenizer.get_vocab_size() > sizes.pieces:
            raise EncoderError(
                f"text model {name}: {self._tokenizer.get_vocab_size()} pieces in the tokenizer, {sizes.pieces} in the "
                f"model; they belong to different models"
            )
        self._max_tokens = min(max_tokens, sizes.positions)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self._max_tokens)
        self._pad = sizes.pad
        self.dimensions = sizes.dimensions
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
        longest = max(map(len, tokens))
        ids = np.full((len(tokens), longest), self._pad, np.int64)
        mask = np.zeros((len(tokens), longest), np.int64)
        for row, own in enumerate(tokens):
            ids[row, : len(own)] = own
            mask[row, : len(own)] = 1
        return self.network(ids, mask)


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


def read_tokenizer(directory: Path) -> Any:
    """The fast tokenizer of a model directory. Raises whatever transformers does."""
    from tokenizers import Tokenizer

    if (directory / "tokenizer.json").is_file():
        return Tokenizer.from_file(str(directory / "tokenizer.json"))
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(directory, local_files_only=True).backend_tokenizer
