"""How well classes are told apart."""

from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


def class_weights(labels: Ids, classes: int) -> Doubles:
    """float64[classes]: rows / (classes · rows of the class), so that every class counts as much as any other; 0 for a
    class without rows.

    >>> class_weights(np.array([0, 0, 0, 1]), 2).round(3).tolist()
    [0.667, 2.0]
    """
    counts = np.bincount(labels, minlength=classes)
    weights: Doubles = np.where(counts > 0, len(labels) / (classes * np.maximum(counts, 1)), 0.0)
    return weights


def class_metrics(told: Ids, predicted: Ids, values: Doubles, expected: Doubles) -> dict[str, Any]:
    """``accuracy``; ``precision``, ``recall`` and ``f1`` as means over the classes that occur in ``told[n]`` (macro);
    ``rmse`` of ``expected[n]``, a number for each row, to the class's value; ``per_class`` with the three and the
    number of rows of each.

    All in [0, 1], higher is better, but ``rmse`` of 0 and more, lower is better. A class that is never predicted has
    the precision 0. ``values[c]`` is what class ``c`` stands for.

    >>> found = class_metrics(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([1.0, 5.0]), np.array([1.0, 5.0, 5.0]))
    >>> found["accuracy"].__round__(3), found["recall"], found["precision"], found["rmse"].__round__(3)
    (0.667, 0.75, 0.75, 2.309)
    """
    counts = np.zeros((len(values), len(values)), np.int64)
    np.add.at(counts, (told, predicted), 1)
    right, rows, guesses = np.diag(counts), counts.sum(1), counts.sum(0)
    precision = right / np.maximum(guesses, 1)
    recall = right / np.maximum(rows, 1)
    f1 = 2.0 * right / np.maximum(rows + guesses, 1)
    there = rows > 0
    return {
        "accuracy": float(right.sum() / len(told)),
        "precision": float(precision[there].mean()),
        "recall": float(recall[there].mean()),
        "f1": float(f1[there].mean()),
        "rmse": float(np.sqrt(np.mean((expected - values[told]) ** 2))),
        "per_class": {
            f"{value:g}": {"precision": float(p), "recall": float(r), "f1": float(f), "rows": int(n)}
            for value, p, r, f, n in zip(values, precision, recall, f1, rows, strict=True)
        },
    }
