"""The leaders, kept by looking at what was touched, are those that a look at everything finds."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.cf.leaders import Leaders

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("gain"), st.lists(st.integers(0, 29), min_size=1, max_size=12)),
        st.tuples(st.sampled_from(["enter", "fade", "look", "forget"]), st.just([])),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(STEPS, st.randoms(use_true_random=False))
def test_leaders_are_the_highest(steps: list[tuple[str, list[int]]], random: object) -> None:
    counts = (5, 2)
    rows = np.arange(30, dtype=np.int32)
    random.shuffle(rows)  # type: ignore[attr-defined]
    entered = 6
    places = np.zeros(30, np.int32)
    places[rows] = np.arange(30)
    values = [np.zeros(30), np.zeros(30)]
    leaders = Leaders(*counts)
    for step, places_of_gain in [*steps, ("look", [])]:
        match step:
            case "gain":
                items = rows[[place % entered for place in places_of_gain]]
                values[0][items] += 1.0
                values[1][items] += 0.5 * (items % 2)
                leaders.touch(items)
            case "enter":
                entered = min(30, entered + 3)
            case "fade":
                for value in values:
                    value *= 0.5
            case "forget":
                leaders.forget()
            case "look":
                found = leaders.renewed(values, rows[:entered], places)
                for count, value, held in zip(counts, values, found, strict=True):
                    expected = sorted(rows[:entered].tolist(), key=lambda item: (-value[item], places[item]))
                    assert held.tolist() == expected[:count]
