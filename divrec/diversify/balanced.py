"""The default: relevance, distance, coverage of categories and agreement with the profile, each on the scale of what
these candidates allow.

The slate S of k items is chosen to be large in

    F(S) = (1 - diversity) · s · R(S) + diversity · [2 D(S) + y C(S) + 2 y A(S)] / (2 + 3 y),   y = 1 - diversity / 2

    R  mean relevance                        0 = the mean of all candidates, 1 = the k most relevant
    D  mean distance of pairs, 1 - cosine    0 = the k most relevant, 1 = k items picked for distance alone
    C  number of categories                  0 = the k most relevant, 1 = as many as k of the items can have
    A  minus KL(profile ‖ slate), smoothed   0 = the k most relevant, 1 = the shares of the profile

Because each term is measured by its own range among the candidates of this very request, the same ``diversity`` means
the same for any model's relevance, for vectors in a narrow cone or all around, for 5 categories or 500, and for a user
of one interest (whose slate A holds together) or of many (whose slate it spreads). A term that is not known (no
categories, no profile) or cannot be changed drops out.

s = n Σ r² / (2 (Σ r)²) is how sharp the relevance r (scaled to [0, 1]) of these n candidates is: one half over the
share of them that it effectively rests on. Where it rests on few an exchange loses more, and diversity yields.

F is maximised greedily, then each pick in turn is exchanged if another is better; the slate is sorted by relevance,
which changes none of the terms and gives the likely items the seen places. From max-sum diversification (Borodin, Lee
& Ye, PODS 2012: greedy and exchange), coverage (Ashkan et al., IJCAI 2015) and calibration (Steck, RecSys 2018).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled, compiled_fast
from divrec.diversify.candidates import Floats, Positions, accepted, ahead, as_floats, cosine, first, scaled, unit
from divrec.diversify.categories import diverges, diverging, hold, normalised, part, sparse
from divrec.diversify.limits import Limits, pick, place_of, put_back, reserve_of, unlimited

DIVERSITY = 0.2
WEIGHTS = (2.0, 1.0, 2.0)
"""What D, C and A count: distance and agreement bring most of the coverage with them. The more diversity is asked for,
the more of it is distance."""
LEAST_RANGE = np.float32(0.1)
"""A term's range is at least this part of its value: what can hardly be changed must not count more for it."""
KINDS = 8
"""Items of as many categories mostly have the same share in each: a logarithm is the dearest thing in here."""
BETTER = np.float32(1e-5)
"""An exchange must be worth more than rounding."""


def balanced(
    relevance: Floats,
    vectors: Floats,
    k: int,
    *,
    diversity: float = DIVERSITY,
    categories: npt.NDArray[Any] | None = None,
    profile: npt.NDArray[Any] | None = None,
) -> Positions:
    """Positions of the slate, most relevant first: int32[min(k, n)].

    ``relevance`` is float32[n], ``vectors`` float32[n, d] of any length (a zero row is unlike everything),
    ``categories`` float32[n, c] how much an item belongs to each (0: not), ``profile`` float32[c] how much the user
    turned to each; neither needs a scale. ``diversity`` in [0, 1]: 0 = the relevance order, 1 = relevance decides
    between equals only. Ties go to the more relevant, then to the first. Raises ValueError for a ``diversity``
    outside [0, 1], a negative ``k``, shapes that do not fit, or values that are not finite or, in ``categories`` and
    ``profile``, negative.
    """
    relevance, vectors = accepted(relevance, vectors, k, diversity)
    n = len(relevance)
    belongs = np.zeros((n, 0), np.float32) if categories is None else as_floats(categories)
    if belongs.ndim != 2 or len(belongs) != n:
        raise ValueError(f"expected categories[{n}, c], got shape {belongs.shape}")
    wanted = np.zeros(belongs.shape[1], np.float32) if profile is None else as_floats(profile)
    if wanted.shape != belongs.shape[1:]:
        raise ValueError(f"expected profile[{belongs.shape[1]}] as categories has it, got shape {wanted.shape}")
    return _balanced(relevance, vectors, belongs, wanted, k, np.float32(diversity))


