"""What each rule does to a slate, and how it says so."""

from typing import Any

import msgspec
import pytest

from divrec.config import Config
from divrec.deltas import ModelLogRecord
from divrec.engine import Ask, Engine
from divrec.events import Item, Recommendation, SlateItem, Trigger
from divrec.explain.words import explanation, ruled, taken_out
from divrec.model import DAY_MS
from divrec.profile import Profile
from divrec.rules.rests import LOGGED
from tests.test_engine import NOW, clicked, ids, with_items

HOUR_MS = 3_600_000


def shop(count: int = 40, ts: int = 1, slate: dict[str, Any] | None = None, **rules: Any) -> Engine:
    """Items of five categories, four brands and three sellers, some of them much liked."""
    engine = with_items(0, Config(rules=rules, slate=slate or {}))
    for n in range(count):
        item = Item(item_id=f"i{n}", title=f"item {n}", categories=[f"C{n % 5}"], brand=f"B{n % 4}", price=float(n))
        item.seller, item.ts = f"s{n % 3}", ts
        engine.put_item(item)
    for user in range(30):
        profile = Profile(f"other {user}", 0)
        for n in range(user):
            observed = clicked(engine, profile, f"i{n}", action="like")
            assert observed.delta is not None
            profile = observed.profile
            engine.apply(ModelLogRecord(0, [observed.delta]), n)
    return engine


def made(engine: Engine, profile: Profile | None = None, now: int = NOW, **about: Any) -> list[SlateItem]:
    ask = Ask(profile or Profile("u", 0), now, **about)
    return engine.recommend_all([ask])[0]


def where(field: str, *any_of: str, **operators: Any) -> list[dict[str, Any]]:
    return [{"field": field} | ({"any_of": any_of} if any_of else operators)]


def pin(item: str, position: int) -> dict[str, Any]:
    return {"name": f"pin-{item}", "item": item, "position": position}


def test_without_rules_nothing_is_said_of_them() -> None:
    engine = shop()
    (slate,), (removed,) = engine.recommend_ruled([Ask(Profile("u", 0), NOW)])
    about: dict[str, Any] = {"recommendation_id": "r", "user_id": "u", "ts": 1, "made_at": 1, "generation": "g1"}
    about |= {"trigger": Trigger(partition=0, offset=0), "version": 1, "diversity": 0.2}
    told = msgspec.json.encode(Recommendation(items=slate, removed=removed, **about))
    assert b"rules" not in told and b"removed" not in told and b"sponsored" not in told


def test_filters_take_out_and_count() -> None:
    cheap = [{"field": "price", "below": 20}, {"field": "brand", "none_of": ["B0"]}]
    engine = shop(filters=[{"name": "cheap", "where": cheap}, {"name": "c1", "where": where("categories", "c1")}])
    (slate,), (removed,) = engine.recommend_ruled([Ask(Profile("u", 0), NOW, 40)])
    left = {f"i{n}" for n in range(40) if not (n < 20 and n % 4) and n % 5 != 1}
    assert set(ids(slate)) == left
    assert removed == {"cheap": 15, "c1": len([n for n in range(40) if n % 5 == 1 and not (n < 20 and n % 4)])}
    assert "15 by cheap" in taken_out(removed) and "cheap 15 项" in taken_out(removed, "zh")


def test_an_item_that_changes_is_looked_at_again() -> None:
    engine = shop(filters=[{"name": "f", "where": where("brand", "gone")}])
    assert "i7" in ids(made(engine, k=40))
    engine.put_item(Item(item_id="i7", brand="Gone"))
    assert "i7" not in ids(made(engine, k=40))
    engine.put_item(Item(item_id="i7", brand="back"))
    assert "i7" in ids(made(engine, k=40))


def test_age_is_that_at_the_time_of_the_slate() -> None:
    young = [{"field": "age_days", "at_least": 1, "below": 7}]
    engine = shop(ts=NOW, filters=[{"name": "f", "where": young}])
    for days, count in ((0.5, 10), (1, 0), (6.9, 0), (7, 10)):
        assert len(made(engine, now=NOW + int(days * DAY_MS))) == count, days


