"""How much more a word is a user's than everybody's: what turns his keywords into those that tell something of him.

    lift(w) = log (n_w + ½) / (N p_w + ½),   N = Σ n_w

n_w is the weight of w among his keywords (``keywords``: feedback that fades), p_w its share among the words of all that
everybody liked; ½ is Jeffreys' prior of a count. It is c-TF-IDF with users as classes, in the form of a likelihood
ratio: a word that everybody likes has lift 0, however often it comes. Positive: more than others; negative: less.
"""

import math
from collections.abc import Iterable

from divrec.interest.keywords import Keywords

PRIOR = 0.5


class WordCounts:
    """How often each word stood in what anybody liked. One number a word of the catalogue."""

    def __init__(self) -> None:
        self._counts: dict[str, float] = {}
        self._total = 0.0

    def add(self, words: Iterable[str], weight: float = 1.0) -> None:
        """Someone liked what has ``words``, each of them once."""
        counts, total = self._counts, 0.0
        for word in words:
            counts[word] = counts.get(word, 0.0) + weight
            total += weight
        self._total += total

    def share(self, word: str) -> float:
        """In [0, 1]; 0 for a word that nobody liked anything by."""
        return self._counts.get(word, 0.0) / self._total if self._total > 0.0 else 0.0

    def __len__(self) -> int:
        return len(self._counts)


def lifts(keywords: Keywords, counts: WordCounts) -> Keywords:
    """The lift of each keyword. Costs a logarithm a keyword; an item's score is the mean over its words of their lift.

    >>> counts = WordCounts()
    >>> for words in (["drama", "war"], ["drama"], ["drama", "heist"]):
    ...     counts.add(words)
    >>> {word: round(lift, 2) for word, lift in lifts({"drama": 3.0, "heist": 2.0}, counts).items()}
    {'drama': 0.0, 'heist': 0.51}
    """
    total = sum(keywords.values())
    return {
        word: math.log((weight + PRIOR) / (total * counts.share(word) + PRIOR)) for word, weight in keywords.items()
    }
