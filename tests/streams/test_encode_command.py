"""``divrec encode`` as a command, killed and called again."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from divrec.text.encode_files import read_vectors
from streams.cli import app


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "divrec.toml"
    path.write_text(f'[encoder]\nmodel = "ngrams-64"\ncache_dir = "{tmp_path}"\n')
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["encode", *map(str, arguments)])


def test_items(config: Path, tmp_path: Path) -> None:
    table, out = tmp_path / "items.csv", tmp_path / "vectors.parquet"
    table.write_text("sku,name\na,Kettle\nb,\nc,电热水壶\n")
    done = run(table, "--out", out, "--map", "item=sku,title=name", "--config", config)
    assert done.exit_code == 0, done.output
    assert f"2 vectors are in {out}" in done.stdout and "1 rows without a text left out" in done.output
    ids, vectors, model = read_vectors(out)
    assert (ids, vectors.shape, model) == (["a", "c"], (2, 64), "ngrams-64")
    other = tmp_path / "other.parquet"
    run(table, "--out", other, "--map", "item=sku,title=name", "--model", "ngrams-32", "--config", config)
    assert read_vectors(other)[2] == "ngrams-32"
    assert run(table, "--out", out, "--map", "item=sku,title=name", "--config", config).exit_code == 2


def test_killed(config: Path, tmp_path: Path) -> None:
    lines, out = tmp_path / "lines.txt", tmp_path / "vectors.parquet"
    lines.write_text("".join(f"text of the number {n} and {n * n}\n" for n in range(40_000)))
    begun = tmp_path / "vectors.parquet.partial" / "vectors.f32"
    process = subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "encode", str(lines), "--out", str(out), "--config", str(config)],
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (begun.exists() and begun.stat().st_size) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = run(lines, "--out", out, "--config", config)
    assert done.exit_code == 0, done.output
    assert "of an earlier run" in done.stdout
    assert read_vectors(out)[0] == [str(n) for n in range(40_000)]