def test_boosts_move_and_demote_and_relevance_stays_in_its_range() -> None:
    plain = {item.item_id: item.relevance for item in made(shop(), diversity=0.0, k=40)}
    engine = shop(
        boosts=[
            {"name": "up", "where": where("brand", "B3"), "factor": 4},
            {"name": "down", "where": where("categories", "C3"), "factor": 0.5},
        ]
    )
    slate = made(engine, diversity=0.0, k=40)
    boosted = {item.item_id: item.relevance for item in slate}
    factor = {f"i{n}": (4 if n % 4 == 3 else 1) * (0.5 if n % 5 == 3 else 1) for n in range(40)}
    most = max(1.0, max(plain[item] * factor[item] for item in plain))
    assert boosted == pytest.approx({item: plain[item] * factor[item] / most for item in plain}, abs=2e-5)
    assert [item.relevance for item in slate] == sorted(boosted.values(), reverse=True)
    assert all(("up" in item.rules) == (int(item.item_id[1:]) % 4 == 3) for item in slate)
    assert [item.relevance_rank for item in slate] == list(range(1, 41))


def test_a_pin_stands_at_its_position_unless_the_user_is_through_with_it() -> None:
    engine = shop(pins=[pin("i39", 3), pin("i38", 12)])
    slate = made(engine)
    assert slate[2].item_id == "i39" and slate[2].rules == ["pin-i39"] and "i38" not in ids(slate)
    assert slate[2].relevance_rank > 10 and slate[2].preferred_to is not None
    assert len(slate) == 10 and len(made(engine, k=2)) == 2 and "i39" not in ids(made(engine, k=2))
    assert made(engine, k=12)[11].item_id == "i38"
    for action in ("click", "hide"):
        profile = clicked(engine, Profile("u", 0), "i39", action=action).profile
        assert "i39" not in ids(made(engine, profile)) and len(made(engine, profile)) == 10
    assert "i39" not in ids(made(engine, exclude=["i39"]))
    engine.put_item(Item(item_id="i39", available=False))
    assert "i39" not in ids(made(engine)) and len(made(engine)) == 10


def test_pins_move_up_where_there_is_not_enough_above_them() -> None:
    engine = with_items(4, Config(rules={"pins": [pin("i3", 4), pin("i2", 9)]}))
    assert ids(made(engine))[2:] == ["i3", "i2"]
    engine = with_items(4, Config(rules={"pins": [pin("i3", 7), pin("i2", 9)]}))
    assert ids(made(engine))[2:] == ["i3", "i2"]


def test_sponsored_slots_hold_the_most_relevant_that_match_and_are_marked() -> None:
    engine = shop(
        pins=[pin("i0", 2)],
        sponsored=[
            {"name": "spring", "where": where("categories", "C4"), "positions": [2, 4]},
            {"name": "fallback", "where": where("brand", "B1"), "positions": [4, 6, 2]},
        ],
    )
    slate = made(engine, diversity=0.0)
    best = made(shop(), diversity=0.0, k=40)
    assert slate[1].item_id == "i0" and not slate[1].sponsored, "a pin goes first"
    most = next(item for item in ids(best) if int(item[1:]) % 5 == 4)
    assert slate[3].item_id == most and slate[3].rules == ["spring"] and slate[3].sponsored
    assert slate[5].rules == ["fallback"] and slate[5].sponsored
    assert sum(item.sponsored for item in slate) == 2
    assert "sponsored" in explanation(slate[3], {}) and "推广" in explanation(slate[3], {}, "zh")
    assert ruled(slate[3]) == ["sponsored", "by rule: spring"] and ruled(slate[1]) == ["by rule: pin-i0"]
    profile = Profile("u", 0)
    for n in range(4, 40, 5):
        profile = clicked(engine, profile, f"i{n}", action="hide").profile
    assert [item.rules for item in made(engine, profile)[3:4]] == [["fallback"]], "nothing of spring may be shown"


