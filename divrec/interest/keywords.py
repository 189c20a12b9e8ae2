"""Interest keywords: words of what a user liked and of the reviews of it, weighted by feedback and age.

The weight of a word at time t is Σ feedback · 2^((ts - t) / half-life) over the liked events that brought it. Kept are
the weights at one time that all share, the *base*, so that an event touches its own words alone. Dislikes take nothing
away: a film that was no good does not make its genre so. What of the weights tells something is their ``lift``.
"""

from collections.abc import Iterable

Keywords = dict[str, float]

TERMS_PER_EVENT = 12
"""Words taken from one text or item, the most telling first."""
WORDS_PER_EVENT = 2 * TERMS_PER_EVENT
"""Of a review and its item."""
FARTHEST = 64.0
"""Half-lives after the base from which on a new one is taken."""
SPARE = 8
"""When there are too many words one in so many goes, those of the lowest weight, so that this is not done each time."""


def learn_keywords(
    keywords: Keywords, base: int, words: Iterable[str], feedback: float, ts: int, half_life_ms: float, bound: int
) -> int:
    """Add ``feedback`` > 0 at ``ts`` to each of ``words``; the base of the weights from now on, in milliseconds."""
    if not keywords:
        base = ts
    age = (ts - base) / half_life_ms
    if age > FARTHEST:
        fade = faded(base, ts, half_life_ms)
        for word in keywords:
            keywords[word] *= fade
        base, age = ts, 0.0
    added = feedback * 2.0**age
    if added > 0.0:
        for word in words:
            keywords[word] = keywords.get(word, 0.0) + added
    if len(keywords) > bound:
        by_weight = sorted(keywords, key=keywords.__getitem__)
        for word in by_weight[: len(keywords) - bound + bound // SPARE]:
            del keywords[word]
    return base


def faded(base: int, now: int, half_life_ms: float) -> float:
    """By what weights of ``base`` are to be multiplied to stand at ``now``, in [0, 2^``FARTHEST``]."""
    return float(2.0 ** min((base - now) / half_life_ms, FARTHEST))
