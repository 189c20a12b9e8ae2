"""From profiles to slates in one compiled pass: retrieve → blend → rules → diversify → what explains them.

All slates of a batch are made in one call: what a call from Python costs is paid once, and nothing is allocated per
candidate.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.asks import HISTORY, OLDER, SHOWN, Asks, Floats, Ids
from divrec.catalog import CatalogArrays
from divrec.cf.factors import nearest_past
from divrec.cf.item_item import NEXT, QUERY_HISTORY, TOGETHER
from divrec.compiled import compiled, compiled_fast
from divrec.consumed import holds
from divrec.diversify.balanced import choose
from divrec.diversify.limits import unlimited
from divrec.events import ReasonCode
from divrec.interest.categories import interest_categories
from divrec.interest.vectors import Vectors
from divrec.model import ModelArrays
from divrec.rank.blend import normalise, parts, relevance_of, score, top
from divrec.retrieve.candidates import RECENT, STEPS_BACK, Candidates, add_wanted, release, retrieve, shown
from divrec.retrieve.signals import SIGNALS
from divrec.ruled import ruled
from divrec.rules.boosting import boost
from divrec.rules.config import MATCHING
from divrec.rules.impressions import give_way
from divrec.rules.items import RuleArrays
from divrec.rules.passing import HIDDEN, RULES, bits_of, take_out
from divrec.rules.rests import resting

Rounded = npt.NDArray[np.float64]
"""Rounded to five decimals, as published."""

SOURCES: tuple[ReasonCode, ...] = (
    "item_neighbour",
    "transition",
    "similar_user",
    "content",
    "well_rated",
    "popular_now",
    "popular",
    "repeat",
    "fresh",
)
"""What reasons tell apart; several signals may belong to one."""
NEIGHBOUR, TRANSITION, SIMILAR_USER, CONTENT, WELL_RATED, POPULAR_NOW, POPULAR, REPEAT, FRESH = range(len(SOURCES))
_SOURCE_OF: dict[str, str] = {
    "liked_neighbour": "item_neighbour",
    "contrast": "item_neighbour",
    "linear": "item_neighbour",
    "factors": "item_neighbour",
    "trending": "popular_now",
    "habit": "repeat",
    "keyword": "content",
}
SOURCE_OF: Ids = np.array([SOURCES.index(_SOURCE_OF.get(signal, signal)) for signal in SIGNALS], np.int32)
"""The source that each signal belongs to."""
REASONS = 3
LEAST_SHARE = 0.1
"""A source that gave less of an item's relevance is no reason."""
LATELY = 10
"""Past items that are looked through for a reason even when one is found."""
REVIEW = -2
"""In place of a past item: the user's own reviews are nearer than any of them."""


POOLS = ("fresh", "little_known")
"""What slates may explore, each a pool of candidates."""
LITTLE_KNOWN = 10.0
"""Items with less interaction are little known: the share of them that liked it has a standard error above 0.15."""


class Slates(NamedTuple):
    """Made slates, one row an ask, ``sizes[ask]`` items each, best first; after them come the pools, best first."""

    sizes: Ids
    pooled: Ids
    """Items in each of ``POOLS``, int32[asks, len(POOLS)], 0 where slates do not explore; one may be in several, and in
    the slate."""
    removed: Ids
    """Candidates that each rule took out, int32[asks, RULES + rules]."""
    rows: Ids
    ranks: Ids
    """Position by relevance alone, from 0."""
    instead: Ids
    """The item that relevance alone would have in the slate and this one is there for, -1 for none."""
    impressions: Ids
    """How often it was shown lately without an answer."""
    relevance: Rounded
    similarity: Rounded
    """Largest cosine to the items above, 0 for the first."""
    sources: Ids
    """The sources that gave most of the relevance, strongest first, int32[asks, k, REASONS], -1 for none."""
    shares: Rounded
    """The part of the relevance that each of them gave, in [LEAST_SHARE, 1]."""
    referents: Ids
    """The past item behind each of them, -1 for none; for content the liked item that is nearest, or ``REVIEW``."""
    marks: npt.NDArray[np.uint64]
    """The rules that put it there or moved it, a bit each."""
    kept: npt.NDArray[np.bool_]
    """It is there by a rule and is not given away to explore."""


