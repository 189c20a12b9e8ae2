"""A BERT to be trained on: its lower layers may stay as they are, its upper ones may be left out. Imports torch."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from torch import nn

from divrec.config import EncoderConfig
from divrec.errors import ConfigError, EncoderError
from divrec.text.locate import TOKENIZER_FILES, locate
from divrec.text.onednn import has_bfloat16
from divrec.text.prefix import usual_prefix, write_prefix
from divrec.text.torch_network import sizes_of
from divrec.text.transformer import CHARACTERS_PER_TOKEN, batches, read_tokenizer
from divrec.training.augment import augment, synonyms

KEPT_BYTES = 2_000_000_000
"""Of what the frozen layers made of the texts: beyond that they read each text anew."""
BUDGET = 4_096
"""Tokens of a batch that is only read."""

Ids = npt.NDArray[np.int64]
Tensor = Any
Told = Callable[[str, int, int], None]
"""Hears what is being done, how much of it is done, and how much there is."""


class Trunk(nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """The model in ``directory``: of its layers the first ``layers`` (None: all), of which ``frozen`` (None: all but
    two) stay as they are, and with them the embeddings; -1: nothing does.

    For BERT and what is built like it: ``embeddings``, then ``encoder.layer``. Where the device multiplies bfloat16,
    the layers do, with weights and sums in float32. Raises ConfigError and EncoderError.
    """

    def __init__(
        self, directory: Path, *, prefix: str, max_tokens: int, layers: int | None, frozen: int | None, device: str
    ) -> None:
        super().__init__()
        self.device = torch.device(device)
        self.bfloat16 = _multiplies_bfloat16(self.device)
        self._directory, self.prefix = directory, prefix
        self.model = _loaded(directory)
        self.model.pooler = None  # the encoder takes the mean
        there = len(self.model.encoder.layer)
        kept = there if layers is None else layers
        if not 1 <= kept <= there:
            raise ConfigError(f"--layers: expected 1 to {there}, which the model has, got {kept}")
        frozen = max(0, kept - 2) if frozen is None else frozen
        if not -1 <= frozen <= kept:
            raise ConfigError(f"--frozen: expected -1 to {kept} layers, got {frozen}")
        self.model.encoder.layer = self.model.encoder.layer[:kept]
        self.model.config.num_hidden_layers = kept
        self.layers, self.frozen = kept, frozen
        self.still = [self.model.embeddings, *self.model.encoder.layer[:frozen]] if frozen >= 0 else []
        for module in self.still:
            module.requires_grad_(False)
        self.tokenizer = read_tokenizer(directory)
        self.tokenizer.no_padding()
        sizes = sizes_of(self.model)
        self.tokenizer.enable_truncation(min(max_tokens, sizes.positions))
        self.lead = max(0, len(self.tokenizer.encode(prefix.rstrip()).ids) - 1)
        """Tokens at the front of a text that are not its own."""
        self.pad, self.dimensions = sizes.pad, sizes.dimensions
        self.to(self.device)

    def train(self, mode: bool = True) -> "Trunk":
        super().train(mode)
        for module in self.still:
            module.eval()  # without dropout
        return self

    def tokens(self, texts: Sequence[str]) -> list[Ids]:
        """Each as the encoder would read it, but shorter."""
        longest = CHARACTERS_PER_TOKEN * self.tokenizer.truncation["max_length"]
        clean = [(self.prefix + text)[:longest].encode("utf-8", "replace").decode() for text in texts]
        return [np.array(encoding.ids or [self.pad], np.int64) for encoding in self.tokenizer.encode_batch_fast(clean)]

    def below(self, ids: Sequence[Ids]) -> tuple[Tensor, Tensor]:
        """float32[n, l, d] of the embeddings and the frozen layers, and bool[n, l] of the tokens that are there."""
        longest = max(map(len, ids))
        padded = np.full((len(ids), longest), self.pad, np.int64)
        there = np.zeros((len(ids), longest), np.bool_)
        for row, own in enumerate(ids):
            padded[row, : len(own)], there[row, : len(own)] = own, True
        mask = torch.from_numpy(there).to(self.device)
        with torch.set_grad_enabled(self.frozen < 0 and torch.is_grad_enabled()):
            hidden = self.model.embeddings(input_ids=torch.from_numpy(padded).to(self.device))
        if self.frozen > 0:
            with torch.no_grad():
                hidden = self._through(self.model.encoder.layer[: self.frozen], hidden, mask)
        return hidden, mask

    def above(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """float32[n, l, d]: the last hidden states, of what ``below`` gave."""
        return self._through(self.model.encoder.layer[max(0, self.frozen) :], hidden, mask)

    def _through(self, layers: Any, hidden: Tensor, mask: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            for layer in layers:
                made = layer(hidden, mask[:, None, None, :])
                hidden = made[0] if isinstance(made, tuple) else made
        return hidden.float()

    def embeddings(self, ids: Ids) -> npt.NDArray[np.float32]:
        """float32[n, d], the rows of the input embeddings."""
        rows: npt.NDArray[np.float32] = (
            self.word_embeddings[torch.from_numpy(ids).to(self.device)].detach().cpu().numpy()
        )
        return rows

    @property
    def word_embeddings(self) -> Tensor:
        return self.model.get_input_embeddings().weight

    def save(self, directory: Path) -> None:
        """As a directory that ``encoder.model`` accepts."""
        directory.mkdir(parents=True)
        self.model.save_pretrained(directory)
        for pattern in (*TOKENIZER_FILES, "tokenizer_config.json", "special_tokens_map.json"):
            for file in self._directory.glob(pattern):
                shutil.copy(file, directory / file.name)
        write_prefix(directory, self.prefix)


def start(
    config: EncoderConfig, *, layers: int | None, frozen: int | None, max_tokens: int, seed: int
) -> tuple[str, Trunk]:
    """The name of the model that ``config`` asks for, and what is to be trained on of it; ``frozen`` None: all layers
    but two. Random numbers begin with ``seed``. Raises ConfigError and EncoderError."""
    torch.manual_seed(seed)
    if config.device == "cpu":
        torch.set_num_threads(config.threads)
    model = locate(config.model, config.cache_dir.expanduser())
    prefix = usual_prefix(model.name, model.directory) if config.prefix is None else config.prefix
    try:
        return model.name, Trunk(
            model.directory, prefix=prefix, max_tokens=max_tokens, layers=layers, frozen=frozen, device=config.device
        )
    except (RuntimeError, AssertionError) as error:  # what torch says of devices that are not there
        raise ConfigError(f"training: expected a device that torch knows, got {config.device!r}: {error}") from error


class Corpus:
    """Texts, and what the trunk makes of them. What frozen layers make is made once, if it fits into memory.

    ``augmented``: those that are learned from are said a little differently every time (``divrec.training.augment``).
    Not ``kept``: no text will be read twice as it stands.
    """

    def __init__(
        self,
        trunk: Trunk,
        texts: Sequence[str],
        told: Told = lambda *_: None,
        *,
        augmented: bool = False,
        kept: bool = True,
    ) -> None:
        self.trunk, self.ids = trunk, trunk.tokens(texts)
        self.vocabulary = np.unique(np.concatenate([ids[trunk.lead : -1] for ids in self.ids]))
        self._words = synonyms(self.vocabulary, trunk.embeddings(self.vocabulary)) if augmented else None
        self._below: list[Tensor] = []
        held = 4 * trunk.dimensions * sum(map(len, self.ids))
        if kept and trunk.frozen > 0 and held <= KEPT_BYTES:
            self._keep(told)

    def _keep(self, told: Told) -> None:
        kept: list[Tensor] = [None] * len(self.ids)
        done = 0
        with torch.no_grad():
            for rows in batches([len(ids) for ids in self.ids], BUDGET):
                hidden, _ = self.trunk.below([self.ids[row] for row in rows])
                for row, one in zip(rows, hidden, strict=True):
                    kept[row] = one[: len(self.ids[row])].clone()
                done += len(rows)
                told("reading texts", done, len(self.ids))
        self._below = kept

    def states(self, rows: Sequence[int], random: np.random.Generator | None = None) -> tuple[Tensor, Tensor]:
        """float32[n, l, d] of the last hidden states of these texts, and bool[n, l] of the tokens that are there;
        ``random`` to learn from."""
        if self._words is not None and random is not None:
            words, lead = self._words, self.trunk.lead
            return self.said([augment(self.ids[row], words, random, lead=lead) for row in rows])
        if not self._below:
            return self.said([self.ids[row] for row in rows])
        own = [self._below[row] for row in rows]
        lengths = torch.tensor([len(one) for one in own], device=self.trunk.device)
        hidden = nn.utils.rnn.pad_sequence(own, batch_first=True)
        mask = torch.arange(hidden.shape[1], device=self.trunk.device) < lengths[:, None]
        return self.trunk.above(hidden, mask), mask

    def said(self, ids: Sequence[Ids]) -> tuple[Tensor, Tensor]:
        """The same of other tokens."""
        hidden, mask = self.trunk.below(ids)
        return self.trunk.above(hidden, mask), mask

    def means(self, rows: Sequence[int] | None = None) -> npt.NDArray[np.float32]:
        """float32[n, d]: the mean over the tokens of each text, as things stand now."""
        chosen = list(range(len(self.ids)) if rows is None else rows)
        out = np.empty((len(chosen), self.trunk.dimensions), np.float32)
        training = self.trunk.training
        self.trunk.eval()
        with torch.no_grad():
            for batch in batches([len(self.ids[row]) for row in chosen], BUDGET):
                out[batch] = mean(*self.states([chosen[n] for n in batch])).cpu().numpy()
        self.trunk.train(training)
        return out


def mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """float32[n, d] of ``hidden[n, l, d]`` where ``mask[n, l]`` is true."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


def _multiplies_bfloat16(device: Any) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and has_bfloat16()


def _loaded(directory: Path) -> Any:
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        model, report = transformers.AutoModel.from_pretrained(
            directory, local_files_only=True, output_loading_info=True, attn_implementation="sdpa"
        )
    except Exception as error:  # transformers raises whatever its many model classes do
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise EncoderError(f"text model {directory}: cannot be loaded: {text}") from error
    if missing := [key for key in report["missing_keys"] if "pooler" not in key]:
        raise EncoderError(
            f"text model {directory}: the weights lack {', '.join(sorted(missing)[:3])}…; use a whole one"
        )
    if not hasattr(model, "embeddings") or not hasattr(getattr(model, "encoder", None), "layer"):
        raise EncoderError(
            f"text model {directory}: expected a BERT or what is built like one (embeddings, then encoder.layer), got "
            f"{type(model).__name__}"
        )
    return model.float()
