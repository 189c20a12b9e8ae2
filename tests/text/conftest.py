"""The default model, unpacked once into the cache of the user who runs the tests, and tiny models made here."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from counting_encoder import CountingEncoder
from huggingface_hub import constants
from tiny_bert import save_random_bert

from divrec.config import EncoderConfig
from divrec.text.encoder import Encoder, load_encoder


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


@pytest.fixture
def copied(tiny_bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "tiny-bert"))


@pytest.fixture
def counting() -> CountingEncoder:
    return CountingEncoder()
