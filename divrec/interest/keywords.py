"""Interest keywords: words of reviews written and items liked, weighted by feedback and age.

The weight of a word is Σ feedback · 2^(-age / half-life) over the events that brought it, kept as one number that
stands at the time of the latest event. Words with the lowest weight go when there are too many.
"""

from collections.abc import Iterable

Keywords = dict[str, float]

TERMS_PER_EVENT = 12
"""Words taken from one text or item, the most telling first."""


def learn_keywords(keywords: Keywords, terms: Iterable[str], feedback: float, bound: int) -> None:
    """Add ``feedback`` to each of ``terms`` (weights as of now; see ``decay``)."""
    for term in terms:
        weight = keywords.get(term, 0.0) + feedback
        if weight > 0.0:
            keywords[term] = weight
        else:
            keywords.pop(term, None)
    if len(keywords) > bound:
        by_weight = sorted(keywords, key=keywords.__getitem__)
        for term in by_weight[: len(keywords) - bound]:
            del keywords[term]


def decay(keywords: Keywords, age_ms: int, half_life_ms: float) -> None:
    """Carry all weights ``age_ms`` forward."""
    if age_ms > 0:
        factor = 2.0 ** (-age_ms / half_life_ms)
        for term in keywords:
            keywords[term] *= factor
