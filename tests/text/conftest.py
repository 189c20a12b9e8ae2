"""The default model, unpacked once into the cache of the user who runs the tests, and tiny models made here."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from counting_encoder import CountingEncoder
from huggingface_hub import constants

from divrec.config import EncoderConfig
from divrec.text.encoder import Encoder, load_encoder

WORDS = "the battery lasts two days and charges quickly 电 池 可 以 用 两 天 a b c d e f".split()  # noqa: SIM905


@pytest.fixture(scope="session")
def encoder() -> Iterator[Encoder]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        yield load_encoder(EncoderConfig())


@pytest.fixture(scope="session")
def save_bert() -> Callable[[Path, int], None]:
    return save_random_bert


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "tiny-bert"
    save_random_bert(directory, seed=1)
    return directory


def save_random_bert(directory: Path, seed: int) -> None:
    """A BERT of 2 layers with random weights and a vocab.txt, as a model directory."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=24,
    )
    BertModel(config).save_pretrained(directory)
    (directory / "vocab.txt").write_text("\n".join(pieces) + "\n", "utf-8")


@pytest.fixture
def copied(tiny_bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "tiny-bert"))


@pytest.fixture
def counting() -> CountingEncoder:
    return CountingEncoder()
