"""Texts said a little differently: tokens left out, exchanged with the next one, or put in other words.

On tokens, not on words between blanks, so that Chinese is treated as English is.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

SHARE = 0.1
"""Of the tokens, for each of the three."""
NEAREST, ALIKE = 5, 0.5

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def synonyms(ids: Ids, embeddings: Floats, *, nearest: int = NEAREST, alike: float = ALIKE) -> dict[int, Ids]:
    """For each of ``ids[n]``, whose rows of the model's input embeddings are ``embeddings[n, d]``, the others whose
    centred embeddings are nearest: at most ``nearest``, with a cosine of at least ``alike``. Without any it is not
    there.

    >>> synonyms(np.array([7, 8, 9]), np.float32([[1, 0], [1, 0.1], [-1, 0]]))
    {7: array([8]), 8: array([7])}
    """
    rows = embeddings - embeddings.mean(0)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    found = {}
    for first in range(0, len(ids), 512):
        cosines = rows[first : first + 512] @ rows.T
        cosines[np.arange(len(cosines)), first + np.arange(len(cosines))] = -1.0
        best = np.argsort(-cosines, axis=1, kind="stable")[:, :nearest]
        for own, others, values in zip(ids[first:], best, np.take_along_axis(cosines, best, 1), strict=False):
            if len(close := others[values >= alike]):
                found[int(own)] = ids[close]
    return found


def augment(
    ids: Ids, words: Mapping[int, Ids], random: np.random.Generator, *, lead: int = 1, share: float = SHARE
) -> Ids:
    """``ids[l]`` of a text anew: each token goes with probability ``share``, those left change places with the next
    one, or become one of their ``words``, with the same probability each; a token without any stays (the back-off).

    The first ``lead`` tokens and the last one, which are not of the text, stay where they are; at least one other is
    left.
    """
    inner = ids[lead:-1]
    if not len(inner):
        return ids.copy()
    left = random.random(len(inner)) >= share
    if not left.any():
        left[random.integers(len(inner))] = True
    inner = inner[left]
    for at in np.flatnonzero(random.random(len(inner) - 1) < share):
        inner[[at, at + 1]] = inner[[at + 1, at]]
    for at in np.flatnonzero(random.random(len(inner)) < share):
        if (others := words.get(int(inner[at]))) is not None:
            inner[at] = random.choice(others)
    return np.concatenate([ids[:lead], inner, ids[-1:]])
