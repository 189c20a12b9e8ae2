"""Back ends of one model: the same vectors where they have one name, others where they have not."""

from pathlib import Path

import numpy as np
import pytest

from divrec.checks.encoder import check_encoder
from divrec.config import EncoderConfig
from divrec.errors import EncoderError
from divrec.text import onnx_network, torch_network
from divrec.text.encoder import Encoder, load_encoder, names_model
from divrec.text.onednn import has_bfloat16
from divrec.text.onnx_network import NEEDED

TEXTS = ["", "the battery lasts two days", "电池可以用两天", "a b c d e f " * 9]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def loaded(model: Path, backend: str, cache: Path, **more: object) -> Encoder:
    return load_encoder(
        EncoderConfig.model_validate({"model": str(model), "backend": backend, "cache_dir": cache, **more})
    )


@pytest.mark.parametrize(
    ("backend", "mark", "cosine"),
    [("onnx", "", 0.999999), ("onnx-int8", "+int8", 0.99), ("torch-bf16", "+bf16", 0.9995)],
)
def test_vectors_and_names(tiny_bert: Path, cache: Path, backend: str, mark: str, cosine: float) -> None:
    if backend == "torch-bf16" and not has_bfloat16():
        pytest.skip("this processor does not multiply bfloat16")
    if backend.startswith("onnx"):
        for package in NEEDED:
            pytest.importorskip(package, reason="the extra onnx is not installed")
    exact, encoder = loaded(tiny_bert, "torch", cache), loaded(tiny_bert, backend, cache)
    assert encoder.name == exact.name + mark and names_model(encoder.name, str(tiny_bert))
    assert float((encoder.encode(TEXTS) * exact.encode(TEXTS)).sum(1).min()) > cosine
    check_encoder(encoder)
    marked = loaded(tiny_bert, backend, cache, prefix="a ").name
    assert marked.startswith(f"{encoder.name}+") and names_model(marked, str(tiny_bert))


def test_exported_once_for_the_same_files(copied: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    first = loaded(copied, "onnx", cache).encode(TEXTS)

    def again(_model: Path, _target: Path) -> None:
        raise EncoderError("exported again")

    monkeypatch.setattr(onnx_network, "_exported", again)
    assert np.array_equal(loaded(copied, "onnx", cache).encode(TEXTS), first)
    (copied / "model.safetensors").touch()
    with pytest.raises(EncoderError, match="exported again"):
        loaded(copied, "onnx", cache)


def test_what_is_not_there(tiny_bert: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EncoderError, match=r'onnx: expected encoder.device "cpu", got .cuda'):
        loaded(tiny_bert, "onnx", cache, device="cuda")
    monkeypatch.setattr(torch_network, "has_bfloat16", lambda: False)
    with pytest.raises(EncoderError, match=r"torch-bf16: expected the CPU and one that multiplies bfloat16"):
        loaded(tiny_bert, "torch-bf16", cache)
    monkeypatch.setattr(onnx_network, "NEEDED", ("onnxruntime", "no_such_package"))
    with pytest.raises(EncoderError, match=r"found no no_such_package; install divrec\[onnx\]"):
        loaded(tiny_bert, "onnx", cache)
