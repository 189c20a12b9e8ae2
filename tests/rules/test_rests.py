"""Caps and cool-downs, against plain Python."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.items import fingerprint
from divrec.rules.rests import LOGGED, MINUTE_MS, answered, logged, resting

ITEMS = [f"i{n}" for n in range(6)]
EVENTS = st.lists(st.tuples(st.sampled_from(ITEMS), st.integers(0, 500), st.booleans()), max_size=40)


@settings(max_examples=200, deadline=None)
@given(EVENTS, st.integers(0, 4), st.integers(1, 300), st.integers(0, 300), st.integers(0, 600))
def test_what_rests(
    events: list[tuple[str, int, bool]], cap: int, cap_minutes: int, cool_minutes: int, minute: int
) -> None:
    log, shown = b"", list[tuple[str, int]]()
    unanswered = set[int]()
    for item, at, answers in events:
        if answers:
            log = answered(log, item)
            unanswered -= {n for n, (other, _) in enumerate(shown) if other == item}
        else:
            log = logged(log, item, at * MINUTE_MS + 30_000)
            unanswered.add(len(shown))
            shown.append((item, at))
    prints, capped = resting(
        np.frombuffer(log, "<u4"), minute * MINUTE_MS, cap, float(cap_minutes), float(cool_minutes)
    )
    expected = {}
    for item in ITEMS:
        full = 0 < cap <= sum(other == item and minute - at < cap_minutes for other, at in shown)
        cools = any(shown[n][0] == item and minute - shown[n][1] < cool_minutes for n in unanswered)
        if full or cools:
            expected[fingerprint(item)] = full
    assert dict(zip(prints.tolist(), capped.tolist(), strict=True)) == expected
    assert prints.tolist() == sorted(expected)


def test_the_log_is_bounded() -> None:
    log = b""
    for n in range(LOGGED + 9):
        log = logged(log, f"i{n}", n)
    assert len(log) == 8 * LOGGED
    assert answered(log, "i0") is log and answered(log, "i9") != log
