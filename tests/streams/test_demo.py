"""What the demo replays and how it measures."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from divrec.events import Click, Recommendation, SlateItem, Trigger
from streams.demo.excerpt import latest
from streams.demo.measure import Measures, Ranking


@given(st.lists(st.integers(0, 12).map(str)), st.sets(st.integers(0, 12).map(str)), st.integers(0, 5))
def test_ranking_is_by_count(added: list[str], without: set[str], count: int) -> None:
    ranking = Ranking()
    for item in added:
        ranking.add(item)
    counts = Counter(added)
    expected = sorted((counts[item] for item in counts if item not in without), reverse=True)[:count]
    top = ranking.top(count, without)
    assert [counts[item] for item in top] == expected
    assert len(set(top)) == len(top) and not without & set(top)


def click(user: str, item: str, rating: float) -> Click:
    return Click(user_id=user, item_id=item, rating=rating)


def slate(user: str, *items: str) -> Recommendation:
    return Recommendation(
        recommendation_id="g:0:0",
        user_id=user,
        trigger=Trigger(partition=0, offset=0),
        ts=0,
        made_at=0,
        generation="g",
        version=0,
        diversity=0.0,
        items=[SlateItem(item_id=item, position=n, relevance=0, relevance_rank=n) for n, item in enumerate(items, 1)],
    )


def test_a_hit_is_in_the_latest_slate_that_came_before() -> None:
    measures = Measures()
    measures.rated(click("ann", "a", 5))  # no slate yet: no test
    assert measures.tests == 0
    measures.slate(slate("ann", "b", "c"))
    measures.rated(click("ann", "c", 3.5))  # not one that she wanted
    measures.rated(click("ann", "b", 4))
    measures.slate(slate("ann", "d"))
    measures.rated(click("ann", "e", 5))
    assert (measures.tests, measures.hits) == (2, 1)
    assert measures.popular_hits == 0
    measures.slate(slate("bob", "z"))
    measures.rated(click("bob", "a", 5))  # what others rated most
    assert (measures.tests, measures.hits, measures.popular_hits) == (3, 1, 1)


def test_only_the_first_ten_count() -> None:
    measures = Measures()
    measures.slate(slate("ann", *map(str, range(12))))
    measures.rated(click("ann", "10", 5))
    assert (measures.tests, measures.hits) == (1, 0)


def test_delays() -> None:
    measures = Measures()
    assert measures.delays() is None
    for ms in range(101):
        measures.delayed(float(ms))
    assert measures.delays() == (50.0, 99.0)
    assert measures.delays(latest=1) == (100.0, 100.0)


def test_the_excerpt_is_by_time_and_has_the_films_it_mentions() -> None:
    excerpt = latest(2_000)
    times = [event.ts for event in excerpt.events]
    assert times == sorted(times) and len(times) == 2_000
    assert excerpt.clicks + excerpt.reviews == 2_000 and excerpt.reviews > 0
    assert {item.item_id for item in excerpt.items} == {event.item_id for event in excerpt.events}  # type: ignore[union-attr]
    assert len({event.event_id for event in excerpt.events}) == 2_000
    assert all(excerpt.titles.values())
    assert min(e.rating for e in excerpt.events if isinstance(e, Click) and e.rating) >= 0.5
