"""What a text costs, measured so that a busy machine does not matter."""

import time
import timeit
from collections.abc import Callable


def costs_no_more(call: Callable[[str], object], piece: str) -> None:
    """Of a text of a million characters no more than of one of a hundred thousand, which is beyond every bound."""

    def cost(length: int) -> float:
        text = piece * (length // len(piece))
        return min(timeit.repeat(lambda: call(text), timer=time.thread_time, number=1, repeat=3))

    # Without a bound it would be ten times as much, and more where it grows as the square.
    assert cost(1_000_000) < 4 * cost(100_000) + 0.02
