"""numba's njit with types kept: ``compiled`` for state that replicas share, ``compiled_fast`` for scores.

Machine code is cached beside the sources (or in ``NUMBA_CACHE_DIR``), so that only the first start compiles. It runs
without the interpreter's lock: the event loop goes on while a thread computes.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile with exact floating-point semantics: the same result on every replica."""
    # Not set, it would be that of whichever caller compiles first.
    return cast(F, njit(cache=True, nogil=True, fastmath=False)(function))


def compiled_fast(function: F) -> F:
    """Compile with sums in any order (vectorised); NaN and infinity stay what they are."""
    return cast(F, njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz", "arcp"})(function))
