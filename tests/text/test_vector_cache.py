"""Vectors on disk: equal with and without, bounded, shared, and never in the way."""

import logging
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from counting_encoder import CountingEncoder
from numpy.typing import NDArray

from divrec.checks.encoder import check_encoder
from divrec.text.cache import CachedEncoder
from divrec.text.encoder import Encoder

MEGABYTE = 1_000_000
DAY = 86_400.0


def test_equal_with_and_without_the_file(encoder: Encoder, tmp_path: Path) -> None:
    texts = ["这部电影太好看了", "This film is wonderful", "", "This film is wonderful"]
    first = CachedEncoder(encoder, tmp_path / "vectors.sqlite", MEGABYTE)
    fresh = first.encode(texts)
    assert (first.hits, first.misses) == (0, 3)
    second = CachedEncoder(encoder, tmp_path / "vectors.sqlite", MEGABYTE)
    np.testing.assert_array_equal(second.encode(texts), fresh)
    assert (second.hits, second.misses) == (3, 0)
    np.testing.assert_allclose(fresh, encoder.encode(texts), atol=1e-3)


def test_keeps_the_contract(counting: CountingEncoder, tmp_path: Path) -> None:
    cached = CachedEncoder(counting, tmp_path / "new" / "vectors.sqlite", MEGABYTE)
    check_encoder(cached)
    check_encoder(cached)
    assert isinstance(cached, Encoder)


def test_each_distinct_text_is_encoded_once(counting: CountingEncoder, tmp_path: Path) -> None:
    cached = CachedEncoder(counting, tmp_path / "v", MEGABYTE)
    vectors = cached.encode(["a", "b", "a", "a"])
    assert counting.asked == ["a", "b"]
    np.testing.assert_array_equal(vectors[0], vectors[3])
    cached.encode(["b", "c"])
    assert counting.asked == ["a", "b", "c"]
    assert cached.encode([]).shape == (0, 16)


def test_lookup_asks_the_file_only(counting: CountingEncoder, tmp_path: Path) -> None:
    cached = CachedEncoder(counting, tmp_path / "v", MEGABYTE)
    vectors = cached.encode(["a", "b"])
    counting.asked.clear()
    known = cached.lookup(["b", "new", "a", "b"])
    assert known[1] is None and counting.asked == []
    for found, row in ((known[0], 1), (known[2], 0), (known[3], 1)):
        assert found is not None
        np.testing.assert_array_equal(found, vectors[row])
    assert (cached.hits, cached.misses) == (2, 2)


def test_models_do_not_share_vectors(tmp_path: Path, counting: CountingEncoder) -> None:
    cached = CachedEncoder(counting, tmp_path / "v", MEGABYTE)
    cached.encode(["a"])
    other = CountingEncoder("other")
    assert CachedEncoder(other, tmp_path / "v", MEGABYTE).lookup(["a"]) == [None]


def test_bounded_and_the_longest_unused_leaves_first(tmp_path: Path) -> None:
    now, bound = [0.0], 3 * MEGABYTE
    path = tmp_path / "v"
    cached = CachedEncoder(CountingEncoder("wide", 384), path, bound, clock=lambda: now[0])
    used, unused = [f"used {i}" for i in range(200)], [f"unused {i}" for i in range(800)]
    cached.encode(used + unused)
    now[0] += DAY
    cached.lookup(used)
    left = []
    for block in range(10):
        cached.encode([f"new {block} {i}" for i in range(500)])
        assert path.stat().st_size <= 1.3 * bound
        with closing(sqlite3.connect(path)) as database:
            query = "SELECT sum(used = 0), sum(used = 1) FROM vectors"
            left.append(tuple(value or 0 for value in database.execute(query).fetchone()))
    assert left[0] == (800, 700) and left[-1][0] == 0 and 2_000 < left[-1][1] < bound / 768
    assert any(0 < old < 800 for old, _ in left)  # the unused ones went, some at a time
    cached.encode(["last"])
    assert cached.lookup(["last"])[0] is not None and cached.lookup(used[:1]) == [None]


