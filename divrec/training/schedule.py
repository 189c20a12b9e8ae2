"""The learning rate over a training."""

WARM_UP = 0.1


def factor(step: int, total: int, warm_up: float = WARM_UP) -> float:
    """Of the learning rate at ``step``, 0 ≤ step < total: in (0, 1], up in a line over the first ``warm_up`` of the
    steps, then down in a line to 0 behind the last one.

    >>> [round(factor(step, 10, 0.2), 3) for step in (0, 1, 2, 9)]
    [0.5, 1.0, 1.0, 0.125]
    """
    rising = round(warm_up * total)
    if step < rising:
        return (step + 1) / rising
    return (total - step) / max(1, total - rising)
