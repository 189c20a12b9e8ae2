"""What the blend learns from one choice.

The user turned to an item and liked it. Among it and ``OTHERS`` random items that could have been shown, let p be the
probability exp(score) / Σ exp(score) that the blend gave each. The gradient of log p(chosen) with respect to the
weights, times p(chosen)^0.4: what nobody could have foreseen teaches less (Zhang & Sabuncu, 2018).
"""

import numpy as np
import numpy.typing as npt

from divrec.asks import Asks, Ids
from divrec.catalog import CatalogArrays
from divrec.compiled import compiled
from divrec.model import ModelArrays
from divrec.rank.blend import Weights, logs, scale, scales, score
from divrec.retrieve.candidates import EXTRA, Candidates, candidates, describe, release, shown
from divrec.retrieve.signals import SIGNALS, WIDTH

OTHERS = 100
assert OTHERS < EXTRA
TRIES = 2 * OTHERS
LIKELY = 0.4

_MULTIPLIER = np.uint64(6_364_136_223_846_793_005)
_INCREMENT = np.uint64(1_442_695_040_888_963_407)


@compiled
def lessons(
    asks: Asks,
    begin: int,
    end: int,
    chosen: Ids,
    seeds: npt.NDArray[np.uint64],
    space: Candidates,
    fresh_ms: float,
    weights: Weights,
    model: ModelArrays,
    catalog: CatalogArrays,
    fingerprints: npt.NDArray[np.uint32],
    gradients: npt.NDArray[np.float64],
) -> None:
    """Add to ``gradients`` float64[asks, FEATURES] of the asks from ``begin`` on, before ``end``, whose users then
    turned to the item in ``chosen``.

    ``weights`` are those of all contexts. Nothing is added where the item could not have been shown, or nothing else.
    """
    for n in range(begin, end):
        others = _others(asks, n, chosen[n], seeds[n], model, catalog, fingerprints)
        if len(others) == 0 or not shown(asks, n, chosen[n : n + 1], catalog, fingerprints)[0]:
            continue
        count, may = candidates(asks, n, space, fresh_ms, model, catalog, fingerprints)
        places = describe(asks, n, space, np.append(chosen[n : n + 1], others), model, catalog, count)
        held = max(count, places.max() + 1)
        release(space, held)
        low, factor = scales(space.signals, may)
        z = np.empty((len(places), WIDTH), np.float32)
        for i in range(len(places)):
            z[i] = space.signals[places[i]]
        scale(z, low, factor)
        odds = score(z, weights[asks.contexts[n]])
        odds = np.exp(odds - odds.max())
        odds /= odds.sum()
        strength = odds[0] ** np.float32(LIKELY)
        logarithms = np.empty(z.size, np.float32)
        logs(z.reshape(z.size), logarithms)
        for i in range(len(places)):
            error = strength * ((np.float32(1) if i == 0 else np.float32(0)) - odds[i])
            for s in range(len(SIGNALS)):
                gradients[n, s] += error * z[i, s]
                gradients[n, len(SIGNALS) + s] += error * logarithms[i * WIDTH + s]


@compiled
def _others(
    asks: Asks,
    n: int,
    chosen: int,
    seed: np.uint64,
    model: ModelArrays,
    catalog: CatalogArrays,
    fingerprints: npt.NDArray[np.uint32],
) -> npt.NDArray[np.int32]:
    """Random items that someone has turned to and that could have been shown; one may come twice."""
    order = model.order
    drawn = np.empty(TRIES, np.int32)
    count = 0
    state = seed
    for _ in range(TRIES):
        state = state * _MULTIPLIER + _INCREMENT
        item = order[np.int64(((state >> np.uint64(32)) * np.uint64(len(order))) >> np.uint64(32))]
        if item != chosen:
            drawn[count] = item
            count += 1
    may = shown(asks, n, drawn[:count], catalog, fingerprints)
    return drawn[:count][may][:OTHERS]
