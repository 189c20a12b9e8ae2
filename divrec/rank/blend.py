"""The blend: one relevance from all signals.

    relevance(c) = Σ_s w_s · z_s(c) / Σ_s w_s,   z_s(c) = (x_s(c) - min x_s) / (max x_s - min x_s)

over the candidates of one recommendation; a signal that is equal for all counts 0. Relevance is in [0, 1].
"""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.retrieve.candidates import SIGNALS

Weights = npt.NDArray[np.float32]

# In the order of SIGNALS: item_neighbour, transition, content, popular_now, fresh.
FIXED_WEIGHTS: Weights = np.array([1.0, 1.0, 0.4, 0.6, 0.1], np.float32)
assert len(FIXED_WEIGHTS) == len(SIGNALS)


@compiled
def blend(signals: Weights, allowed: npt.NDArray[np.bool_], weights: Weights) -> tuple[Weights, Weights]:
    """Parts of the relevance, float32[n, s], and their sums, float32[n]; -1 for what is not allowed."""
    n, sources = signals.shape
    parts = np.zeros((n, sources), np.float32)
    relevance = np.empty(n, np.float32)
    for c in range(n):
        relevance[c] = np.float32(0) if allowed[c] else np.float32(-1)
    total = np.float32(0)
    for s in range(sources):
        total += weights[s]
    for s in range(sources):
        low = np.float32(np.inf)
        high = np.float32(-np.inf)
        for c in range(n):
            if allowed[c]:
                low = min(low, signals[c, s])
                high = max(high, signals[c, s])
        if not high > low:
            continue
        scale = weights[s] / (total * (high - low))
        for c in range(n):
            if allowed[c]:
                parts[c, s] = (signals[c, s] - low) * scale
                relevance[c] += parts[c, s]
    return parts, relevance


@compiled
def top(relevance: Weights, count: int) -> npt.NDArray[np.int32]:
    """Positions of the ``count`` highest relevances that are not negative, best first, ties in their order."""
    heap = np.empty(count, np.int32)  # a min-heap by (relevance, -position): the worst kept is at the root
    held = 0
    for c in range(len(relevance)):
        if relevance[c] < 0:
            continue
        if held < count:
            at = held
            held += 1
            while at > 0:
                up = (at - 1) // 2
                if _worse(relevance, c, heap[up]):
                    heap[at] = heap[up]
                    at = up
                else:
                    break
            heap[at] = c
        elif count > 0 and _worse(relevance, heap[0], c):
            _sift(relevance, heap, held, c)
    ordered = np.empty(held, np.int32)
    for n in range(held - 1, -1, -1):
        ordered[n] = heap[0]
        _sift(relevance, heap, n, heap[n])
    return ordered


@compiled
def _worse(relevance: Weights, a: int, b: int) -> bool:
    return relevance[a] < relevance[b] or (relevance[a] == relevance[b] and a > b)


@compiled
def _sift(relevance: Weights, heap: npt.NDArray[np.int32], held: int, c: int) -> None:
    """Put ``c`` in place of the root of ``heap[:held]``."""
    at = 0
    while True:
        down = 2 * at + 1
        if down >= held:
            break
        if down + 1 < held and _worse(relevance, heap[down + 1], heap[down]):
            down += 1
        if _worse(relevance, heap[down], c):
            heap[at] = heap[down]
            at = down
        else:
            break
    heap[at] = c
