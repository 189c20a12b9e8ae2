"""Word vectors: files of all formats, whole and cut, and the encoder's contract."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from divrec.checks.encoder import check_encoder
from divrec.config import EncoderConfig
from divrec.errors import EncoderError
from divrec.text.encoder import load_encoder, names_model
from divrec.text.similarity import cosines, distances
from divrec.text.word_vector_files import read_word_vectors
from divrec.text.word_vectors import WordVectorEncoder

gensim = pytest.importorskip("gensim", reason="the extra words is not installed")

WORDS = ["the", "Battery", "battery", "guitar", "drum", "电池", "电", "天", "e5"]
VECTORS = np.random.default_rng(3).standard_normal((len(WORDS), 8)).astype(np.float32)
KINDS = ["glove.txt", "w2v.txt", "w2v.bin", "glove.txt.gz", "w2v.bin.gz"]


def written(directory: Path, kind: str) -> Path:
    vectors = gensim.models.KeyedVectors(8)
    vectors.add_vectors(WORDS, VECTORS)
    path = directory / kind
    vectors.save_word2vec_format(str(path), binary=".bin" in kind, write_header=not kind.startswith("glove"))
    return path


def encoder() -> WordVectorEncoder:
    return WordVectorEncoder(WORDS, VECTORS, "w")


@pytest.mark.parametrize("kind", KINDS)
def test_files(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind)
    words, vectors = read_word_vectors(path)
    assert words == WORDS and np.allclose(vectors, VECTORS, atol=1e-6)
    loaded = load_encoder(EncoderConfig(model=str(path)))
    assert isinstance(loaded, WordVectorEncoder) and names_model(loaded.name, str(path))
    assert np.allclose(loaded.encode(["guitar drum"]), encoder().encode(["guitar drum"]), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_end_early(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind)
    data = path.read_bytes()
    between = [] if kind != "glove.txt" else [n + 1 for n, byte in enumerate(data) if byte == 10]
    for length in {*range(0, len(data) - 1, 7), len(data) - 1, len(data) - 4} - set(between):
        path.write_bytes(data[:length])
        with pytest.raises(EncoderError, match="expected a whole file of GloVe or word2vec"):
            read_word_vectors(path)


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"hello\n", b"999999999999 300\na 1 2\n", b"2 0\na\nb\n", b"a 1 x\n", b"\x00\xff" * 99]
)
def test_what_is_no_such_file(tmp_path: Path, data: bytes) -> None:
    for path in (tmp_path / "a.txt", tmp_path / "a.gz"):
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
        with pytest.raises(EncoderError, match="word vectors"):
            WordVectorEncoder.load(path)


def test_contract() -> None:
    check_encoder(encoder())
    learned = encoder()
    learned.learn(["the battery", "the guitar"])
    check_encoder(learned)


def test_what_is_frequent_counts_less() -> None:
    first, rare = encoder(), encoder().encode(["drum"])
    assert (first.encode(["the drum"]) @ rare.T)[0, 0] > (first.encode(["the drum"]) @ first.encode(["the"]).T)[0, 0]
    learned = encoder()
    learned.learn(["drum " * 400] * 100)
    assert learned.name != first.name and names_model(learned.name, "w")
    assert (learned.encode(["guitar drum"]) @ rare.T)[0, 0] < (first.encode(["guitar drum"]) @ rare.T)[0, 0]
    other = encoder()
    other.restore(learned.state())
    assert other.name == learned.name and np.array_equal(other.encode(["guitar drum"]), learned.encode(["guitar drum"]))


def test_words() -> None:
    vectors = encoder().encode(["BATTERY", "battery", "xyzzy", "xyzzy!", "电天", "电 天"])
    assert np.array_equal(vectors[0], vectors[1]), "case does not count"
    assert np.array_equal(vectors[2], vectors[3]), "nor does it have to be known"
    assert np.allclose(vectors[4], vectors[5]), "a word that is unknown is its characters"


def test_similarities() -> None:
    a, b = VECTORS[:4], VECTORS[4:]
    assert np.allclose(distances(a, b), np.linalg.norm(a[:, None] - b[None], axis=2), atol=1e-5)
    unit = encoder().encode(["battery", "guitar", "drum"])
    assert np.allclose(distances(unit, unit) ** 2, 2 - 2 * cosines(unit, unit), atol=1e-5)
    assert cosines(np.zeros((1, 8), np.float32), b).tolist() == [[0.0] * len(b)]
