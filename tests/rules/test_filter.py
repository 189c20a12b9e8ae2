"""The rule that nothing passes, against sets."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.consumed import Consumed
from divrec.items import fingerprint
from divrec.rules.filter import allowed

ITEMS = [f"item {n}" for n in range(40)]
PRINTS = np.array([fingerprint(item) for item in ITEMS], np.uint32)
SOME = st.sets(st.integers(0, 39))


@settings(max_examples=200, deadline=None)
@given(SOME, SOME, SOME, st.lists(st.integers(0, 39), max_size=50), st.integers(1, 40))
def test_allowed(hidden: set[int], seen: set[int], excluded: set[int], rows: list[int], bound: int) -> None:
    consumed = Consumed()
    for item in sorted(seen):
        consumed = consumed.added(ITEMS[item], bound)
    flags = np.zeros(40, np.bool_)
    flags[list(hidden)] = True
    others = np.array(sorted(excluded), np.int32)
    found = allowed(
        np.array(rows, np.int32), flags, PRINTS, consumed.words(), consumed.filtered, consumed.shift, others
    )
    taken = {item for item in range(40) if ITEMS[item] in consumed}
    assert found.tolist() == [row not in hidden | taken | excluded for row in rows]
    assert seen <= taken
    assert consumed.filtered == (len(seen) > bound)
    if not consumed.filtered:
        assert seen == taken


def test_the_coarsest_set_holds_everything() -> None:
    """All 32 bits gone: shifting a 32-bit number by 32 must not leave it as it is."""
    consumed = Consumed(bytes(4), 32)
    rows = np.arange(40, dtype=np.int32)
    none = np.zeros(0, np.int32)
    assert not allowed(rows, np.zeros(40, np.bool_), PRINTS, consumed.words(), False, 32, none).any()
    assert all(item in consumed for item in ITEMS)
