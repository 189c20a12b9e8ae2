"""numba's njit with types kept: ``compiled`` for state that replicas share, ``compiled_fast`` for scores.

Machine code is cached beside the sources, in ``NUMBA_CACHE_DIR`` or in the user's cache directory, whichever is set or
can be written first, so that only the first start compiles. It runs without the interpreter's lock: the event loop goes
on while a thread computes.

numba itself takes cached code for fresh as long as the file of the function is unchanged. But code and constants of
other files are compiled into it, and replicas of one version must not differ: here all of divrec that the file imports
has to be unchanged, and numpy's version.
"""

import re
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

PACKAGE = Path(__file__).parent
IMPORT = re.compile(rb"^\s*(?:from|import)\s+divrec([\w.]*)", re.MULTILINE)


def compiled(function: F) -> F:
    """Compile with exact floating-point semantics: the same result on every replica."""
    # Not set, it would be that of whichever caller compiles first.
    return cast(F, _cached(njit(nogil=True, fastmath=False)(function)))


def compiled_fast(function: F) -> F:
    """Compile with sums in any order (vectorised); NaN and infinity stay what they are."""
    return cast(F, _cached(njit(nogil=True, fastmath={"reassoc", "contract", "nsz", "arcp"})(function)))


def _cached(dispatcher: Any) -> Any:
    try:
        dispatcher.enable_caching()
    except RuntimeError:  # no directory can be written: every start compiles
        return dispatcher
    file = Path(dispatcher.py_func.__code__.co_filename)
    if file.is_file():
        # numba has no public way to say what the code depends on.
        dispatcher._cache._cache_file._source_stamp = stamp(file)
    return dispatcher


@cache
def stamp(file: Path) -> str:
    """Hash of ``file``, of all of divrec that it imports, and numpy's version."""
    seen: set[Path] = set()
    ahead = {file}
    while ahead:
        source = ahead.pop()
        seen.add(source)
        ahead |= _imported(source) - seen
    whole = blake2b(np.__version__.encode(), digest_size=16)
    for source in sorted(seen):
        whole.update(b"\0" + source.read_bytes())
    return whole.hexdigest()


@cache
def _imported(file: Path) -> set[Path]:
    """The files of divrec that ``file`` imports: of a package all, for its name may stand before any of them."""
    found: set[Path] = set()
    for name in IMPORT.findall(file.read_bytes()):
        place = PACKAGE.joinpath(*name.decode().split(".")[1:])
        found |= {place.with_suffix(".py")} if place.with_suffix(".py").is_file() else set(place.rglob("*.py"))
    return found
