"""Candidates and their signals, one column per source, by sparse accumulation over bounded lists.

The cost depends on the lengths of lists, not on the size of the catalogue (the scan of codes in ``nearest`` aside).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.asks import EXCLUDED, HABITUAL, HISTORY, REJECTED, Asks
from divrec.catalog import NEWEST, CatalogArrays
from divrec.categories import MAX_NAMES
from divrec.cf.factors import scores as factor_scores
from divrec.cf.item_item import CONTRAST, LIKED, NEXT, QUERY_HISTORY, RECENCY, TOGETHER
from divrec.cf.linear import CORE, LINEAR_RECENCY
from divrec.cf.neighbours import Ids, Weights
from divrec.cf.transitions import DECAY
from divrec.cf.users import USER_ITEMS, VISITORS
from divrec.compiled import compiled, compiled_fast
from divrec.config import ModelConfig
from divrec.consumed import holds
from divrec.interest.vectors import interest_vector
from divrec.items import ItemIndex, grown
from divrec.model import POPULAR, ModelArrays
from divrec.profile import HABITS
from divrec.retrieve.nearest import nearest
from divrec.retrieve.signals import (
    CONTENT,
    CONTRASTED,
    FACTORS,
    FRESH,
    HABIT,
    ITEM_ITEM,
    KEYWORD,
    LIKED_ITEM,
    LINEAR,
    POPULAR_EVER,
    POPULAR_NOW,
    REPEAT,
    SIMILAR_USER,
    TRANSITION,
    TRENDING,
    WELL_RATED,
    WIDTH,
)
from divrec.rules.filter import allowed

NEAREST = 64
"""Items taken from the neighbourhood of the interest vector."""
USER_HISTORY = 20
"""Recent items whose visitors are similar users."""
SIMILAR_USERS = 50
REPEATED = 500
"""Past items that may be recommended again."""
EXTRA = 128
"""Room for items that are described and no candidates, or that rules want as such."""

RECENT: Weights = np.exp(-np.arange(QUERY_HISTORY) / RECENCY).astype(np.float32)
STEPS_BACK: Weights = (DECAY ** np.arange(QUERY_HISTORY)).astype(np.float32)


class Candidates(NamedTuple):
    """Space for the candidates of one recommendation, used again for the next."""

    slots: npt.NDArray[np.int32]
    """By item: its position among the candidates plus one, 0 for none (all 0 between two recommendations)."""
    rows: Ids
    """Item indices, int32[n]."""
    signals: Weights
    """Score of each source, float32[n, WIDTH], 0 where it has nothing to say."""
    linear: Weights
    """Scores of the linear model by place in its core."""
    likeness: Weights
    """By row of the user table: similarity (all 0 between two recommendations)."""
    similar: Ids
    """The rows of ``likeness`` that are not 0."""
    places: Ids
    """By number of a category: its place among those of the pool plus one (all 0 between two recommendations)."""


class CandidateSpace:
    """Keeps ``Candidates`` that are large enough."""

    def __init__(self, items: ItemIndex, config: ModelConfig) -> None:
        bound = QUERY_HISTORY * config.neighbours + SIMILAR_USERS * USER_ITEMS
        bound += NEAREST + NEWEST + 2 * POPULAR + REPEATED + HABITS + EXTRA
        self.space = Candidates(
            np.zeros(0, np.int32),
            np.empty(bound, np.int32),
            np.empty((bound, WIDTH), np.float32),
            np.zeros(CORE, np.float32),
            np.zeros(config.users, np.float32),
            np.zeros(USER_HISTORY * VISITORS, np.int32),
            np.zeros(MAX_NAMES, np.int32),
        )
        items.attach(self)

    def resize(self, capacity: int) -> None:
        self.space = self.space._replace(slots=grown(self.space.slots, capacity))

    def clear(self, index: int) -> None:
        """Nothing outlives a recommendation."""

    def entered(self, index: int, item_id: str) -> None:
        """Nothing outlives a recommendation."""

    def holds(self, index: int) -> bool:  # noqa: ARG002
        return False


@compiled
def candidates(
    asks: Asks,
    n: int,
    space: Candidates,
    fresh_ms: float,
    model: ModelArrays,
    catalog: CatalogArrays,
    fingerprints: npt.NDArray[np.uint32],
) -> tuple[int, npt.NDArray[np.bool_]]:
    """Fill ``space`` for ask ``n``: how many candidates there are, and which of them may be shown.

    ``release`` must follow.
    """
    count = retrieve(asks, n, space, fresh_ms, model, catalog)
    return count, shown(asks, n, space.rows[:count], catalog, fingerprints)


@compiled
def shown(
    asks: Asks, n: int, rows: Ids, catalog: CatalogArrays, fingerprints: npt.NDArray[np.uint32]
) -> npt.NDArray[np.bool_]:
    """Which of ``rows`` may be in the slate of ask ``n``, whatever the configured rules say."""
    consumed = asks.consumed[asks.consumed_starts[n] : asks.consumed_starts[n + 1]]
    excluded = asks.items[asks.starts[EXCLUDED, n] : asks.starts[EXCLUDED, n + 1]]
    may = allowed(rows, catalog.hidden, fingerprints, consumed, asks.filtered[n] > 0, asks.shifts[n], excluded)
    own = asks.own_hidden[asks.own_hidden_starts[n] : asks.own_hidden_starts[n + 1]]
    if len(own) > 0:
        for at in range(len(rows)):
            may[at] = may[at] and not holds(own, asks.own_hidden_filtered[n] > 0, fingerprints[rows[at]])
    return may


@compiled
def release(space: Candidates, count: int) -> None:
    """Make ``space``, which holds ``count`` items, ready for the next recommendation."""
    for at in range(count):
        space.slots[space.rows[at]] = 0


@compiled
def retrieve(asks: Asks, n: int, space: Candidates, fresh_ms: float, model: ModelArrays, catalog: CatalogArrays) -> int:
    """Fill ``space`` with the candidates of all sources; how many there are.

    What may not be shown is still among them: ``rules`` takes it out.
    """
    begin, end = asks.starts[HISTORY, n], asks.starts[HISTORY, n + 1]
    history, feedback, liked = asks.items[begin:end], asks.values[begin:end], asks.liked[begin:end]
    count = _neighbours(space, history, liked, model)
    count = _similar_users(space, history, asks.users[n], model, count)
    _linear(space.linear, history, model.core, model.linear)
    begin, end = asks.starts[REJECTED, n], asks.starts[REJECTED, n + 1]
    interest = interest_vector(
        catalog.vectors, history, feedback, asks.items[begin:end], asks.values[begin:end], asks.reviews[n]
    )
    near, cosine = nearest(catalog.space, interest, NEAREST)
    for i in range(len(near)):
        at = _slot(space, near[i], count)
        count = max(count, at + 1)
        space.signals[at, CONTENT] = max(np.float32(0), cosine[i])
    if asks.repeats:
        for q in range(min(REPEATED, len(history))):
            if history[q] >= 0:
                at = _slot(space, history[q], count)
                count = max(count, at + 1)
                space.signals[at, REPEAT] += np.float32(1.0 / (1 + q))
        for i in range(asks.starts[HABITUAL, n], asks.starts[HABITUAL, n + 1]):
            if asks.items[i] >= 0:
                at = _slot(space, asks.items[i], count)
                count = max(count, at + 1)
                space.signals[at, HABIT] = asks.values[i]
    for item in model.popular:
        count = max(count, _slot(space, item, count) + 1)
    for item in catalog.newest:  # also those that are not fresh: before the first interaction there may be nothing else
        at = _slot(space, item, count)
        count = max(count, at + 1)
        age = asks.now[n] - catalog.ts[item]
        if 0 <= age <= fresh_ms:
            space.signals[at, FRESH] = 2.0 ** (-3.0 * age / fresh_ms)
    _describe(space, 0, count, model, history, liked)
    _keywords(asks, n, space, 0, count, catalog)
    return count


@compiled
def add_wanted(
    asks: Asks,
    n: int,
    wanted: Ids,
    space: Candidates,
    fresh_ms: float,
    model: ModelArrays,
    catalog: CatalogArrays,
    count: int,
) -> int:
    """Put the items that rules want into ``space``, which holds ``count``; how many it then holds."""
    if len(wanted) == 0:
        return count
    places = describe(asks, n, space, wanted, model, catalog, count)
    begin, end = asks.starts[HISTORY, n], asks.starts[HISTORY, n + 1]
    history, feedback = asks.items[begin:end], asks.values[begin:end]
    begin, end = asks.starts[REJECTED, n], asks.starts[REJECTED, n + 1]
    interest = interest_vector(
        catalog.vectors, history, feedback, asks.items[begin:end], asks.values[begin:end], asks.reviews[n]
    )
    for i in range(len(wanted)):
        at = places[i]
        if at < count:
            continue
        cosine = np.float32(0)
        for a in range(len(interest)):
            cosine += interest[a] * catalog.vectors[wanted[i], a]
        space.signals[at, CONTENT] = max(np.float32(0), cosine)
        age = asks.now[n] - catalog.ts[wanted[i]]
        if catalog.ts[wanted[i]] > 0 and 0 <= age <= fresh_ms:
            space.signals[at, FRESH] = 2.0 ** (-3.0 * age / fresh_ms)
    return max(count, int(places.max()) + 1)


@compiled
def describe(
    asks: Asks, n: int, space: Candidates, items: Ids, model: ModelArrays, catalog: CatalogArrays, count: int
) -> Ids:
    """The positions of ``items`` in ``space``, which holds ``count``; what is no candidate is described like one."""
    places = np.empty(len(items), np.int32)
    held = count
    for i in range(len(items)):
        places[i] = _slot(space, items[i], held)
        held = max(held, places[i] + 1)
    begin, end = asks.starts[HISTORY, n], asks.starts[HISTORY, n + 1]
    _describe(space, count, held, model, asks.items[begin:end], asks.liked[begin:end])
    _keywords(asks, n, space, count, held, catalog)
    return places


@compiled
def _slot(space: Candidates, item: int, count: int) -> int:
    """The candidate position of ``item``, which becomes a candidate if it is none."""
    if space.slots[item] == 0:
        space.rows[count] = item
        space.slots[item] = count + 1
        for source in range(WIDTH):
            space.signals[count, source] = 0.0
        return count
    return int(space.slots[item]) - 1


@compiled
def _neighbours(space: Candidates, history: Ids, liked: npt.NDArray[np.bool_], model: ModelArrays) -> int:
    """The neighbours of the last items, not yet divided by what depends on the neighbour alone."""
    ids, weights, damped, damped_liked = model.pair_ids, model.pair_weights, model.damped, model.damped_liked
    signals = space.signals
    count = 0
    likes = 0
    for q in range(min(QUERY_HISTORY, len(history))):
        was_liked = liked[q]
        steps = likes
        likes += was_liked
        past = history[q]
        if past < 0:
            continue
        together = RECENT[q] * damped[past]
        after = STEPS_BACK[q] * damped[past]
        both = RECENT[steps] * damped_liked[past] if was_liked else np.float32(0)
        contrast = np.float32(0) if was_liked else together
        for slot in range(ids.shape[1]):
            item = ids[past, slot]
            if item < 0:
                break
            at = _slot(space, item, count)
            count = max(count, at + 1)
            signals[at, ITEM_ITEM] += together * weights[past, slot, TOGETHER]
            signals[at, LIKED_ITEM] += both * weights[past, slot, LIKED]
            signals[at, CONTRASTED] += contrast * weights[past, slot, CONTRAST]
            signals[at, TRANSITION] += after * weights[past, slot, NEXT]
    return count


@compiled
def _similar_users(space: Candidates, history: Ids, own: int, model: ModelArrays, count: int) -> int:
    """What the nearest users liked."""
    users, likeness, similar = model.users, space.likeness, space.similar
    cycle = users.oldest // users.bound * users.bound  # no division for each visitor
    found = 0
    for q in range(min(USER_HISTORY, len(history))):
        past = history[q]
        if past < 0:
            continue
        weight = RECENT[q] * model.damped[past]
        for place in range(VISITORS):
            number = users.visitors[past, place]
            if number < users.oldest or number == own or number < 0:
                continue
            row = number - cycle
            if row >= users.bound:
                row -= users.bound
            if likeness[row] == 0:
                similar[found] = row
                found += 1
            likeness[row] += weight
    if found == 0:
        return count
    near = np.empty(found, np.float32)
    for i in range(found):
        row = similar[i]
        near[i] = likeness[row] * users.damped[row]
        likeness[row] = 0
    least = np.float32(0)
    if found > SIMILAR_USERS:
        least = np.partition(near, found - SIMILAR_USERS)[found - SIMILAR_USERS]
    taken = 0
    for i in range(found):
        if near[i] < least or taken == SIMILAR_USERS:
            continue
        taken += 1
        for place in range(USER_ITEMS):
            item = users.items[similar[i], place]
            if item >= 0:
                at = _slot(space, item, count)
                count = max(count, at + 1)
                space.signals[at, SIMILAR_USER] += near[i]
    return count


@compiled_fast
def _linear(out: Weights, history: Ids, core: Ids, weights: Weights) -> None:
    """Scores of the linear model by place in its core."""
    size = len(weights)
    for j in range(size):
        out[j] = 0.0
    for q in range(min(QUERY_HISTORY, len(history))):
        if history[q] >= 0 and core[history[q]] >= 0:
            row = weights[core[history[q]]]
            strength = LINEAR_RECENCY[q]
            for j in range(size):
                out[j] += strength * row[j]


@compiled
def _keywords(asks: Asks, n: int, space: Candidates, begin: int, end: int, catalog: CatalogArrays) -> None:
    """The mean lift of the words of the items from position ``begin`` on, before ``end``; other words have none."""
    first, behind = asks.keyword_starts[n], asks.keyword_starts[n + 1]
    if first == behind:
        return
    size = 16
    while size < 4 * (behind - first):
        size *= 2
    hashes, lifts, last = np.zeros(size, np.uint32), np.zeros(size, np.float32), np.int64(size - 1)
    for i in range(first, behind):  # to the first free place
        place = np.int64(asks.keywords[i]) & last
        while hashes[place] != 0 and hashes[place] != asks.keywords[i]:
            place = (place + 1) & last
        hashes[place], lifts[place] = asks.keywords[i], asks.lifts[i]
    for at in range(begin, end):
        words = catalog.words[space.rows[at]]
        total = np.float32(0)
        count = 0
        while count < len(words) and words[count] != 0:
            place = np.int64(words[count]) & last
            while hashes[place] != 0:
                if hashes[place] == words[count]:
                    total += lifts[place]
                    break
                place = (place + 1) & last
            count += 1
        if count > 0:
            space.signals[at, KEYWORD] = total / np.float32(count)


@compiled
def _describe(
    space: Candidates, begin: int, end: int, model: ModelArrays, history: Ids, liked_before: npt.NDArray[np.bool_]
) -> None:
    """The signals of the items themselves, from position ``begin`` on, and the divisors of those that depend on them.

    One call for all: what a call costs that takes all arrays would be the most of it.
    """
    rows, signals, linear = space.rows, space.signals, space.linear
    factors = factor_scores(rows[begin:end], model.factors_past, model.factors_next, history, liked_before)
    damped, damped_liked, liked, counts = model.damped, model.damped_liked, model.liked, model.counts
    popularity, trend, core = model.popularity, model.trend, model.core
    most = rising = 0.0  # popularities outgrow float32; their ratios do not
    for item in model.popular:
        most = max(most, popularity[item])
        rising = max(rising, trend[item])
    for at in range(begin, end):
        item = rows[at]
        signals[at, ITEM_ITEM] *= damped[item]
        signals[at, LIKED_ITEM] *= damped_liked[item]
        signals[at, CONTRASTED] *= damped_liked[item]
        signals[at, TRANSITION] *= damped[item]
        if core[item] >= 0:
            signals[at, LINEAR] = linear[core[item]]
        signals[at, FACTORS] = factors[at - begin]
        signals[at, WELL_RATED] = (liked[item] + 1.0) / (counts[item] + 2.0)
        signals[at, POPULAR_EVER] = liked[item]
        if most > 0:
            signals[at, POPULAR_NOW] = popularity[item] / most
        if rising > 0:
            signals[at, TRENDING] = trend[item] / rising
