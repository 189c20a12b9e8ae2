"""How alike rows of vectors are. Of unit vectors both say the same: distance² = 2 - 2 · cosine."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def cosines(a: Floats, b: Floats) -> Floats:
    """``float32[n, m]`` in [-1, 1], higher is more alike; 0 where a row of ``a[n, d]`` or ``b[m, d]`` is zero.

    >>> cosines(np.float32([[3, 4]]), np.float32([[3, 4], [0, 0]])).round(3).tolist()
    [[1.0, 0.0]]
    """
    product: Floats = np.clip(_unit(a) @ _unit(b).T, -1.0, 1.0)
    return product


def distances(a: Floats, b: Floats) -> Floats:
    """Euclidean, ``float32[n, m]`` of 0 and more, lower is more alike.

    >>> distances(np.float32([[0, 0]]), np.float32([[3, 4]])).tolist()
    [[5.0]]
    """
    left, right = a.astype(np.float64), b.astype(np.float64)
    squares = (left**2).sum(1)[:, None] + (right**2).sum(1) - 2.0 * (left @ right.T)
    result: Floats = np.sqrt(np.maximum(squares, 0.0)).astype(np.float32)
    return result


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    result: Floats = np.divide(rows, lengths, out=np.zeros_like(rows, np.float32), where=lengths > 0)
    return result