def test_use_is_noted_once_a_day(tmp_path: Path, counting: CountingEncoder) -> None:
    now = [0.0]
    cached = CachedEncoder(counting, tmp_path / "v", MEGABYTE, clock=lambda: now[0])
    cached.encode(["kept", "lost"])

    def days() -> list[int]:
        with sqlite3.connect(tmp_path / "v") as database:
            return [day for (day,) in database.execute("SELECT used FROM vectors ORDER BY used")]

    now[0] = 0.9 * DAY
    cached.lookup(["kept"])
    assert days() == [0, 0]
    now[0] = 1.1 * DAY
    cached.lookup(["kept"])
    assert days() == [0, 1]


def test_a_bound_below_one_vector(tmp_path: Path, counting: CountingEncoder) -> None:
    cached = CachedEncoder(counting, tmp_path / "v", 1)
    np.testing.assert_array_equal(cached.encode(["a"]), cached.encode(["a"]))


@pytest.mark.parametrize("damage", ["text", "cut", "blob", "layout"])
def test_damaged_file_is_moved_aside(
    damage: str, tmp_path: Path, counting: CountingEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "v"
    texts = [f"text {i}" for i in range(200)]
    cached = CachedEncoder(counting, path, MEGABYTE)
    vectors = cached.encode(texts)
    cached.close()
    if damage == "text":
        path.write_text("no database at all " * 1_000)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:6_000])
    else:
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version = 9" if damage == "layout" else "UPDATE vectors SET vector = x'00'")
        database.close()
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(cached.encode(texts), vectors)
    assert "moved to" in caplog.text and (tmp_path / "v.damaged").exists()
    counting.asked.clear()
    np.testing.assert_array_equal(cached.encode(texts), vectors)
    assert counting.asked == []


def test_damaged_file_in_use_elsewhere_stays(
    tmp_path: Path, counting: CountingEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "v"
    ours, theirs = (CachedEncoder(counting, path, MEGABYTE) for _ in range(2))
    theirs.encode(["a"])
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 9")
    with caplog.at_level(logging.WARNING):
        ours.encode(["a"])
        ours.encode(["a"])
    assert caplog.text.count("in use elsewhere") == 1 and not (tmp_path / "v.damaged").exists()
    theirs.close()
    ours.encode(["a"])
    assert (tmp_path / "v.damaged").exists()
    assert theirs.lookup(["a"])[0] is not None


def test_encoding_goes_on_without_the_disk(
    tmp_path: Path, counting: CountingEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "occupied").write_text("a file")
    cached = CachedEncoder(counting, tmp_path / "occupied" / "v", MEGABYTE)
    for _ in range(2):
        assert cached.encode(["a"]).shape == (1, 16)
    assert cached.misses == 2 and caplog.text.count("texts are encoded without it") == 1


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from counting_encoder import CountingEncoder
from divrec.text.cache import CachedEncoder
cached = CachedEncoder(CountingEncoder(), Path(sys.argv[1]), 1_000_000)
for start in range(0, 2_000, 20):
    cached.encode([f"text {i}" for i in range(start, start + 20)])
print(cached.hits, cached.misses)
"""


def test_two_processes_share_the_file(tmp_path: Path, counting: CountingEncoder) -> None:
    path = tmp_path / "v"
    command = [sys.executable, "-c", WRITER, str(path), str(Path(__file__).parent)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60) for process in started]
    assert [errors for _, errors in said] == ["", ""]
    assert all(sum(map(int, out.split())) == 2_000 for out, _ in said)
    cached = CachedEncoder(counting, path, MEGABYTE)
    texts = [f"text {i}" for i in range(2_000)]
    assert all(vector is not None for vector in cached.lookup(texts))


def test_threads_share_one_encoder(tmp_path: Path, counting: CountingEncoder) -> None:
    cached = CachedEncoder(counting, tmp_path / "v", MEGABYTE)
    results: list[NDArray[np.float32]] = []

    def work(texts: Sequence[str]) -> None:
        for _ in range(20):
            results.append(cached.encode(texts))

    texts = [f"text {i}" for i in range(50)]
    threads = [threading.Thread(target=work, args=(texts,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 80
    for result in results:
        np.testing.assert_array_equal(result, results[0])
