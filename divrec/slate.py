"""From profiles to slates in one compiled pass: retrieve → blend → rules → diversify → what explains them.

All slates of a batch are made in one call: what a call from Python costs is paid once, and nothing is allocated per
candidate.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.catalog import CatalogArrays
from divrec.compiled import compiled, compiled_fast
from divrec.diversify.mmr import pick
from divrec.interest.vectors import Vectors, interest_vector
from divrec.model import ModelArrays
from divrec.rank.blend import blend, top
from divrec.retrieve.candidates import CONTENT, Candidates, retrieve
from divrec.rules.filter import allowed

Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

Rounded = npt.NDArray[np.float64]
"""Rounded to five decimals, as published."""

REASONS = 3
LEAST_SHARE = 0.1
"""A source that gave less of an item's relevance is no reason."""
REVIEW = -2
"""In place of a past item: the user's own reviews are nearer than any of them."""


class Asks(NamedTuple):
    """What the slates of a batch are made from: lists of all asks one after the other, with where each begins."""

    history: Ids
    feedback: Floats
    history_starts: Ids
    rejected: Ids
    rejected_feedback: Floats
    rejected_starts: Ids
    consumed: npt.NDArray[np.uint32]
    filtered: npt.NDArray[np.bool_]
    shifts: Ids
    consumed_starts: Ids
    excluded: Ids
    excluded_starts: Ids
    reviews: Vectors
    """Centred review vectors, float32[asks, d], zero where there is none."""
    now: npt.NDArray[np.int64]
    k: Ids
    diversity: Floats


class Slates(NamedTuple):
    """Made slates, one row an ask, ``sizes[ask]`` items each, best first."""

    sizes: Ids
    rows: Ids
    ranks: Ids
    """Position by relevance alone, from 0."""
    relevance: Rounded
    similarity: Rounded
    """Largest cosine to the items above, 0 for the first."""
    sources: Ids
    """The sources that gave most of the relevance, strongest first, int32[asks, k, REASONS], -1 for none."""
    shares: Rounded
    """The part of the relevance that each of them gave, in [LEAST_SHARE, 1]."""
    referents: Ids
    """The past item behind each of them, -1 for none; for content the liked item that is nearest, or ``REVIEW``."""


def empty_slates(asks: int, k: int) -> Slates:
    return Slates(
        np.zeros(asks, np.int32),
        np.empty((asks, k), np.int32),
        np.empty((asks, k), np.int32),
        np.empty((asks, k), np.float64),
        np.empty((asks, k), np.float64),
        np.full((asks, k, REASONS), -1, np.int32),
        np.empty((asks, k, REASONS), np.float64),
        np.empty((asks, k, REASONS), np.int32),
    )


@compiled
def make_slates(
    asks: Asks,
    model: ModelArrays,
    catalog: CatalogArrays,
    fingerprints: npt.NDArray[np.uint32],
    space: Candidates,
    weights: Floats,
    pool_size: int,
    fresh_ms: float,
    slates: Slates,
) -> None:
    """Fill ``slates``. The rules have the last word: an item that they forbid is in none, whatever came before."""
    for n in range(len(asks.k)):
        history = asks.history[asks.history_starts[n] : asks.history_starts[n + 1]]
        feedback = asks.feedback[asks.history_starts[n] : asks.history_starts[n + 1]]
        rejected = asks.rejected[asks.rejected_starts[n] : asks.rejected_starts[n + 1]]
        rejected_feedback = asks.rejected_feedback[asks.rejected_starts[n] : asks.rejected_starts[n + 1]]
        consumed = asks.consumed[asks.consumed_starts[n] : asks.consumed_starts[n + 1]]
        filtered, shift = asks.filtered[n], asks.shifts[n]
        excluded = asks.excluded[asks.excluded_starts[n] : asks.excluded_starts[n + 1]]
        review = asks.reviews[n]

        interest = interest_vector(catalog.vectors, history, feedback, rejected, rejected_feedback, review)
        count = retrieve(space, history, feedback, interest, asks.now[n], fresh_ms, model, catalog)
        rows = space.rows[:count]
        may = allowed(rows, catalog.hidden, fingerprints, consumed, filtered, shift, excluded)
        parts, relevance = blend(space.signals[:count], may, weights)
        pool = top(relevance, max(pool_size, asks.k[n]))
        pool_rows = rows[pool]
        vectors = catalog.vectors[pool_rows]
        chosen = pick(relevance[pool], vectors, asks.k[n], asks.diversity[n])
        may = allowed(pool_rows[chosen], catalog.hidden, fingerprints, consumed, filtered, shift, excluded)
        chosen = chosen[may]

        slates.sizes[n] = len(chosen)
        similarity_above(vectors, chosen, slates.similarity[n])
        for at in range(len(chosen)):
            candidate = pool[chosen[at]]
            slates.rows[n, at] = rows[candidate]
            slates.ranks[n, at] = chosen[at]
            slates.relevance[n, at] = rounded(relevance[candidate])
            for reason in range(REASONS):
                source = strongest(parts[candidate])
                share = parts[candidate, source] / relevance[candidate] if source >= 0 else np.float32(0)
                if share < LEAST_SHARE:
                    break
                past = space.referents[candidate, source]
                if source == CONTENT:
                    past = closest(catalog.vectors, rows[candidate], history, feedback, review)
                slates.sources[n, at, reason] = source
                slates.shares[n, at, reason] = rounded(share)
                slates.referents[n, at, reason] = past
                parts[candidate, source] = 0.0


@compiled
def rounded(value: np.floating[Any]) -> float:
    return float(np.rint(value * 1e5) / 1e5)


@compiled
def strongest(parts: Floats) -> int:
    """The largest part that is not 0, -1 if all are."""
    best = -1
    for source in range(len(parts)):
        if parts[source] > 0 and (best < 0 or parts[source] > parts[best]):
            best = source
    return best


@compiled_fast
def similarity_above(vectors: Vectors, chosen: Ids, out: Rounded) -> None:
    """Write the largest cosine of each chosen row to the ones before it, 0 for the first, into ``out``."""
    for at in range(len(chosen)):
        nearest = np.float32(-2)
        for before in range(at):
            cosine = np.float32(0)
            for i in range(vectors.shape[1]):
                cosine += vectors[chosen[at], i] * vectors[chosen[before], i]
            nearest = max(nearest, cosine)
        out[at] = rounded(nearest) if at > 0 else 0.0


@compiled_fast
def closest(vectors: Vectors, row: int, history: Ids, feedback: Floats, review: Vectors) -> int:
    """The liked item of ``history`` nearest to ``row``, ``REVIEW`` if the reviews are nearer, -1 if nothing is near.

    An item that was liked and may be shown again is no reason for itself.
    """
    best = -1
    best_cosine = np.float32(0)
    for q in range(len(history)):
        past = history[q]
        if past < 0 or past == row or feedback[q] <= 0:
            continue
        cosine = np.float32(0)
        for i in range(vectors.shape[1]):
            cosine += vectors[past, i] * vectors[row, i]
        if cosine > best_cosine:
            best_cosine = cosine
            best = past
    cosine = np.float32(0)
    for i in range(len(review)):
        cosine += review[i] * vectors[row, i]
    return REVIEW if cosine > best_cosine else best
