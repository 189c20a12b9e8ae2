"""Online matrix factorisation over items: a user is what the last liked items say.

    score(u, j) = b(j) + p(u) · q(j),   p(u) = Σ_n e^(-n/10) p(i_n) / √(Σ_n e^(-n/10))

over the last liked items i_0, i_1 … of u: p are the vectors of items that were liked, q of items that may come next
(NSVD, Paterek, 2007; FISM, Kabbur et al., 2013); b stands in q as its last number, where p(u) is 1. A user needs no
state, and whoever comes anew is known with the first like. Each like is learned against ``OTHERS`` random items: the
gradient of the logarithm of its softmax among them, of which BPR's pair is the smallest case, in AdaGrad steps with one
rate a row.

Replicas must agree to the bit: sums are taken in a fixed order, eight lanes at a time, and the exponential is our own.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from divrec.cf.item_item import QUERY_HISTORY, RECENCY
from divrec.cf.neighbours import Ids, Weights
from divrec.compiled import compiled, compiled_fast
from divrec.items import grown

DIMENSIONS = 32
BIAS = DIMENSIONS - 1
LANES = 8
OTHERS = 64
RUN = 8
"""Of the others so many stand side by side in memory: with a large catalogue most of the cost is getting there."""
RATE = np.float32(0.1)
BIAS_RATE = np.float32(0.05)
BEGIN = np.float32(0.17)
"""Vectors begin at random in a cube of twice this side: lengths are about 0.1 √d."""
STIFF = np.float32(1e-3)
"""AdaGrad's sums of squares begin here; those of biases at ten times as much."""
FADES: Weights = np.exp(-np.arange(QUERY_HISTORY) / RECENCY).astype(np.float32)

_MULTIPLIER = np.uint64(6_364_136_223_846_793_005)
_INCREMENT = np.uint64(1_442_695_040_888_963_407)


class Factors:
    """``past[item]`` is p, ``next[item]`` q, float32[items, ``DIMENSIONS``]; ``squares[item]`` are the sums of squared
    gradients of p, q and b."""

    def __init__(self) -> None:
        self.past: Weights = np.zeros((0, DIMENSIONS), np.float32)
        self.next: Weights = np.zeros((0, DIMENSIONS), np.float32)
        self.squares: Weights = np.zeros((0, 3), np.float32)

    def resize(self, capacity: int) -> None:
        self.past, self.next = grown(self.past, capacity), grown(self.next, capacity)
        self.squares = grown(self.squares, capacity)

    def enter(self, index: int, seed: int) -> None:
        """Begin the item at ``index`` anew, at random by ``seed`` alone."""
        begin(np.uint64(seed), self.past[index], self.next[index], self.squares[index])

    def clear(self, index: int) -> None:
        """``enter`` comes before the next use."""

    @property
    def nbytes(self) -> int:
        return self.past.nbytes + self.next.nbytes + self.squares.nbytes


@compiled
def begin(state: np.uint64, past: Weights, next_: Weights, squares: Weights) -> None:
    for vector in (past, next_):
        for a in range(DIMENSIONS):
            state = state * _MULTIPLIER + _INCREMENT
            vector[a] = BEGIN * (np.float32(np.int64(state >> np.uint64(40))) / np.float32(1 << 23) - np.float32(1))
    past[BIAS] = next_[BIAS] = 0
    squares[0] = squares[1] = STIFF
    squares[2] = 10 * STIFF


