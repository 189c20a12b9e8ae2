"""The blend: one relevance from all signals.

    score(c) = Σ_s w_s · z_s(c) + v_s · log(1 + z_s(c) / 0.05),   z_s(c) = (x_s(c) - min x_s) / (max x_s - min x_s)

over the candidates of one recommendation that may be shown; a signal that is equal for all counts 0. The weights w
and v are learned (``weights``) so that exp(score) is in proportion to the odds of being chosen. The relevance is

    relevance(c) = exp((score(c) - max score) / 2),   in (0, 1],

the square root of the odds against the best candidate.
"""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled, compiled_fast
from divrec.retrieve.signals import SIGNALS

Weights = npt.NDArray[np.float32]

SMALL = 0.05
GRAIN = 4_096
LOGS: Weights = np.log1p(np.arange(GRAIN + 1) / GRAIN / SMALL).astype(np.float32)
"""log(1 + z / 0.05) at z · GRAIN: a logarithm for each signal of each candidate would cost more than all else."""


@compiled_fast
def normalise(signals: Weights, allowed: npt.NDArray[np.bool_]) -> None:
    """Write z over ``signals`` float32[n, s]; items beyond ``allowed`` are cut off to its scale."""
    scale(signals, *scales(signals, allowed))


@compiled_fast
def scales(signals: Weights, allowed: npt.NDArray[np.bool_]) -> tuple[Weights, Weights]:
    """min x_s and 1 / (max x_s - min x_s) over what is allowed, float32[s]; 0 and 0 where all are equal."""
    low = np.full(len(SIGNALS), np.float32(np.inf))
    high = np.full(len(SIGNALS), np.float32(-np.inf))
    for c in range(len(allowed)):
        if allowed[c]:
            for s in range(len(SIGNALS)):
                low[s] = min(low[s], signals[c, s])
                high[s] = max(high[s], signals[c, s])
    factor = np.zeros(len(SIGNALS), np.float32)
    for s in range(len(SIGNALS)):
        if high[s] > low[s] and high[s] - low[s] > np.float32(1e-30):  # a denormal has no reciprocal
            factor[s] = np.float32(1) / (high[s] - low[s])
        else:
            low[s] = 0.0
    return low, factor


@compiled_fast
def scale(signals: Weights, low: Weights, factor: Weights) -> None:
    """Write z over ``signals``."""
    for c in range(len(signals)):
        for s in range(len(SIGNALS)):
            signals[c, s] = min(np.float32(1), max(np.float32(0), (signals[c, s] - low[s]) * factor[s]))


@compiled_fast
def score(z: Weights, weights: Weights) -> Weights:
    """Scores float32[n] of z float32[n, s], by ``weights`` float32[2 s]: first those of z, then those of logarithms."""
    out = np.empty(len(z), np.float32)
    for c in range(len(z)):
        total = np.float32(0)
        for s in range(len(SIGNALS)):
            total += weights[s] * z[c, s] + weights[len(SIGNALS) + s] * LOGS[int(z[c, s] * GRAIN)]
        out[c] = total
    return out


@compiled
def relevance_of(scores: Weights, allowed: npt.NDArray[np.bool_]) -> Weights:
    """Relevance float32[n]; -1 for what is not allowed."""
    highest = np.float32(-np.inf)
    for c in range(len(scores)):
        if allowed[c]:
            highest = max(highest, scores[c])
    out = np.empty(len(scores), np.float32)
    for c in range(len(scores)):
        out[c] = np.exp((scores[c] - highest) * np.float32(0.5)) if allowed[c] else np.float32(-1)
    return out


@compiled
def parts(z: Weights, weights: Weights) -> Weights:
    """What each signal adds to the score of one item, float32[s]; 0 where it takes away."""
    out = np.zeros(len(SIGNALS), np.float32)
    for s in range(len(SIGNALS)):
        out[s] = max(np.float32(0), weights[s] * z[s] + weights[len(SIGNALS) + s] * LOGS[int(z[s] * GRAIN)])
    return out


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
