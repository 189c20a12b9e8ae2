"""What was shown without an answer gives way, the more the later and the more often it was."""

import numpy as np
import pytest

from divrec.rules.impressions import LEAST, give_way


def left(shown: list[int], rows: int = 5) -> tuple[list[float], list[int]]:
    relevance = np.ones(rows, np.float32)
    found = give_way(np.arange(rows, dtype=np.int32), np.array(shown, np.int32), relevance)
    return relevance.tolist(), found.tolist()


def test_40_percent_at_once_half_of_it_ten_impressions_later() -> None:
    relevance, impressions = left([3, *[-1] * 9, 1, *[-1] * 9, 0, *[-1] * 9])
    assert relevance == pytest.approx([0.9, 0.8, 1.0, 0.6, 1.0])
    assert impressions == [1, 1, 0, 1, 0]


def test_more_impressions_take_off_more_and_never_all() -> None:
    relevance, impressions = left([2, -1, 2])
    assert relevance[2] == pytest.approx(0.6 * (1 - 0.4 * 2**-0.2)) and impressions[2] == 2
    relevance, impressions = left([4] * 30)
    assert relevance[4] == LEAST and impressions[4] == 30
    assert left([]) == ([1.0] * 5, [0] * 5)