@compiled
def learn_factors(
    past: Weights,
    next_: Weights,
    squares: Weights,
    order: Ids,
    known: int,
    item: int,
    recent: npt.NDArray[np.int32],
    recent_liked: npt.NDArray[np.bool_],
    weight: np.float32,
    seed: np.uint64,
) -> None:
    """``item`` was liked after ``recent`` (newest first); others are drawn among the first ``known`` of ``order``."""
    user = np.zeros(DIMENSIONS, np.float32)
    scale = _user(past, recent, recent_liked, user)
    if scale == 0:
        return
    drawn = np.empty(OTHERS + 1, np.int32)
    drawn[0] = item
    state = seed * _MULTIPLIER + _INCREMENT
    for first in range(1, OTHERS + 1, RUN):
        state = state * _MULTIPLIER + _INCREMENT
        at: Any = np.int64(((state >> np.uint64(32)) * np.uint64(known)) >> np.uint64(32))
        for n in range(first, first + RUN):
            drawn[n] = order[at]
            at = at + 1 if at + 1 < known else 0
    odds = np.empty(OTHERS + 1, np.float32)
    highest = np.float32(-np.inf)
    for n in range(OTHERS + 1):
        odds[n] = _dot(user, next_[drawn[n]])
        highest = max(highest, odds[n])
    for n in range(OTHERS + 1):
        odds[n] -= highest
    _exponentials(odds)
    total = np.float32(0)
    for n in range(OTHERS + 1):
        total += odds[n]
    gradient = np.zeros(DIMENSIONS, np.float32)
    length = (_dot(user, user) - np.float32(1)) / np.float32(BIAS)
    for n in range(OTHERS + 1):
        other = drawn[n]
        if n > 0 and other == item:
            continue
        error = weight * ((np.float32(1) if n == 0 else np.float32(0)) - odds[n] / total)
        vector, sums = next_[other], squares[other]
        square = error * error
        sums[1] += square * length
        sums[2] += square
        step = RATE * error / np.sqrt(sums[1])
        bias = vector[BIAS] + BIAS_RATE * error / np.sqrt(sums[2])
        for a in range(DIMENSIONS):
            gradient[a] += error * vector[a]
            vector[a] += step * user[a]
        vector[BIAS] = bias
    gradient[BIAS] = 0
    length = _dot(gradient, gradient) / np.float32(BIAS)
    place = 0
    for q in range(len(recent)):
        if place == QUERY_HISTORY:
            break
        if not recent_liked[q]:
            continue
        share = FADES[place] * scale
        place += 1
        sums, vector = squares[recent[q]], past[recent[q]]
        sums[0] += share * share * length
        step = RATE * share / np.sqrt(sums[0])
        for a in range(DIMENSIONS):
            vector[a] += step * gradient[a]


@compiled
def _user(past: Weights, recent: Ids, liked: npt.NDArray[np.bool_], out: Weights) -> Any:
    """Write p(u) and a 1 into ``out``, which is zero; 1 / √Σ of it, 0 where nothing was liked."""
    total = np.float32(0)
    place = 0
    for q in range(len(recent)):
        if place == QUERY_HISTORY:
            break
        if not liked[q]:
            continue
        fade = FADES[place]
        place += 1
        if recent[q] < 0:
            continue
        total += fade
        vector = past[recent[q]]
        for a in range(DIMENSIONS):
            out[a] += fade * vector[a]
    if total == 0:
        return np.float32(0)
    scale = np.float32(1) / np.sqrt(total)
    for a in range(DIMENSIONS):
        out[a] *= scale
    out[BIAS] = 1
    return scale


@compiled
def _dot(a: Weights, b: Weights) -> Any:
    lanes = np.zeros(LANES, np.float32)
    for begin in range(0, DIMENSIONS, LANES):
        for lane in range(LANES):
            lanes[lane] += a[begin + lane] * b[begin + lane]
    return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]))


@compiled
def _exponentials(x: Weights) -> None:
    """e^x of x ≤ 0 in place, to 1e-4 of it: 2^n by the exponent's bits, the rest by a polynomial."""
    bits = x.view(np.int32)
    for n in range(len(x)):
        t = max(x[n], np.float32(-80)) * np.float32(1.4426950408889634)
        whole = np.int32(t) - np.int32(1)
        t -= np.float32(whole)  # in [0, 1]
        p = np.float32(0.07782313)
        p = p * t + np.float32(0.22586841)
        p = p * t + np.float32(0.69617211)
        p = p * t + np.float32(0.99986369)
        x[n] = p
        bits[n] += whole << 23


@compiled_fast
def scores(items: Ids, past: Weights, next_: Weights, history: Ids, liked: npt.NDArray[np.bool_]) -> Weights:
    """score(u, j) of each of ``items``; 0 where the user has liked nothing."""
    out = np.zeros(len(items), np.float32)
    user = np.zeros(DIMENSIONS, np.float32)
    if _user(past, history, liked, user) == 0:
        return out
    for n in range(len(items)):
        vector = next_[items[n]]
        for a in range(DIMENSIONS):
            out[n] += user[a] * vector[a]
    return out


@compiled
def nearest_past(past: Weights, next_: Weights, history: Ids, liked: npt.NDArray[np.bool_], item: int) -> int:
    """The liked item of the history that says most for ``item``, -1 if there is none."""
    best, most, place = -1, np.float32(0), 0
    for q in range(len(history)):
        if place == QUERY_HISTORY:
            break
        if not liked[q]:
            continue
        place += 1
        if history[q] < 0 or history[q] == item:
            continue
        says = FADES[place - 1] * _dot(past[history[q]], next_[item])
        if best < 0 or says > most:
            best, most = history[q], says
    return best
