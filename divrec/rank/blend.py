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
from divrec.retrieve.signals import WIDTH

Weights = npt.NDArray[np.float32]

LOG_1 = tuple(map(np.float32, (0.99989593, -0.49778002, 0.31714743, -0.1926264, 0.084421316, -0.017911086)))
"""log(1 + t) = t · (LOG_1[0] + LOG_1[1] t + …) for t in [0, 1], by least squares, to 2e-6."""
LOG_2 = np.float32(np.log(2))
SMALL = 0.05
ROWS = 8
LANES = ROWS * WIDTH
"""Signals that are worked on together: loops of this length become vector instructions, those over a row do not."""


@compiled_fast
def normalise(signals: Weights, allowed: npt.NDArray[np.bool_]) -> None:
    """Write z over ``signals`` float32[n, WIDTH]; items beyond ``allowed`` are cut off to its scale."""
    scale(signals, *scales(signals, allowed))


@compiled_fast
def scales(signals: Weights, allowed: npt.NDArray[np.bool_]) -> tuple[Weights, Weights]:
    """min x_s and 1 / (max x_s - min x_s) over what is allowed, float32[WIDTH]; 0 and 0 where all are equal.

    What is not allowed is given the signals of an item that is: then every row counts, and none has to be asked for.
    """
    low, factor = np.zeros(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
    first = 0
    while first < len(allowed) and not allowed[first]:
        first += 1
    if first == len(allowed):
        return low, factor
    for c in range(len(allowed)):
        if not allowed[c]:
            for s in range(WIDTH):
                signals[c, s] = signals[first, s]
    flat = signals[: len(allowed)].reshape(len(allowed) * WIDTH)
    least, most = tiled(signals[first]), tiled(signals[first])
    whole = len(flat) - len(flat) % LANES
    for begin in range(0, whole, LANES):
        tile = flat[begin : begin + LANES]
        for lane in range(LANES):
            least[lane] = tile[lane] if tile[lane] < least[lane] else least[lane]
            most[lane] = tile[lane] if tile[lane] > most[lane] else most[lane]
    for at in range(whole, len(flat)):
        least[at - whole] = min(least[at - whole], flat[at])
        most[at - whole] = max(most[at - whole], flat[at])
    for s in range(WIDTH):
        high = np.float32(0)
        low[s] = least[s]
        for lane in range(s, LANES, WIDTH):
            low[s] = min(low[s], least[lane])
            high = max(high, most[lane])
        if high - low[s] > np.float32(1e-30):  # a denormal has no reciprocal
            factor[s] = np.float32(1) / (high - low[s])
        else:
            low[s] = 0.0
    return low, factor


@compiled_fast
def scale(signals: Weights, low: Weights, factor: Weights) -> None:
    """Write z over ``signals`` float32[n, WIDTH]."""
    flat = signals.reshape(signals.size)
    lows, factors = tiled(low), tiled(factor)
    for begin in range(0, len(flat), LANES):
        tile = flat[begin : begin + LANES]
        for lane in range(len(tile)):
            z = (tile[lane] - lows[lane]) * factors[lane]
            z = z if z > np.float32(0) else np.float32(0)
            tile[lane] = z if z < np.float32(1) else np.float32(1)


@compiled_fast
def score(z: Weights, weights: Weights) -> Weights:
    """Scores float32[n] of z float32[n, WIDTH], by ``weights``: first those of z, then those of logarithms."""
    signals = len(weights) // 2
    plain, logarithmic = np.zeros(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
    plain[:signals], logarithmic[:signals] = weights[:signals], weights[signals:]
    plain, logarithmic = tiled(plain), tiled(logarithmic)
    flat, parts = z.reshape(z.size), np.empty(z.size, np.float32)
    logs(flat, parts)
    whole = len(flat) - len(flat) % LANES
    for begin in range(0, whole, LANES):
        for lane in range(LANES):
            at = begin + lane
            parts[at] = plain[lane] * flat[at] + logarithmic[lane] * parts[at]
    for at in range(whole, len(flat)):
        parts[at] = plain[at - whole] * flat[at] + logarithmic[at - whole] * parts[at]
    out = np.empty(len(z), np.float32)
    for c in range(len(z)):
        total = np.float32(0)
        for s in range(WIDTH):
            total += parts[c * WIDTH + s]
        out[c] = total
    return out


@compiled_fast
def tiled(row: Weights) -> Weights:
    """A row of signals, ``ROWS`` times."""
    out = np.empty(LANES, np.float32)
    for lane in range(LANES):
        out[lane] = row[lane % WIDTH]
    return out


@compiled_fast
def logs(z: Weights, out: Weights) -> None:
    """Write log(1 + z / 0.05) of z float32[n] into ``out``, to 2e-6.

    x = 2^e (1 + t) has the logarithm e log 2 + log(1 + t); the last by a polynomial, exact at 0 and 1. A call of the
    library for each signal of each candidate would cost more than all else.
    """
    bits = out.view(np.int32)
    for n in range(len(z)):
        out[n] = np.float32(1) + z[n] * np.float32(1 / SMALL)
    for n in range(len(z)):
        exponent = np.float32((bits[n] >> 23) - 127)
        bits[n] = (bits[n] & 0x7FFFFF) | 0x3F800000
        t = out[n] - np.float32(1)
        p = LOG_1[5]
        p = p * t + LOG_1[4]
        p = p * t + LOG_1[3]
        p = p * t + LOG_1[2]
        p = p * t + LOG_1[1]
        p = p * t + LOG_1[0]
        out[n] = exponent * LOG_2 + p * t


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
    """What each signal adds to the score of one item z float32[WIDTH], float32[signals]; 0 where it takes away."""
    signals = len(weights) // 2
    out = np.empty(WIDTH, np.float32)
    logs(z, out)
    for s in range(signals):
        out[s] = max(np.float32(0), weights[s] * z[s] + weights[signals + s] * out[s])
    return out[:signals]


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
