"""What every diversifier has to keep, ours and yours.

In a test of your own::

    from divrec.checks.diversifier import check_diversifier

    def test_my_diversifier():
        check_diversifier(my_diversifier)

    def test_my_diversifier_by_interests():
        check_diversifier(my_other_diversifier, of="categories")
"""

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

DIVERSITIES = (0.0, 0.3, 1.0)


Rows = Literal["vectors", "categories"]


class Diversifier(Protocol):
    """Relevance float32[n] and rows float32[n, d] to the positions of the slate, int[min(k, n)].

    Rows are vectors, zero for an item without one, or how much an item belongs to each category, not negative.
    ``diversity`` in [0, 1]: 0 = by relevance alone.
    """

    def __call__(
        self, relevance: NDArray[np.float32], rows: NDArray[np.float32], k: int, /, *, diversity: float
    ) -> NDArray[np.integer[Any]]: ...


def check_diversifier(diversify: Diversifier, *, of: Rows = "vectors") -> None:
    """Raises AssertionError, which says what is wrong with ``diversify``. Calls it about 300 times.

    What must hold: ``min(k, n)`` different positions, whatever n, k and the rows are; the same for the same input,
    which stays as it is, and for any memory layout; the relevance order at diversity 0, ties in theirs; items that
    are all the same in that order at any diversity; ValueError for what makes no sense, NaN and infinity included.
    """
    relevance, vectors = _candidates(40, 16, of)
    for n in (0, 1, 2, 40):
        for k in (0, 1, 10, n, n + 5):
            for diversity in DIVERSITIES:
                _slate(diversify, relevance[:n], vectors[:n], k, diversity)
    _check_relevance_order(diversify, relevance, vectors)
    _check_kinds_of_rows(diversify, relevance, vectors, of)
    _check_same_items(diversify, relevance, vectors)
    _check_kinds_of_arrays(diversify, relevance, vectors)
    _check_refusals(diversify, relevance, vectors, of)


def _check_relevance_order(
    diversify: Diversifier, relevance: NDArray[np.float32], vectors: NDArray[np.float32]
) -> None:
    order = np.random.default_rng(1).permutation(len(relevance))
    for what, values in {
        "falling relevance": relevance,
        "relevance in no order": relevance[order],
        "ties": np.round(relevance[order], 1),
        "equal relevance": np.full_like(relevance, 0.5),
        "zero relevance": np.zeros_like(relevance),
        "negative relevance": -relevance,
    }.items():
        expected = np.argsort(-values, kind="stable")[:10]
        found = _slate(diversify, values, vectors, 10, 0.0)
        _check(
            bool(np.array_equal(found, expected)),
            f"{what}: at diversity 0 expected the relevance order, ties in theirs: {expected}, got {found}",
        )


def _check_kinds_of_rows(
    diversify: Diversifier, relevance: NDArray[np.float32], vectors: NDArray[np.float32], of: Rows
) -> None:
    zero = np.zeros_like(vectors)
    some = vectors.copy()
    some[::3] = 0.0
    twice = np.repeat(vectors[:20], 2, axis=0)
    one = np.ones_like(vectors[:, :1])
    kinds = [zero, some, twice, one, np.ones_like(vectors), vectors[:, :0], 1e-30 * vectors, 1e30 * vectors]
    if of == "vectors":
        kinds += [-np.abs(vectors), -one, np.where(np.arange(len(one))[:, None] % 2, one, -one)]
    for diversity in DIVERSITIES:
        for kind in kinds:
            _slate(diversify, relevance, kind, 10, diversity)
            _slate(diversify, np.full_like(relevance, 0.5), kind, 10, diversity)
        for scale in (1e-30, 1e30):
            _slate(diversify, np.float32(scale) * relevance, vectors, 10, diversity)


def _check_same_items(diversify: Diversifier, relevance: NDArray[np.float32], vectors: NDArray[np.float32]) -> None:
    same = np.tile(vectors[:1], (len(vectors), 1))
    for diversity in DIVERSITIES:
        for what, values in {
            "falling relevance": relevance,
            "rising relevance": relevance[::-1].copy(),
            "equal relevance": np.full_like(relevance, 0.5),
        }.items():
            expected = np.argsort(-values, kind="stable")[:10]
            found = _slate(diversify, values, same, 10, diversity)
            _check(
                bool(np.array_equal(found, expected)),
                f"the same item {len(same)} times, {what}: at diversity {diversity} expected the relevance order, "
                f"{expected}, got {found}",
            )


