"""The interest vector: where in the text space a user's recent likes lie.

    u = Σ_q feedback_q · 0.9^q · v_q  +  REVIEW_SHARE · r,   scaled to unit length

over the last ``INTEREST_HISTORY`` interactions and rejections whose item has a vector (q counts back from the newest
of either), and the decayed mean r of the user's own review vectors. Negative feedback pushes away. Vectors are
centred.
"""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled_fast

INTEREST_HISTORY = 20
STEP_DECAY = 0.9
REVIEW_SHARE = 1.0
REVIEW_DECAY = 0.8
"""Share of the old review vector kept when the user writes another review."""

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]


@compiled_fast
def _add(out: Vectors, vectors: Vectors, items: Rows, feedback: Vectors) -> None:
    decay = np.float32(1)
    for n in range(min(INTEREST_HISTORY, len(items))):
        row = items[n]
        if row >= 0:  # a row without a vector is zero
            weight = decay * feedback[n]
            for i in range(len(out)):
                out[i] += weight * vectors[row, i]
        decay *= np.float32(STEP_DECAY)


@compiled_fast
def interest_vector(
    vectors: Vectors, items: Rows, feedback: Vectors, rejected: Rows, rejected_feedback: Vectors, review: Vectors
) -> Vectors:
    """Unit float32[d] from items (newest first, -1: unknown) and ``review[d]``; zero if there is nothing to go by."""
    d = vectors.shape[1]
    out = np.zeros(d, np.float32)
    _add(out, vectors, items, feedback)
    _add(out, vectors, rejected, rejected_feedback)
    if len(review) == d:
        for i in range(d):
            out[i] += np.float32(REVIEW_SHARE) * review[i]
    norm = np.float32(0)
    for i in range(d):
        norm += out[i] * out[i]
    if norm > 0:
        norm = np.float32(np.sqrt(norm))
        for i in range(d):
            out[i] /= norm
    return out
