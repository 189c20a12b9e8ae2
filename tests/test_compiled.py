"""Exact functions stay exact, whoever calls and so compiles them first; cached code is that of the sources."""

import os
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

import divrec
from divrec.compiled import compiled, compiled_fast


@compiled
def rounded(value: float) -> float:
    return float(np.rint(value * 1e5) / 1e5)


@compiled_fast
def through_a_fast_one(value: float) -> float:
    return rounded(value)


def test_fast_math_is_not_inherited() -> None:
    """With it, a division by a constant would become a product, whose last digit differs."""
    assert through_a_fast_one(0.193548) == rounded(0.193548) == 0.19355


INNER = """
from divrec.compiled import compiled
from divrec.constant import VALUE

@compiled
def inner():
    return 1 * VALUE
"""
OUTER = """
from divrec.compiled import compiled
from divrec.inner import inner

@compiled
def outer():
    return inner()
"""
ASK = "from divrec.outer import outer; print(outer(), sum(outer.stats.cache_hits.values()))"


class Installed:
    """A package of a few modules, as an upgrade replaces them: ``outer`` calls ``inner``, which takes a constant."""

    def __init__(self, root: Path) -> None:
        self.root, self.home = root / "site", root / "home"
        self.package = self.root / "divrec"
        self.package.mkdir(parents=True)
        self.home.mkdir()
        source = Path(next(iter(divrec.__path__))) / "compiled.py"
        shutil.copy(source, self.package)
        for name, text in (("__init__", ""), ("inner", INNER), ("outer", OUTER), ("constant", "VALUE = 7\n")):
            self.put(name, text)

    def put(self, name: str, text: str) -> None:
        (self.package / f"{name}.py").write_text(text)

    def ask(self, **environment: str) -> list[str]:
        """What ``outer`` returns in a process of its own, and how often its code came from the cache."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "XDG_"))}
        kept |= {"PYTHONPATH": str(self.root), "HOME": str(self.home), "PYTHONDONTWRITEBYTECODE": "1"} | environment
        done = subprocess.run([sys.executable, "-c", ASK], env=kept, capture_output=True, text=True, cwd=self.home)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()


def test_code_of_before_an_upgrade_is_not_used(tmp_path: Path) -> None:
    """In a directory that outlives the version that filled it, as in the image."""
    installed, own = Installed(tmp_path), str(tmp_path / "own")
    assert installed.ask(NUMBA_CACHE_DIR=own) == ["7", "0"]
    installed.put("inner", INNER.replace("1 *", "2 *"))
    assert installed.ask(NUMBA_CACHE_DIR=own) == ["14", "0"], "the outer file is the same, but the inner one is in it"
    installed.put("unrelated", "VALUE = 9\n")
    assert installed.ask(NUMBA_CACHE_DIR=own) == ["14", "1"]


def test_an_installation_that_cannot_be_written(tmp_path: Path) -> None:
    """The cache goes to the user's directory, and if there is none either, every start compiles."""
    installed = Installed(tmp_path)
    (installed.package / "__pycache__").write_text("a file in its place: even root cannot write there")
    assert installed.ask() == ["7", "0"] and list((installed.home / ".cache" / "numba").rglob("*.nbc"))
    installed.put("constant", "VALUE = 8\n")
    assert installed.ask() == ["8", "0"]
    nowhere = tmp_path / "a file"
    nowhere.touch()
    assert installed.ask(XDG_CACHE_HOME=str(nowhere)) == ["8", "0"]


@pytest.mark.parametrize("file", ["slate", "diversify/mmr"])
def test_a_stamp_changes_with_all_that_is_imported(file: str, tmp_path: Path) -> None:
    package = tmp_path / "divrec"
    shutil.copytree(next(iter(divrec.__path__)), package, ignore=shutil.ignore_patterns("__pycache__", "demo"))

    def stamp() -> str:
        spec = spec_from_file_location("compiled_here", package / "compiled.py")
        assert spec is not None and spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return str(module.stamp(package / f"{file}.py"))

    listing = (
        "print(*(getattr(module, '__file__', '') for name, module in sys.modules.items() if name[:7] == 'divrec.'))"
    )
    code = f"import sys, divrec.{file.replace('/', '.')}; {listing}"
    used = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    imported = {Path(source).relative_to(next(iter(divrec.__path__))) for source in used if "__init__" not in source}
    before, found = stamp(), set()
    for source in sorted(package.rglob("*.py")):
        source.write_text(source.read_text() + "\n# another version\n")
        if stamp() != before:
            found.add(source.relative_to(package))
        before = stamp()
    assert found >= imported > {Path(f"{file}.py")}
    assert not [source for source in found if source.parts[0] in ("evaluate", "explain", "training", "data")]