def empty_slates(asks: int, k: int, rules: int, *, explore: bool) -> Slates:
    """Room for slates of ``k`` items under so many ``rules`` and, to ``explore``, for pools of as many."""
    room = k * (1 + len(POOLS)) if explore else k
    return Slates(
        np.zeros(asks, np.int32),
        np.zeros((asks, len(POOLS)), np.int32),
        np.zeros((asks, RULES + rules), np.int32),
        np.empty((asks, room), np.int32),
        np.empty((asks, room), np.int32),
        np.full((asks, room), -1, np.int32),
        np.zeros((asks, room), np.int32),
        np.empty((asks, room), np.float64),
        np.zeros((asks, room), np.float64),
        np.full((asks, room, REASONS), -1, np.int32),
        np.empty((asks, room, REASONS), np.float64),
        np.empty((asks, room, REASONS), np.int32),
        np.zeros((asks, room), np.uint64),
        np.zeros((asks, room), np.bool_),
    )


@compiled
def make_slates(
    asks: Asks,
    begin: int,
    end: int,
    model: ModelArrays,
    catalog: CatalogArrays,
    fingerprints: npt.NDArray[np.uint32],
    space: Candidates,
    weights: Floats,
    plain: bool,
    pool_size: int,
    fresh_ms: float,
    explore: bool,
    explained: bool,
    rules: RuleArrays,
    slates: Slates,
) -> None:
    """Fill ``slates``, and their pools to ``explore``, for the asks from ``begin`` on, before ``end``.

    The rules have the last word: an item that they forbid is in none, whatever came before.

    ``weights`` of each context of the blend, float32[contexts, features]; with ``plain`` the relevance is the score.
    Without ``explained`` the sources stay out.
    """
    has_places = len(rules.pins) + len(rules.slots) + len(rules.limit_rules) > 0
    for n in range(begin, end):
        count = retrieve(asks, n, space, fresh_ms, model, catalog)
        if rules.active:
            count = add_wanted(asks, n, rules.wanted, space, fresh_ms, model, catalog, count)
        release(space, count)
        rows, signals, removed = space.rows[:count], space.signals[:count], slates.removed[n]
        may, bits = shown(asks, n, rows, catalog, fingerprints), np.zeros(0, np.uint32)
        count_hidden(asks, n, rows, fingerprints, removed)
        if rules.active:
            bits = bits_of(rules, rows, catalog.ts, asks.now[n])
            _take_out(asks, n, rows, bits, may, rules, fingerprints, removed)
        normalise(signals, may)
        scores = score(signals, weights[asks.contexts[n]])
        relevance = np.where(may, scores, np.float32(-1)) if plain else relevance_of(scores, may)
        if rules.active:
            boost(rules, bits, relevance)
        if has_places:
            pool, best, chosen, impressions, kept, marks = ruled(
                asks, n, rows, bits, may, relevance, catalog, rules, space, pool_size, removed
            )
            pool_rows = rows[pool]
            vectors = catalog.vectors[pool_rows]
        else:
            pool = top(relevance, max(pool_size, asks.k[n]) if asks.diversity[n] > 0 else asks.k[n])
            best = len(pool)
            pool_rows = rows[pool]
            vectors = catalog.vectors[pool_rows]
            chosen, impressions = _diversified(asks, n, pool_rows, relevance[pool], vectors, catalog, space)
            kept, marks = np.zeros(0, np.bool_), np.zeros(0, np.uint64)
        chosen = chosen[_finally(asks, n, rows, bits, pool[chosen], catalog, rules, fingerprints)]

        slates.sizes[n] = len(chosen)
        similarity_above(vectors, chosen, slates.similarity[n])
        found = pool[chosen]
        if explore:
            for which in range(len(POOLS)):
                kind = fresh(rows, asks.now[n], fresh_ms, catalog) if which == 0 else little_known(rows, model)
                draw = top(np.where(kind, relevance, np.float32(-1)), asks.k[n])
                draw = draw[_finally(asks, n, rows, bits, draw, catalog, rules, fingerprints)]
                slates.pooled[n, which] = len(draw)
                found = np.append(found, draw)
        for at in range(len(found)):
            candidate = found[at]
            slates.rows[n, at] = rows[candidate]
            ranked = at < len(chosen) and chosen[at] < best
            slates.ranks[n, at] = chosen[at] if ranked else better(relevance, candidate)
            if at < len(chosen):
                slates.impressions[n, at] = impressions[chosen[at]]
            if rules.active:
                slates.marks[n, at] = np.uint64(bits[candidate] & rules.boosts)
            if has_places and at < len(chosen):
                slates.kept[n, at] = kept[chosen[at]]
                slates.marks[n, at] |= marks[chosen[at]]
            slates.relevance[n, at] = rounded(relevance[candidate])
        displaced(chosen, pool_rows[: min(asks.k[n], best)], slates.instead[n])
        if explained:
            _explain(asks, n, signals[found], weights[asks.contexts[n]], model, catalog, slates)


