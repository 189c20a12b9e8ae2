"""How much more a word is a user's than everybody's: what turns his keywords into those that tell something of him.

    lift(w) = log (n_w + ½) / (N p_w + ½),   N = Σ n_w

n_w is the weight of w among his keywords (``keywords``: feedback that fades), p_w its share among the words of all that
everybody liked; ½ is Jeffreys' prior of a count. It is c-TF-IDF with users as classes, in the form of a likelihood
ratio: a word that everybody likes has lift 0, however often it comes. Positive: more than others; negative: less.
"""

import math
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.interest.keywords import Keywords

Hashes = npt.NDArray[np.uint32]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

PRIOR = 0.5
BUCKETS = 2**18
"""Words that share one share a count: of 100,000 words one in three, nearly all of them rare."""
REMEMBERED = 2**16
"""Words whose hashes are kept at hand, some 13 MB."""


def word_hash(word: str) -> int:
    """32 bits, the same in every process."""
    return zlib.crc32(word.encode())


class _Packed(dict[str, bytes]):
    """Hashes of the words met lately: the same come again with every slate."""

    def __missing__(self, word: str) -> bytes:
        if len(self) >= REMEMBERED:
            self.clear()
        self[word] = packed = word_hash(word).to_bytes(4, "little")
        return packed


_packed = _Packed()


def packed_words(words: Iterable[str]) -> bytes:
    """Their hashes, uint32 little-endian, in their order."""
    return b"".join(map(_packed.__getitem__, words))


class WordCounts:
    """How often each word stood in what anybody liked, by its hash. 2 MB from the first word on."""

    def __init__(self) -> None:
        self.counts: Doubles = np.zeros(0)
        """By bucket; the last number is their sum."""

    def add(self, words: Sequence[bytes], weights: Sequence[float]) -> None:
        """Someone liked what has such ``packed_words``, one text after the other."""
        if not any(words):
            return
        if not len(self.counts):
            self.counts = np.zeros(BUCKETS + 1)
        lengths = np.array([len(own) // 4 for own in words], np.int64)
        count_words(self.counts, np.frombuffer(b"".join(words), "<u4"), lengths, np.array(weights))

    def share(self, word: str) -> float:
        """In [0, 1]; 0 for a word that nobody liked anything by."""
        if not len(self.counts):
            return 0.0
        return float(self.counts[word_hash(word) % BUCKETS] / self.counts[-1])


class Lifts:
    """The lifts of one user's ``keywords``, whose weights are to be multiplied by ``fade``.

    >>> counts = WordCounts()
    >>> for words in (["drama", "war"], ["drama"], ["drama", "heist"]):
    ...     counts.add([packed_words(words)], [1.0])
    >>> lifts = Lifts({"drama": 3.0, "heist": 2.0}, 1.0, counts)
    >>> round(lifts.lift("drama"), 2), round(lifts.lift("heist"), 2)
    (0.0, 0.51)
    >>> lifts.best(["drama", "heist", "war"])
    'heist'
    """

    def __init__(self, keywords: Keywords, fade: float, counts: WordCounts) -> None:
        self.keywords, self.fade, self.counts = keywords, fade, counts
        self.total = fade * sum(keywords.values())

    def ratio(self, word: str) -> float:
        """Of which the lift is the logarithm; ``word`` is one of the keywords."""
        return (self.fade * self.keywords[word] + PRIOR) / (self.total * self.counts.share(word) + PRIOR)

    def lift(self, word: str) -> float:
        return math.log(self.ratio(word))

    def best(self, words: Iterable[str]) -> str | None:
        """The keyword with the highest lift among ``words`` (ties: the last in the alphabet), None without one."""
        found = [word for word in words if word in self.keywords]
        return max(found, key=lambda word: (self.ratio(word), word), default=None)


@compiled
def count_words(counts: Doubles, words: Hashes, lengths: npt.NDArray[np.int64], weights: Doubles) -> None:
    """Add the weight of each text to each of its words, in their order."""
    at = 0
    for n in range(len(lengths)):
        for _ in range(lengths[n]):
            counts[words[at] % BUCKETS] += weights[n]
            counts[-1] += weights[n]
            at += 1


@compiled
def lifts_of(
    hashes: Hashes, weights: Doubles, starts: npt.NDArray[np.int32], fades: Doubles, counts: Doubles
) -> Floats:
    """The lift of each keyword of several users: those of user n are ``[starts[n], starts[n + 1])``."""
    out = np.empty(len(hashes), np.float32)
    for n in range(len(fades)):
        total = 0.0
        for at in range(starts[n], starts[n + 1]):
            total += weights[at] * fades[n]
        for at in range(starts[n], starts[n + 1]):
            share = counts[hashes[at] % BUCKETS] / counts[-1] if len(counts) > 0 else 0.0
            out[at] = np.log((weights[at] * fades[n] + PRIOR) / (total * share + PRIOR))
    return out
