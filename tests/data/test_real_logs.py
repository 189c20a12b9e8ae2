"""The presets on the real files: those beside the checkout, and the bundled log."""

from collections import Counter
from pathlib import Path

import pytest

from divrec.config import FeedbackConfig
from divrec.data.log import Log, demo_log, open_log
from divrec.events import Event, Item, Review

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"NOT TESTED: the real logs are not at {SHARED}")


def everything(log: Log) -> tuple[list[Item], list[Event]]:
    with log:
        items, events = list(log.items()), list(log.events())
        assert log.rejected == {}
    times = [event.ts for event in events]
    assert times == sorted(times)
    assert times[0] > 0
    assert log.events_read == len(events)
    return items, events


def kinds(events: list[Event]) -> dict[str, int]:
    return dict(Counter(type(event).__name__ for event in events))


def test_the_bundled_log() -> None:
    told: list[int] = []
    log = demo_log(FeedbackConfig(rating_min=0.5), progress=told.append)
    items, events = everything(log)
    assert sum(told) == log.total_bytes
    assert len(items) == 9_742
    assert kinds(events) == {"Click": 100_836, "Review": 3_683}
    assert len({event.user_id for event in events}) == 610
    assert Counter(event.rating for event in events if not isinstance(event, Review))[0.5] == 1_370  # type: ignore[union-attr]
    by_id = {item.item_id: item for item in items}
    assert by_id["2571"].title == "Matrix, The (1999)"
    assert by_id["2571"].categories == ["Action", "Sci-Fi", "Thriller"]
    assert sum(not item.categories for item in items) == 34
    assert events[0].ts == 828_124_615_000


def test_its_half_stars_fit_the_default_scale() -> None:
    with demo_log() as log:
        ratings = {event.rating for event in log.events() if not isinstance(event, Review)}  # type: ignore[union-attr]
        assert log.rejected == {}
    assert min(ratings) == 1.0
    assert max(ratings) == 5.0
    assert len(ratings) == 10


def test_its_terms_lie_beside_it() -> None:
    import divrec.data.log

    text = (Path(divrec.data.log.__file__).parent / "demo" / "README.md").read_text("utf-8")
    assert "GroupLens" in text
    assert "10.1145/2827872" in text


@needs_shared
def test_movielens_with_prefixed_names() -> None:
    paths = [SHARED / f"ml_latest_small_{part}.csv.gz" for part in ("ratings", "movies", "tags")]
    items, events = everything(open_log(paths, preset="movielens"))
    assert (len(items), len(events)) == (9_742, 104_519)
    items, events = everything(open_log([SHARED], preset="movielens"))
    assert (len(items), len(events)) == (9_742, 104_519)


@needs_shared
def test_ml_100k() -> None:
    items, events = everything(
        open_log([SHARED / "ml100k_inter.tsv.gz", SHARED / "ml100k_item.tsv.gz"], preset="ml-100k")
    )
    assert len(items) == 1_682
    assert kinds(events) == {"Click": 100_000}
    assert len({event.user_id for event in events}) == 943
    assert items[0] == Item(item_id="1", title="Toy Story", categories=["Animation", "Children's", "Comedy"])
    assert sum(not item.categories for item in items) == 2


@needs_shared
def test_amazon_reviews() -> None:
    items, events = everything(
        open_log([SHARED / "amazon2018_Magazine_Subscriptions_5.jsonl.gz"], preset="amazon-reviews")
    )
    assert not items
    assert kinds(events) == {"Review": 2_374, "Click": 1}  # one has stars and no text
    assert len({event.user_id for event in events}) == 348


@needs_shared
def test_amazon_reviews_with_products() -> None:
    paths = [SHARED / "amazon2018_Gift_Cards_5.jsonl.gz", SHARED / "amazon2018_meta_Gift_Cards.jsonl.gz"]
    items, events = everything(open_log(paths, preset="amazon-reviews"))
    assert len(items) == 1_547
    assert kinds(events) == {"Review": 2_966, "Click": 6}
    prices = [item.price for item in items if item.price is not None]
    assert max(prices) <= 2_000
    assert len(prices) > 300


@needs_shared
def test_the_same_through_a_mapping_given_by_hand() -> None:
    columns = {"user": "reviewerID", "item": "asin", "ts": "unixReviewTime", "rating": "overall", "text": "reviewText"}
    path = SHARED / "amazon2018_Magazine_Subscriptions_5.jsonl.gz"
    _, events = everything(open_log([path], map=columns))
    assert len(events) == 2_375


@needs_shared
def test_products_of_a_foreign_csv() -> None:
    columns = {"item": "product_id", "title": "title", "description": "description", "categories": "category"}
    path = SHARED / "fashion_products_44k_titles.csv.gz"
    with open_log([], items=[path], items_map=columns) as log:
        assert sum(1 for _ in log.items()) == 44_072
        assert log.rejected == {}
