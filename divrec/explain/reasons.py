"""Reason codes of a slate item, with what they refer to.

The share of a source is its part of the item's relevance. Content is told apart further: the user's keyword of the
highest lift that stands in the item's text, the user's own reviews, or the liked item that is nearest.
"""

from divrec.catalog import Catalog
from divrec.events import Reason
from divrec.interest.lift import Lifts
from divrec.slate import CONTENT, REVIEW, SOURCES


def reasons(
    catalog: Catalog, lifts: Lifts, row: int, sources: list[int], shares: list[float], referents: list[int]
) -> list[Reason]:
    """The reasons for the item at ``row``, strongest first; empty for an item that no source speaks for."""
    found: list[Reason] = []
    for source, share, past in zip(sources, shares, referents, strict=True):
        if source < 0:
            break
        if source == CONTENT and (keyword := lifts.best(catalog.words[row])) is not None:
            found.append(Reason(code="keyword", share=share, keyword=keyword))
        elif past >= 0:
            found.append(Reason(code=SOURCES[source], share=share, item_id=catalog.items.ids[past]))
        else:
            found.append(Reason(code="review" if past == REVIEW else SOURCES[source], share=share))
    return found