def test_what_a_rule_wants_need_not_be_a_candidate_of_the_user() -> None:
    """Old items, of which nobody knows anything, among a thousand newer ones."""
    rules: dict[str, Any] = {
        "pins": [pin("odd", 5)],
        "sponsored": [{"name": "s", "where": where("item_id", "ad"), "positions": [2]}],
        "limits": [{"name": "l", "where": where("brand", "rare"), "least": 1}],
    }
    engine = shop(1_000, ts=NOW - DAY_MS, **rules)
    for item_id in ("odd", "ad", "rare"):
        assert item_id not in ids(made(engine, k=200))
        engine.put_item(Item(item_id=item_id, brand=item_id, ts=1))
    slate = made(engine)
    assert slate[4].item_id == "odd" and slate[1].item_id == "ad"
    assert [item.rules for item in slate if item.item_id == "rare"] == [["l"]]
    engine.put_item(Item(item_id="ad", available=False))
    assert not any(item.sponsored for item in made(engine))


@pytest.mark.parametrize("diversity", [0.0, 0.2, 1.0])
def test_limits_hold_at_every_strength(diversity: float) -> None:
    engine = shop(
        limits=[
            {"name": "brands", "by": "brand", "most": 3},
            {"name": "categories", "by": "category", "most": 3},
            {"name": "sellers", "by": "seller", "most": 4},
            {"name": "no-c0", "where": where("categories", "C0"), "most": 0},
            {"name": "c2", "where": where("categories", "C2"), "least": 3},
        ]
    )
    (slate,), (removed,) = engine.recommend_ruled([Ask(Profile("u", 0), NOW, diversity=diversity)])
    numbers = [int(item[1:]) for item in ids(slate)]
    assert len(numbers) == 10
    for modulus, most in ((4, 3), (5, 3), (3, 4)):
        assert max(sum(n % modulus == rest for n in numbers) for rest in range(modulus)) <= most
    assert sum(n % 5 == 2 for n in numbers) == 3 and not any(n % 5 == 0 for n in numbers)
    names = {"brands", "categories", "sellers", "no-c0", "c2"}
    assert "no-c0" in removed and set(removed) <= names
    assert {"c2"} <= {name for item in slate for name in item.rules} <= names


def test_a_least_count_reaches_beyond_the_pool() -> None:
    limit = {"name": "last", "where": where("price", at_least=36), "least": 3}
    engine = shop(slate={"pool": 10}, limits=[limit])
    slate = made(engine)
    assert sum(int(item[1:]) >= 36 for item in ids(slate)) == 3
    assert sum(item.rules == ["last"] for item in slate) == 3
    assert [item.relevance for item in slate] == sorted((item.relevance for item in slate), reverse=True)


def test_too_few_within_a_limit_make_a_short_list() -> None:
    engine = shop(limits=[{"name": "brands", "by": "brand", "most": 2}])
    assert len(made(engine, k=30)) == 8, "four brands"


def test_caps_and_cool_downs() -> None:
    engine = shop(cap_impressions=2, cap_days=1, cool_down_hours=6)
    first = made(engine)[0].item_id
    profile = Profile("u", 0)
    profile = clicked(engine, profile, first, action="impression").profile
    (slate,), (removed,) = engine.recommend_ruled([Ask(profile, NOW)])
    assert first not in ids(slate) and removed == {"cool-down": 1}
    assert first in ids(made(engine, profile, NOW + 6 * HOUR_MS + 60_000, diversity=0.0))
    profile = clicked(engine, profile, first, NOW + 7 * HOUR_MS, action="view").profile
    assert first in ids(made(engine, profile, k=40)), "answered"
    profile = clicked(engine, profile, first, NOW + 8 * HOUR_MS, action="impression").profile
    (slate,), (removed,) = engine.recommend_ruled([Ask(profile, NOW + 15 * HOUR_MS)])
    assert first not in ids(slate) and removed == {"cap": 1}
    assert first in ids(made(engine, profile, NOW + 25 * HOUR_MS, k=40)), "the first is a day ago"
    for n in range(LOGGED + 5):
        profile = clicked(engine, profile, f"i{n % 40}", action="impression").profile
    assert len(profile.impressions) == 8 * LOGGED
    assert not clicked(shop(), Profile("u", 0), "i1", action="impression").profile.impressions, "no rule asks for it"