@compiled
def count_hidden(asks: Asks, n: int, rows: Ids, fingerprints: npt.NDArray[np.uint32], removed: Ids) -> None:
    """Add to ``removed`` those of ``rows`` that the user hid."""
    own = asks.own_hidden[asks.own_hidden_starts[n] : asks.own_hidden_starts[n + 1]]
    if len(own) > 0:
        for row in rows:
            removed[HIDDEN] += holds(own, asks.own_hidden_filtered[n] > 0, fingerprints[row])


@compiled
def _take_out(
    asks: Asks,
    n: int,
    rows: Ids,
    bits: npt.NDArray[np.uint32],
    may: npt.NDArray[np.bool_],
    rules: RuleArrays,
    fingerprints: npt.NDArray[np.uint32],
    removed: Ids,
) -> None:
    """Take out of ``may`` what rules forbid of ``rows``, which match ``bits``, for ask ``n``."""
    log = asks.impressions[asks.impression_starts[n] : asks.impression_starts[n + 1]]
    prints, capped = resting(log, asks.now[n], rules.cap, rules.cap_minutes, rules.cool_minutes)
    take_out(may, rules, rows, bits, fingerprints, asks.sellers[n], prints, capped, removed)


@compiled
def _finally(
    asks: Asks,
    n: int,
    rows: Ids,
    bits: npt.NDArray[np.uint32],
    picked: Ids,
    catalog: CatalogArrays,
    rules: RuleArrays,
    fingerprints: npt.NDArray[np.uint32],
) -> npt.NDArray[np.bool_]:
    """Which of the ``picked`` positions of ``rows`` may be in the slate: the last word."""
    may = shown(asks, n, rows[picked], catalog, fingerprints)
    if rules.active:
        counted = np.zeros(RULES + MATCHING, np.int32)
        _take_out(asks, n, rows[picked], bits[picked], may, rules, fingerprints, counted)
    return may


@compiled
def fresh(rows: Ids, now: int, fresh_ms: float, catalog: CatalogArrays) -> npt.NDArray[np.bool_]:
    """Which of ``rows`` appeared within ``fresh_ms``."""
    found = np.empty(len(rows), np.bool_)
    for at in range(len(rows)):
        ts = catalog.ts[rows[at]]
        found[at] = ts > 0 and 0 <= now - ts <= fresh_ms
    return found


@compiled
def little_known(rows: Ids, model: ModelArrays) -> npt.NDArray[np.bool_]:
    """Which of ``rows`` have little interaction."""
    found = np.empty(len(rows), np.bool_)
    for at in range(len(rows)):
        found[at] = model.counts[rows[at]] < LITTLE_KNOWN
    return found


@compiled
def better(relevance: Floats, candidate: int) -> int:
    """How many candidates stand before ``candidate`` by relevance, ties in their order, as in ``top``."""
    count = 0
    for at in range(len(relevance)):
        count += relevance[at] > relevance[candidate] or (relevance[at] == relevance[candidate] and at < candidate)
    return count


