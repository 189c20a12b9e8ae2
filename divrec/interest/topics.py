"""Topics of the catalogue, learned online from item vectors, and how a user's interest spreads over them.

Topics are the means of an online spherical k-means (Zhong, 2005): a vector goes to the topic with the greatest

    cosine - CROWDED · log2(1 + share · k),   share = the part of all vectors that the topic has had

so that no topic swallows the others and none starves (frequency-sensitive: Banerjee & Ghosh, 2004), and moves it by
1 / n, at least ``FOLLOWS``, towards itself, so that topics follow a catalogue that changes. Their number and so their
memory are fixed. They are a process's own, as indices are: another one that saw the items in another order has others.
A user's distribution is therefore counted from the history whenever it is needed, and kept nowhere.
"""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled_fast

CROWDED = 0.05
FOLLOWS = 1.0 / 1_000.0

Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int32]


class Topics:
    """At most ``count`` topics of unit vectors float32[d]; ``count`` · (d + 2) numbers."""

    def __init__(self, count: int, dimensions: int) -> None:
        self.means: Vectors = np.zeros((count, dimensions), np.float32)
        """Unit vectors, zero for topics that have not begun."""
        self.sizes: npt.NDArray[np.float64] = np.zeros(count, np.float64)
        """Vectors each has had."""

    def learn(self, vectors: Vectors) -> None:
        """Learn float32[n, d], one after the other; zero vectors are left out. The first ``count`` begin the topics."""
        _learn(self.means, self.sizes, vectors)

    def of(self, vectors: Vectors) -> Numbers:
        """The topic of each of float32[n, d]: the one with the nearest mean; -1 for a zero vector and before any."""
        if not self.sizes.any() or not len(vectors):
            return np.full(len(vectors), -1, np.int32)
        cosines = np.where(self.sizes > 0, vectors @ self.means.T, -np.inf)
        topics: Numbers = cosines.argmax(axis=1).astype(np.int32)
        topics[~vectors.any(axis=1)] = -1
        return topics


def interest_in_topics(topics: Numbers, feedback: Vectors, count: int, decay: float) -> Vectors:
    """How a user's interest spreads over ``count`` topics: float32[count], at least 0, sums to 1 or is all 0.

    ``topics``[h] are those of the user's items, newest first, -1 for items without; step q back weighs feedback ·
    decay^q, and what pushes a topic below 0 leaves it at 0.
    """
    weights = feedback.astype(np.float64) * decay ** np.arange(len(topics))
    known = topics >= 0
    shares = np.maximum(np.bincount(topics[known], weights[known], minlength=count), 0.0)
    total = shares.sum()
    return (shares / total if total > 0 else shares).astype(np.float32)


@compiled_fast
def _learn(means: Vectors, sizes: npt.NDArray[np.float64], vectors: Vectors) -> None:
    count, d = means.shape
    begun = 0
    total = 0.0
    for topic in range(count):
        total += sizes[topic]
        if sizes[topic] > 0:
            begun += 1
    for n in range(len(vectors)):
        vector = vectors[n]
        norm = np.float32(0)
        for i in range(d):
            norm += vector[i] * vector[i]
        if norm == 0:
            continue
        best = begun
        if begun < count:
            begun += 1
        else:
            highest = -np.inf
            for topic in range(count):
                cosine = np.float32(0)
                for i in range(d):
                    cosine += vector[i] * means[topic, i]
                value = cosine - CROWDED * np.log2(1.0 + sizes[topic] / total * count)
                if value > highest:
                    highest = value
                    best = topic
        sizes[best] += 1.0
        total += 1.0
        rate = np.float32(max(1.0 / sizes[best], FOLLOWS))
        norm = np.float32(0)
        for i in range(d):
            means[best, i] += rate * (vector[i] - means[best, i])
            norm += means[best, i] * means[best, i]
        if norm > 0:
            norm = np.float32(np.sqrt(norm))
            for i in range(d):
                means[best, i] /= norm
