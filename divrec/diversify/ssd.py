"""Sliding spectrum decomposition (Huang, Wang, Peng & Wang, KDD 2021), its stabilised form, equation 12.

Picks, one after the other, the item with the highest

    (1 - diversity) · z(i) + diversity · |v_i minus its projections on the window|,   z = (r - mean r) / deviation of r

The window are the last ``window`` items, picked or shown before (``recent``), made orthogonal; vectors have unit
length and one more component, 1, as in section 5.3 of the paper. ``diversity`` 0 is the relevance order.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.diversify.candidates import Floats, Positions, accepted, ahead, as_floats, first, product, standard, unit

EPSILON = np.finfo(np.float32).eps
DEPENDENT = np.float32(1e-5)
"""Less than this squared length outside the window is none."""


def ssd(
    relevance: Floats,
    vectors: Floats,
    k: int,
    *,
    diversity: float,
    recent: npt.NDArray[Any] | None = None,
    window: int | None = None,
) -> Positions:
    """Positions of the slate in the order of picking: int32[min(k, n)].

    ``relevance`` is float32[n], ``vectors`` float32[n, d] of any length, ``recent`` float32[m, d] what the user was
    shown before, oldest first; without it the first pick is the most relevant item. ``window`` is at least 1, by
    default everything. Ties go to the more relevant, then to the first. The picks are those of pyversity's ``ssd``.
    Raises ValueError for a ``diversity`` outside [0, 1], a negative ``k``, a ``window`` below 1, shapes that do not
    fit, or values that are not finite.
    """
    relevance, vectors = accepted(relevance, vectors, k, diversity)
    shown = vectors[:0] if recent is None or not len(recent) else as_floats(recent)
    if shown.ndim != 2 or shown.shape[1] != vectors.shape[1]:
        raise ValueError(f"expected recent[m, {vectors.shape[1]}], got shape {shown.shape}")
    if window is not None and window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    if window is not None:
        shown = shown[-window:]
    whole = len(shown) + min(k, len(relevance))
    size = whole if window is None else min(window, whole)
    return _ssd(relevance, vectors, shown, k, np.float32(diversity), size)


@compiled
def _ssd(relevance: Floats, vectors: Floats, recent: Floats, k: int, diversity: np.float32, size: int) -> Positions:
    n, d = vectors.shape
    k = min(k, n)
    standing = standard(relevance)
    vectors, inverse = unit(vectors)
    recent, recent_inverse = unit(recent)
    share = np.float32(1.0 - diversity)
    shown = len(recent) if diversity > 0 else 0
    left = np.empty(n, np.float32)  # squared length outside the window
    value = np.empty(n, np.float32)
    for i in range(n):
        left[i] = 2.0 if inverse[i] > 0 else 1.0
        value[i] = share * standing[i] + diversity * np.sqrt(left[i]) if diversity > 0 else relevance[i]
    basis = np.zeros((size, d + 1), np.float32)
    squares = np.zeros(size, np.float32)
    parts = np.zeros((n, size), np.float32)
    known = np.zeros(n, np.int32)
    free = np.ones(n, np.bool_)
    picked = np.empty(k, np.int32)
    slides = size < shown + k
    new = np.empty((1, d + 1), np.float32)
    for pushed in range(shown + k):
        position = pushed - shown
        if position >= 0:
            start = first(value, free, relevance) if pushed > 0 else first(relevance, free, relevance)
            best = -1
            best_value = np.float32(0)
            for at in range(-1, n):
                i = start if at < 0 else at
                if pushed == 0 or diversity == 0:
                    best = start
                    break
                if not free[i] or (best >= 0 and not slides and value[i] < best_value):
                    continue
                if known[i] < pushed:
                    for before in range(max(known[i], pushed - size), pushed):
                        slot = before % size
                        inner = product(vectors, i, basis, slot, d) * inverse[i] + basis[slot, d]
                        left[i] += parts[i, slot]
                        parts[i, slot] = inner * inner / (squares[slot] + EPSILON)
                        left[i] -= parts[i, slot]
                    known[i] = pushed
                    novel = np.sqrt(left[i]) if left[i] > DEPENDENT else np.float32(0)
                    value[i] = share * standing[i] + diversity * novel
                if ahead(value[i], i, best_value, best, relevance):
                    best = i
                    best_value = value[i]
            picked[position] = best
            free[best] = False
            if diversity == 0:
                continue
            for a in range(d):
                new[0, a] = vectors[best, a] * inverse[best]
        else:
            for a in range(d):
                new[0, a] = recent[pushed, a] * recent_inverse[pushed]
        new[0, d] = 1.0
        for before in range(max(0, pushed - size), pushed):
            slot = before % size
            inner = product(basis, slot, new, 0, d + 1) / (squares[slot] + EPSILON)
            for a in range(d + 1):
                new[0, a] -= inner * basis[slot, a]
        slot = pushed % size
        squares[slot] = product(new, 0, new, 0, d + 1)
        basis[slot] = new[0]
    return picked