def _check_kinds_of_arrays(
    diversify: Diversifier, relevance: NDArray[np.float32], vectors: NDArray[np.float32]
) -> None:
    expected = _slate(diversify, relevance, vectors, 10, 0.3)
    read_only = relevance.copy(), vectors.copy()
    for array in read_only:
        array.setflags(write=False)
    wide = np.zeros((len(vectors), 2 * vectors.shape[1]), np.float32)
    wide[:, ::2] = vectors
    spread = np.zeros(2 * len(relevance), np.float32)
    spread[::2] = relevance
    for what, r, v in (
        ("read-only arrays", *read_only),
        ("float64 arrays", relevance.astype(np.float64), vectors.astype(np.float64)),
        ("arrays with gaps", spread[::2], wide[:, ::2]),
        ("column-major vectors", relevance, np.asfortranarray(vectors)),
    ):
        found = _slate(diversify, r, v, 10, 0.3)
        _check(bool(np.array_equal(found, expected)), f"{what}: expected the same as else, {expected}, got {found}")


def _check_refusals(
    diversify: Diversifier, relevance: NDArray[np.float32], vectors: NDArray[np.float32], of: Rows
) -> None:
    for bad in (np.nan, np.inf, -np.inf):
        wrong_relevance, wrong_vectors = relevance.copy(), vectors.copy()
        wrong_relevance[3] = wrong_vectors[3, 2] = bad
        _refused(diversify, f"a relevance of {bad}", wrong_relevance, vectors, 10, 0.3)
        _refused(diversify, f"a vector with {bad}", relevance, wrong_vectors, 10, 0.3)
    if of == "categories":
        negative = vectors.copy()
        negative[3, 2] = -1.0
        _refused(diversify, "a negative category", relevance, negative, 10, 0.3)
    for diversity in (-0.1, 1.1, float("nan"), float("inf")):
        _refused(diversify, f"diversity {diversity}", relevance, vectors, 10, diversity)
    _refused(diversify, "k = -1", relevance, vectors, -1, 0.3)
    _refused(diversify, "more relevances than vectors", relevance, vectors[1:], 10, 0.3)
    _refused(diversify, "vectors[n]", relevance, vectors[:, 0], 10, 0.3)


def _candidates(n: int, d: int, of: Rows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Falling relevance in (0, 1], and unit vectors in a few clusters or one to three categories each."""
    random = np.random.default_rng(0)
    relevance = np.sort(random.uniform(0.01, 1.0, n))[::-1].astype(np.float32)
    if of == "categories":
        flags = np.zeros((n, d), np.float32)
        flags[np.arange(n)[:, None], random.integers(0, d, (n, 3))] = 1.0
        return relevance, flags
    vectors = random.normal(size=(4, d))[random.integers(0, 4, n)] + 0.3 * random.normal(size=(n, d))
    return relevance, (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _slate(diversify: Diversifier, relevance: Any, vectors: Any, k: int, diversity: float) -> NDArray[np.integer[Any]]:
    n = len(relevance)
    what = f"n = {n}, d = {vectors.shape[1]}, k = {k}, diversity = {diversity}"
    kept = relevance.copy(), vectors.copy()
    found = diversify(relevance, vectors, k, diversity=diversity)
    _check(
        isinstance(found, np.ndarray) and found.ndim == 1 and found.dtype.kind in "iu",
        f"{what}: expected a vector of integers, got {found!r}",
    )
    _check(len(found) == min(k, n), f"{what}: expected {min(k, n)} positions, got {len(found)}")
    _check(
        len(set(found.tolist())) == len(found) and all(0 <= at < n for at in found.tolist()),
        f"{what}: expected different positions in [0, {n}), got {found}",
    )
    _check(
        bool(np.array_equal(kept[0], relevance) and np.array_equal(kept[1], vectors)),
        f"{what}: the inputs were changed",
    )
    again = diversify(relevance, vectors, k, diversity=diversity)
    _check(bool(np.array_equal(found, again)), f"{what}: the second call gave {again}, the first {found}")
    return found


def _refused(diversify: Diversifier, what: str, relevance: Any, vectors: Any, k: int, diversity: float) -> None:
    try:
        found = diversify(relevance, vectors, k, diversity=diversity)
    except ValueError:
        return
    raise AssertionError(f"{what}: expected a ValueError, got {found}")


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