@compiled
def _balanced(
    relevance: Floats, vectors: Floats, categories: Floats, profile: Floats, k: int, diversity: np.float32
) -> Positions:
    starts, members, shares = sparse(categories)
    none = np.zeros(0, np.int32)
    limits = unlimited(len(relevance))
    return choose(relevance, vectors, starts, members, shares, normalised(profile), k, diversity, none, limits, none)


@compiled
def choose(
    relevance: Floats,
    vectors: Floats,
    starts: Positions,
    members: Positions,
    shares: Floats,
    wanted: Floats,
    k: int,
    diversity: np.float32,
    fixed: Positions,
    limits: Limits,
    reserved: Positions,
) -> Positions:
    """``balanced`` within compiled code: categories as ``sparse`` gives them, a profile with the sum 1 or all 0.

    ``fixed`` positions are among the k without a choice; only the others are returned. They are chosen within
    ``limits``, whose least counts ``reserved`` would meet.
    """
    n, c = len(relevance), len(wanted)
    k = min(k, n)
    gain = scaled(relevance)
    vectors, inverse = unit(vectors)
    picked = most_relevant(relevance, k)
    limited = len(limits.most) > 0
    begin = len(fixed)
    free_choice = not limited and begin == 0
    if (free_choice and diversity == 0) or k == 0:
        return picked

    # The ranges: what the most relevant items have, and what could be had.
    mean = squares = np.float32(0)
    for i in range(n):
        mean += gain[i] / n
        squares += gain[i] * gain[i] / n
    sharp = squares / (2 * mean * mean) if mean > 0 else np.float32(0)
    top = np.float32(0)
    have = np.zeros(c, np.int32)
    held = np.zeros(c, np.float32)
    total = np.float32(0)
    for i in picked:
        top += gain[i] / k
        total += hold(i, 1, starts, members, shares, have, held)
    apart = distance(vectors, inverse, picked)
    divergence = diverges(wanted, held, total)
    covered, present, widest = 0, np.zeros(c, np.int32), 0
    for a in range(c):
        covered += have[a] > 0
    bare = False
    for i in range(n):
        bare |= starts[i + 1] == starts[i]
        widest = max(widest, starts[i + 1] - starts[i])
        for e in range(starts[i], starts[i + 1]):
            present[members[e]] = 1
    reach = min(int(present.sum()), k * widest)
    furthest = distance(vectors, inverse, far_apart(relevance, vectors, inverse, k)) if k > 1 else apart

    yielding = 1 - diversity / 2
    terms = np.float32(0)
    pair_weight = new_weight = divergence_weight = np.float32(0)
    if k > 1 and furthest > apart:
        terms += np.float32(WEIGHTS[0])
        pair_weight = np.float32(WEIGHTS[0]) / max(furthest - apart, LEAST_RANGE * furthest)
    if reach > covered:
        terms += yielding * np.float32(WEIGHTS[1])
        new_weight = yielding * np.float32(WEIGHTS[1]) / max(np.float32(reach - covered), LEAST_RANGE * reach)
    if divergence > 0:
        terms += yielding * np.float32(WEIGHTS[2])
        divergence_weight = yielding * np.float32(WEIGHTS[2]) / max(divergence, LEAST_RANGE)
    if terms == 0 and free_choice:
        return picked
    terms = max(terms, np.float32(1e-6))
    relevance_weight = (1 - diversity) * sharp / (k * max(top - mean, LEAST_RANGE * top)) if top > 0 else np.float32(0)
    pair_weight *= diversity / terms * 2 / max(1, k * (k - 1))
    new_weight *= diversity / terms
    divergence_weight *= diversity / terms

    have[:] = 0
    held[:] = 0
    total = np.float32(0)
    free = np.ones(n, np.bool_)
    far = np.zeros((k, n), np.float32)
    sums = np.zeros(n, np.float32)
    base = np.empty(c, np.float32)
    # Of the divergence by one more of a category, as it was computed last for an item of so many categories …
    change = np.empty((c, KINDS), np.float32)
    share = np.zeros((c, KINDS), np.float32)  # … with this share …
    known, known_total = np.full(c, np.float32(-1)), np.float32(-1)  # … when the slate held this
    able = free
    reserve = reserve_of(reserved, fixed, k, limits)
    for place in range(begin):
        i = picked[place] = fixed[place]
        free[i] = False
        total += hold(i, 1, starts, members, shares, have, held)
        for j in range(n):
            far[place, j] = 1 - cosine(vectors, inverse, j, i)
            sums[j] += far[place, j]
    end = begin
    for step in range(2 * (k - begin)):
        place, left = begin + step, k - begin - step
        old = -1
        if left <= 0:
            place, left = 2 * k - 1 - place, 1
            if place >= end:
                continue
            old = picked[place]
            free[old] = True
            total -= hold(old, -1, starts, members, shares, have, held)
            for i in range(n):
                sums[i] -= far[place, i]
        if limited:
            if old >= 0:
                put_back(old, limits, reserve)
            able = np.empty(n, np.bool_)
            for i in range(n):
                able[i] = free[i] and place_of(i, left, limits, reserve) >= 0
        without = diverging(wanted, held, total, base)
        plain = diverges(wanted, held, total) if bare else without
        for a in range(c):
            if total != known_total or held[a] != known[a]:
                share[a] = 0
                known[a] = held[a]
        known_total = total
        best = -1
        best_value = np.float32(0)
        for at in range(-1, n):
            i = old if at < 0 else at
            if i < 0 or not able[i] or (at >= 0 and i == old):
                continue
            value = relevance_weight * gain[i] + pair_weight * sums[i]
            own = starts[i + 1] - starts[i]
            after = without if own > 0 else plain
            kind = min(own, KINDS) - 1
            for e in range(starts[i], starts[i + 1]):
                a = members[e]
                if have[a] == 0:
                    value += new_weight
                if wanted[a] > 0:
                    if share[a, kind] != shares[e]:
                        share[a, kind] = shares[e]
                        change[a, kind] = part(wanted[a], held[a] + shares[e], total + 1) - base[a]
                    after += change[a, kind]
            value -= divergence_weight * after
            if at < 0:
                value += BETTER
            if ahead(value, i, best_value, best, relevance):
                best = i
                best_value = value
        if best < 0:
            continue
        picked[place] = best
        end = max(end, place + 1)
        free[best] = False
        if limited:
            pick(best, left, limits, reserve)
        total += hold(best, 1, starts, members, shares, have, held)
        if best != old and pair_weight > 0:
            for i in range(n):
                far[place, i] = 1 - cosine(vectors, inverse, i, best)
        for i in range(n):
            sums[i] += far[place, i]
    return by_relevance(relevance, picked[begin:end])


