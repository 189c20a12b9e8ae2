"""Files to vectors: which text has which id, and what is left when a run ends early."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from divrec.config import FeedbackConfig
from divrec.errors import ConfigError
from divrec.text import encode_files as module
from divrec.text.encode_files import Encoded, encode_files, read_vectors
from divrec.text.ngram_encoder import NgramEncoder
from divrec.text.text_files import Text, TextFiles

ENCODER = NgramEncoder(16)


class Dying:
    """Encodes ``alive`` calls, then the process might as well be gone."""

    name, dimensions = ENCODER.name, ENCODER.dimensions

    def __init__(self, alive: int) -> None:
        self.alive = alive
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.alive -= 1
        if self.alive < 0:
            raise KeyboardInterrupt
        self.encoded += texts
        return ENCODER.encode(texts)


def files(*paths: Path, **columns: str) -> TextFiles:
    return TextFiles(paths, columns, FeedbackConfig())


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "CHUNK", 10)
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"text {n}\n" if n % 5 else "\n" for n in range(60)))
    return path


def test_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufefffirst\n\n <b>third</b>\n".encode() + b"\xff\xfe\n" + b"x" * 3_000_000 + b"\nlast")
    found = list(files(path, path))
    assert found[:3] == [Text("0", "first"), Text("1", ""), Text("2", "third")]
    assert len(found[4].text) <= 2_000 and found[5] == Text("5", "last") and found[11] == Text("11", "last")


def test_items_and_reviews(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("sku,name,about\na1,Kettle,It boils\na2,,\nbad\n")
    texts = files(table, item_id="sku", title="name", description="about")
    assert list(texts) == [Text("a1", "Kettle. It boils"), Text("a2", "")]
    assert texts.rejected == {"bad-row": 1}
    assert next(iter(files(table, text="about", event_id="sku"))) == Text("a1", "It boils")
    assert next(iter(files(table, text="about", item_id="sku"))) == Text("a1", "It boils")
    assert list(files(table, text="about")) == [Text("0", "It boils"), Text("1", "")]
    pq.write_table(pa.table({"sku": ["p"], "name": ["Pan"]}), tmp_path / "a.parquet")
    assert list(files(tmp_path / "a.parquet", item_id="sku", title="name")) == [Text("p", "Pan")]
    own = tmp_path / "own.jsonl"
    own.write_text(
        '{"kind": "item", "item_id": "i", "title": "Pan"}\n'
        '{"kind": "click", "user_id": "u", "item_id": "i", "action": "like"}\n'
        '{"kind": "review", "user_id": "u", "item_id": "i", "text": "hot", "event_id": "e"}\n'
    )
    assert list(files(own)) == [Text("i", "Pan"), Text("e", "hot")]


def test_the_file(lines: Path, tmp_path: Path) -> None:
    out = tmp_path / "vectors.parquet"
    told: list[tuple[int, int]] = []
    assert encode_files(files(lines), ENCODER, out, lambda *at: told.append(at)) == Encoded(48, 0, 12)
    assert told == [(done, 48) for done in (0, 10, 20, 30, 40, 48)]
    ids, vectors, model = read_vectors(out)
    assert ids == [str(n) for n in range(60) if n % 5] and model == "ngrams-16"
    assert np.array_equal(vectors, ENCODER.encode([f"text {n}" for n in ids]))
    assert {path.name for path in tmp_path.iterdir()} == {"lines.txt", "vectors.parquet"}
    with pytest.raises(ConfigError, match="not there yet"):
        encode_files(files(lines), ENCODER, out)


@pytest.mark.parametrize("torn", [b"", b"\x01" * 17, b"\x00" * 64])
def test_it_goes_on(lines: Path, tmp_path: Path, torn: bytes) -> None:
    out, first, second = tmp_path / "v.parquet", Dying(2), Dying(9)
    with pytest.raises(KeyboardInterrupt):
        encode_files(files(lines), first, out)
    assert not out.exists()
    with (tmp_path / "v.parquet.partial" / "vectors.f32").open("ab") as file:
        file.write(torn)
    assert encode_files(files(lines), second, out) == Encoded(48, 20, 12)
    assert len(first.encoded) == 20 and len(second.encoded) == 28
    ids, vectors, _ = read_vectors(out)
    assert np.array_equal(vectors, ENCODER.encode([f"text {n}" for n in ids]))


def test_what_was_begun_otherwise(lines: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.parquet"
    with pytest.raises(KeyboardInterrupt):
        encode_files(files(lines), Dying(1), out)
    with pytest.raises(ConfigError, match="begun for other files, columns or another text model"):
        encode_files(files(lines), NgramEncoder(8), out)
    lines.write_text("changed\n")
    with pytest.raises(ConfigError, match="begun for other files"):
        encode_files(files(lines), ENCODER, out)


def test_two_at_once(lines: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.parquet"

    class Second(Dying):
        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            with pytest.raises(ConfigError, match="found another divrec encode"):
                encode_files(files(lines), ENCODER, out)
            return super().encode(texts)

    assert encode_files(files(lines), Second(9), out).vectors == 48


def test_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n")
    with pytest.raises(ConfigError, match="expected texts, found none"):
        encode_files(files(empty), ENCODER, tmp_path / "v")
    with pytest.raises(ConfigError, match="expected a file at"):
        files(tmp_path / "none.txt")
    with pytest.raises(ConfigError, match="expected a file that divrec encode wrote"):
        read_vectors(empty)
