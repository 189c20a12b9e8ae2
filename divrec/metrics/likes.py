"""Like or dislike, predicted against told."""

import numpy as np

from divrec.metrics.hits import Hits


def accuracy(predicted: Hits, told: Hits) -> float:
    """Share of equal answers, bool[n] each: [0, 1], higher is better; NaN for none."""
    return float(np.mean(predicted == told)) if len(told) else float("nan")


def likes_f1(predicted: Hits, told: Hits) -> float:
    """2 TP / (2 TP + FP + FN) of the likes: [0, 1], higher is better; 0 where no like was predicted or told."""
    wrong = int(np.count_nonzero(predicted != told))
    right = int(np.count_nonzero(predicted & told))
    return 2 * right / (2 * right + wrong) if right else 0.0
