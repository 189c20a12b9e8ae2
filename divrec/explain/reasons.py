"""Reason codes of a slate item, with what they refer to.

The share of a source is its part of the item's relevance. Content is told apart further: a keyword of the user that
stands in the item's text, the user's own reviews, or the liked item that is nearest.
"""

import numpy as np
import numpy.typing as npt

from divrec.catalog import Catalog
from divrec.compiled import compiled_fast
from divrec.events import Reason, ReasonCode
from divrec.interest.keywords import Keywords, top_keywords
from divrec.retrieve.candidates import CONTENT, SIGNALS

LEAST_SHARE = 0.1
REASONS = 3
KEYWORDS = 20
"""Strongest keywords of the user that are looked for in an item's text."""

CODES: tuple[ReasonCode, ...] = ("item_neighbour", "transition", "content", "popular_now", "fresh")
assert CODES == SIGNALS


class Explainer:
    """Explains the items of one slate."""

    def __init__(
        self,
        catalog: Catalog,
        keywords: Keywords,
        liked: npt.NDArray[np.int32],
        review: npt.NDArray[np.float32],
    ) -> None:
        self.catalog = catalog
        self.keywords = [word for word, _ in top_keywords(keywords, KEYWORDS)] if keywords else []
        self.liked = liked
        self.review = review

    def reasons(self, row: int, parts: list[float], referents: list[int]) -> list[Reason]:
        """The sources that gave at least a tenth of the relevance of ``row``, strongest first, at most three.

        A source with nothing to say of an item that no source speaks for is left out: an empty list is possible.
        """
        total = sum(parts)
        if total <= 0.0:
            return []
        found: list[Reason] = []
        for source in sorted(range(len(parts)), key=parts.__getitem__, reverse=True)[:REASONS]:
            share = parts[source] / total
            if share < LEAST_SHARE:
                break
            if source == CONTENT:
                found.append(self._content(row, round(share, 3)))
            else:
                past = referents[source]
                item_id = self.catalog.items.id(past) if past >= 0 else None
                found.append(Reason(code=CODES[source], share=round(share, 3), item_id=item_id))
        return found

    def _content(self, row: int, share: float) -> Reason:
        described = self.catalog.descriptions[row]
        if described is not None:
            words = {*described.terms, *(category.casefold() for category in described.categories)}
            for keyword in self.keywords:
                if keyword in words:
                    return Reason(code="keyword", share=share, keyword=keyword)
        nearest = closest(self.catalog.vectors, row, self.liked, self.review)
        if nearest == REVIEW:
            return Reason(code="review", share=share)
        return Reason(code="content", share=share, item_id=self.catalog.items.id(nearest) if nearest >= 0 else None)


REVIEW = -2


@compiled_fast
def closest(
    vectors: npt.NDArray[np.float32], row: int, liked: npt.NDArray[np.int32], review: npt.NDArray[np.float32]
) -> int:
    """The item of ``liked`` nearest to ``row``, ``REVIEW`` if the user's reviews are nearer, -1 if there is nothing."""
    d = vectors.shape[1]
    best = -1
    best_cosine = np.float32(0)
    for past in liked:
        if past < 0:
            continue
        cosine = np.float32(0)
        for i in range(d):
            cosine += vectors[past, i] * vectors[row, i]
        if cosine > best_cosine:
            best_cosine = cosine
            best = past
    if len(review) == d:
        cosine = np.float32(0)
        for i in range(d):
            cosine += review[i] * vectors[row, i]
        if cosine > best_cosine:
            return REVIEW
    return best
