"""Reason codes of a slate item, with what they refer to.

The share of a source is its part of the item's relevance. Content is told apart further: a keyword of the user that
stands in the item's text, the user's own reviews, or the liked item that is nearest.
"""

from collections.abc import Sequence

from divrec.catalog import Catalog
from divrec.events import Reason
from divrec.interest.keywords import Keywords
from divrec.slate import CONTENT, REVIEW, SOURCES


def reasons(
    catalog: Catalog, keywords: Keywords, row: int, sources: list[int], shares: list[float], referents: list[int]
) -> list[Reason]:
    """The reasons for the item at ``row``, strongest first; empty for an item that no source speaks for."""
    found: list[Reason] = []
    for source, share, past in zip(sources, shares, referents, strict=True):
        if source < 0:
            break
        if source == CONTENT and (keyword := strongest_keyword(keywords, catalog.words[row])) is not None:
            found.append(Reason(code="keyword", share=share, keyword=keyword))
        elif past >= 0:
            found.append(Reason(code=SOURCES[source], share=share, item_id=catalog.items.ids[past]))
        else:
            found.append(Reason(code="review" if past == REVIEW else SOURCES[source], share=share))
    return found


def strongest_keyword(keywords: Keywords, words: Sequence[str]) -> str | None:
    """The strongest of the user's keywords among ``words`` (ties: the last in alphabetical order)."""
    best, best_weight = None, 0.0
    for word in words:
        weight = keywords.get(word, 0.0)
        if weight > best_weight or (weight == best_weight and best is not None and word > best):
            best, best_weight = word, weight
    return best