@compiled
def most_relevant(relevance: Floats, k: int) -> Positions:
    """The ``k`` first positions by relevance, then by position."""
    return np.argsort(-relevance, kind="mergesort")[:k].astype(np.int32)


@compiled
def by_relevance(relevance: Floats, picked: Positions) -> Positions:
    ordered = np.sort(picked)
    return ordered[np.argsort(-relevance[ordered], kind="mergesort")]


@compiled_fast
def distance(vectors: Floats, inverse: Floats, picked: Positions) -> np.float32:
    """Mean distance of the pairs: 1 - (|Σ u|² - number of vectors) / (k (k - 1)); 0 for fewer than two."""
    k, d = len(picked), vectors.shape[1]
    if k < 2:
        return np.float32(0)
    sums = np.zeros(d, np.float32)
    for i in picked:
        for a in range(d):
            sums[a] += vectors[i, a] * inverse[i]
    squares = np.float32(0)
    for a in range(d):
        squares += sums[a] * sums[a]
    for i in picked:
        squares -= inverse[i] > 0
    return np.float32(1 - squares / (k * (k - 1)))


@compiled
def far_apart(relevance: Floats, vectors: Floats, inverse: Floats, k: int) -> Positions:
    """``k`` items picked one after the other for their distance to those before, from the most relevant on."""
    n = len(vectors)
    near = np.zeros(n, np.float32)
    free = np.ones(n, np.bool_)
    picked = np.empty(k, np.int32)
    for position in range(k):
        best = first(near, free, relevance)
        picked[position] = best
        free[best] = False
        if position + 1 < k:
            for i in range(n):
                near[i] -= cosine(vectors, inverse, i, best)
    return picked
