"""The import arrows: streams → divrec, never back; heavy and network packages stay where they belong."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARY = sorted((ROOT / "divrec").rglob("*.py"))
STREAMS = sorted((ROOT / "streams").rglob("*.py"))


def imported(file: Path) -> Iterator[str]:
    """Everything that ``file`` imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield node.module or ""


def packages(file: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(file)}


def within(file: Path, *places: str) -> bool:
    path = file.relative_to(ROOT).as_posix()
    return any(path == place or path.startswith(place) for place in places)


@pytest.mark.parametrize("file", LIBRARY, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_library(file: Path) -> None:
    used = packages(file)
    assert not used & {"streams", "faust", "mode", "aiokafka", "aiohttp", "tests"}
    if not within(file, "divrec/state/redis.py"):
        assert "redis" not in used
    if not within(file, "divrec/text/", "divrec/training/", "divrec/image/"):
        assert not used & {"torch", "transformers", "safetensors", "tokenizers", "huggingface_hub"}
    if not within(file, "divrec/interest/", "divrec/cf/", "divrec/rank/", "divrec/text/", "divrec/estimators.py"):
        assert "river" not in used
    if within(file, "divrec/diversify/", "divrec/metrics/"):
        assert used <= {"numpy", "numba", "divrec", "collections", "typing"}
        assert {name for name in imported(file) if name.startswith("divrec")} <= {
            "divrec.compiled",
            *(name for name in imported(file) if name.startswith(("divrec.diversify", "divrec.metrics"))),
        }


@pytest.mark.parametrize("file", STREAMS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_streams(file: Path) -> None:
    assert not packages(file) & {"torch", "transformers", "tests", "river"}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("divrec.engine", ["torch", "transformers", "faust", "aiokafka", "redis"]),
        ("divrec.text.encoder", ["torch", "transformers", "faust", "aiokafka", "redis"]),
        ("streams.cli", ["torch", "transformers", "faust", "numba"]),
        ("streams.recommend", ["torch", "transformers"]),
    ],
)
def test_what_loading_a_module_loads(module: str, unwanted: list[str]) -> None:
    code = f"import sys, {module}; print([name for name in {unwanted!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
