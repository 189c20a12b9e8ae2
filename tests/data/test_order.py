import tempfile
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.data.order import by_time
from divrec.events import Click, Event, Request, Review

TIMES = st.integers(0, 30)
EVENTS = st.one_of(
    st.builds(Click, user_id=st.sampled_from("ab"), item_id=st.text(min_size=1, max_size=3), ts=TIMES),
    st.builds(Review, user_id=st.just("ü"), item_id=st.just("i"), text=st.text(max_size=600), ts=TIMES),
    st.builds(Request, user_id=st.just("a"), ts=TIMES),
)


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=60), st.integers(1, 70))
def test_equals_sorted_for_any_run_size(events: list[Event], run: int) -> None:
    told: list[int] = []
    assert list(by_time(iter(events), run, told.append)) == sorted(events, key=lambda event: event.ts)
    assert told == sorted(told)
    assert told[-1] == len(events)


def test_lines_longer_than_a_block_and_runs_of_many_blocks() -> None:
    events: list[Event] = [Review(user_id="u", item_id=str(i), text="é\n" * 30_000, ts=9 - i) for i in range(9)]
    assert [event.item_id for event in by_time(events, run=300)] == [str(i) for i in range(9)][::-1]
    clicks: list[Event] = [Click(user_id="u", item_id=str(i), ts=(i * 7919) % 5_000) for i in range(5_000)]
    assert list(by_time(clicks, run=2_000)) == sorted(clicks, key=lambda event: event.ts)


def test_one_run_never_touches_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise AssertionError("spilled")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    events: list[Event] = [Click(user_id="u", item_id="i", ts=i) for i in range(99)]
    assert list(by_time(events, run=100)) == events
    with pytest.raises(AssertionError, match="spilled"):
        list(by_time(events, run=99))


def test_more_events_need_no_more_memory() -> None:
    def stream(count: int) -> Iterator[Event]:
        for i in range(count):
            yield Click(user_id=f"user-{i}", item_id=f"item-{i}", ts=1_000_000 + (i * 7919) % count)

    def peak(count: int) -> int:
        tracemalloc.start()
        assert sum(1 for _ in by_time(stream(count), run=2_000)) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(100)  # what is allocated once and for all
    small, large = peak(4_000), peak(16_000)
    assert large < 3 * small, (small, large)