@compiled
def _diversified(
    asks: Asks, n: int, rows: Ids, relevance: Floats, vectors: Vectors, catalog: CatalogArrays, space: Candidates
) -> tuple[Ids, Ids]:
    """Positions of the slate of ask ``n`` among its best candidates, and how often each of those was shown lately."""
    if asks.diversity[n] == 0:
        return np.arange(min(asks.k[n], len(rows))).astype(np.int32), np.zeros(len(rows), np.int32)
    begin, end = asks.starts[SHOWN, n], asks.starts[SHOWN, n + 1]
    impressions = give_way(rows, asks.items[begin:end], relevance)
    begin, end = asks.starts[HISTORY, n], asks.starts[HISTORY, n + 1]
    history, feedback = asks.items[begin:end], asks.values[begin:end]
    begin, end = asks.starts[OLDER, n], asks.starts[OLDER, n + 1]
    starts, members, shares, wanted = interest_categories(
        rows, catalog.categories, space.places, history, feedback, asks.items[begin:end], asks.values[begin:end]
    )
    none, limits = np.zeros(0, np.int32), unlimited(len(rows))
    diversity = asks.diversity[n]
    chosen = choose(relevance, vectors, starts, members, shares, wanted, asks.k[n], diversity, none, limits, none)
    return chosen, impressions


@compiled
def displaced(chosen: Ids, most_relevant: Ids, out: Ids) -> None:
    """Write the item that each of ``chosen`` (positions by relevance) took the place of into ``out``.

    That is for those beyond the ``most_relevant``, in turn, one of the most relevant that were left out.
    """
    stays = np.zeros(len(most_relevant), np.bool_)
    for position in chosen:
        if position < len(most_relevant):
            stays[position] = True
    place = 0
    for n in range(len(chosen)):
        out[n] = -1
        if chosen[n] < len(most_relevant):
            continue
        while stays[place]:
            place += 1
        out[n] = most_relevant[place]
        place += 1


@compiled
def _explain(
    asks: Asks, n: int, z: Floats, weights: Floats, model: ModelArrays, catalog: CatalogArrays, slates: Slates
) -> None:
    """Write the strongest sources of the items in the slate of ask ``n``, whose scaled signals are ``z``."""
    begin, end = asks.starts[HISTORY, n], asks.starts[HISTORY, n + 1]
    history, feedback, review = asks.items[begin:end], asks.values[begin:end], asks.reviews[n]
    liked = asks.liked[begin:end]
    ids, pairs, damped, vectors = model.pair_ids, model.pair_weights, model.damped, catalog.vectors
    rows, sources = slates.rows[n], slates.sources[n]
    shares, referents = slates.shares[n], slates.referents[n]
    for at in range(len(z)):
        spoke = np.zeros(len(SOURCES), np.float32)
        added = parts(z[at], weights)
        for signal in range(len(SIGNALS)):
            spoke[SOURCE_OF[signal]] += added[signal]
        total = spoke.sum()
        together, before = behind(ids, pairs, damped, history, rows[at])
        if together < 0:  # nobody had both: then it is the factors that speak, and of all items alike if of no past one
            together = nearest_past(model.factors_past, model.factors_next, history, liked, rows[at])
        if together < 0:
            spoke[POPULAR] += spoke[NEIGHBOUR]
            spoke[NEIGHBOUR] = 0.0
        for reason in range(REASONS):
            source = strongest(spoke)
            share = spoke[source] / total if source >= 0 else np.float32(0)
            if share < LEAST_SHARE:
                break
            past = -1
            if source == NEIGHBOUR:
                past = together
            elif source == TRANSITION:
                past = before
            elif source == CONTENT:
                past = closest(vectors, rows[at], history, feedback, review)
            sources[at, reason] = source
            shares[at, reason] = rounded(share)
            referents[at, reason] = past
            spoke[source] = 0.0


@compiled
def behind(ids: Ids, pairs: Floats, damped: Floats, history: Ids, row: int) -> tuple[int, int]:
    """The past items of ``history`` that speak most for ``row`` as a neighbour and as a next item, -1 if none does."""
    together = before = -1
    most = most_before = np.float32(0)
    for q in range(min(QUERY_HISTORY, len(history))):
        past = history[q]
        if past < 0:
            continue
        if q >= LATELY and together >= 0 and before >= 0:
            break
        found: Any = -1
        for slot in range(ids.shape[1]):  # a sum, for it is in one at most: many slots are compared at once
            found += np.int32(slot + 1 if ids[past, slot] == row else 0)
        if found >= 0:
            weight = RECENT[q] * damped[past] * pairs[past, found, TOGETHER]
            if weight > most:
                most, together = weight, past
            weight = STEPS_BACK[q] * damped[past] * pairs[past, found, NEXT]
            if weight > most_before:
                most_before, before = weight, past
    return together, before


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
