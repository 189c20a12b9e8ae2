"""Reason codes of a slate item, with what they refer to.

The share of a source is its part of the item's relevance. Content is told apart further: a keyword of the user that
stands in the item's text, the user's own reviews, or the liked item that is nearest.
"""

from divrec.catalog import Catalog
from divrec.events import Reason, ReasonCode
from divrec.interest.keywords import Keywords
from divrec.retrieve.candidates import CONTENT, SIGNALS
from divrec.slate import REVIEW

LEAST_SHARE = 0.1
REASONS = 3

CODES: tuple[ReasonCode, ...] = ("item_neighbour", "transition", "content", "popular_now", "fresh")
assert CODES == SIGNALS


def reasons(catalog: Catalog, keywords: Keywords, row: int, parts: list[float], referents: list[int]) -> list[Reason]:
    """The sources that gave at least a tenth of the relevance of ``row``, strongest first, at most three.

    Empty for an item that no source speaks for.
    """
    total = sum(parts)
    if total <= 0.0:
        return []
    found: list[Reason] = []
    for part, source in sorted(zip(parts, range(len(parts)), strict=True), reverse=True)[:REASONS]:
        share = part / total
        if share < LEAST_SHARE:
            break
        code, past, keyword = CODES[source], referents[source], None
        if source == CONTENT:
            keyword = strongest(keywords, catalog.words[row])
            if keyword is not None:
                code, past = "keyword", -1
            elif past == REVIEW:
                code, past = "review", -1
        item_id = catalog.items.id(past) if past >= 0 else None
        found.append(Reason(code=code, share=round(share, 3), item_id=item_id, keyword=keyword))
    return found


def strongest(keywords: Keywords, words: frozenset[str]) -> str | None:
    """The strongest of the user's keywords among ``words`` (ties: the last in alphabetical order)."""
    best, best_weight = None, 0.0
    for word in words:
        weight = keywords.get(word, 0.0)
        if weight > best_weight or (weight == best_weight and best is not None and word > best):
            best, best_weight = word, weight
    return best