@pytest.mark.parametrize("repeats", [True, False])
def test_what_a_user_hides_never_comes_again(repeats: bool) -> None:
    engine = with_items(30, Config(slate={"allow_repeats": repeats}))
    profile = clicked(engine, Profile("u", 0), "i3", action="purchase").profile
    assert ("i3" in ids(made(engine, profile, k=30))) is repeats
    observed = clicked(engine, profile, "i3", action="hide")
    profile = observed.profile
    assert observed.delta is None and observed.interaction and profile.rejected == ["i3"]
    profile = clicked(engine, profile, "i3", action="like").profile
    (slate,), (removed,) = engine.recommend_ruled([Ask(profile, NOW, 30)])
    assert "i3" not in ids(slate) and removed == {"hidden": 1}
    assert "hidden by the user" in taken_out(removed)


def test_own_items() -> None:
    engine = shop(own_items=False)
    (slate,), (removed,) = engine.recommend_ruled([Ask(Profile("s1", 0), NOW, 40)])
    assert {int(item[1:]) % 3 for item in ids(slate)} == {0, 2} and removed == {"own-items": 13}
    assert len(made(engine, Profile("someone", 0), k=40)) == 40
    assert len(made(shop(), Profile("s1", 0), k=40)) == 40


def test_slates_that_explore_keep_what_rules_placed_and_their_limits() -> None:
    rules: dict[str, Any] = {
        "pins": [pin("i39", 1)],
        "sponsored": [{"name": "s", "where": where("brand", "B1"), "positions": [4]}],
        "limits": [
            {"name": "brands", "by": "brand", "most": 3},
            {"name": "c2", "where": where("categories", "C2"), "least": 2},
        ],
        "filters": [{"name": "f", "where": where("seller", "s2")}],
    }
    engine = shop(80, ts=NOW, slate={"explore": 0.7}, **rules)
    drawn = set[str]()
    for n in range(60):
        slate = made(engine, Profile(f"u{n}", 0))
        numbers = [int(item[1:]) for item in ids(slate)]
        assert slate[0].item_id == "i39" and slate[0].propensity == 1.0 and not slate[0].sponsored
        assert slate[3].sponsored and slate[3].propensity == 1.0
        assert [item.sponsored for item in slate].count(True) == 1
        assert max(sum(n % 4 == brand for n in numbers) for brand in range(4)) <= 3
        assert sum(n % 5 == 2 for n in numbers) >= 2
        assert not any(n % 3 == 2 for n in numbers) and len(set(numbers)) == len(numbers)
        drawn |= {item.item_id for item in slate if item.reasons and item.reasons[0].code == "explored"}
    assert len(drawn) > 5


def test_rules_see_every_ask_of_a_batch_alone() -> None:
    engine = shop(
        200,
        slate={"pool": 20},
        limits=[{"name": "l", "by": "category", "most": 2}],
        boosts=[{"name": "b", "where": where("brand", "B1"), "factor": 2}],
        own_items=False,
        cap_impressions=1,
    )
    asks, profile = [], Profile("s1", 0)
    for n in range(20):
        profile = clicked(engine, profile, f"i{7 * n % 30}", action=("impression", "hide", "like")[n % 3]).profile
        asks.append(Ask(profile, NOW + n, 1 + n, n / 20))
    together, removed = engine.recommend_ruled(asks)
    alone = [engine.recommend_ruled([ask]) for ask in asks]
    assert together == [slates[0] for slates, _ in alone] and removed == [counts[0] for _, counts in alone]
