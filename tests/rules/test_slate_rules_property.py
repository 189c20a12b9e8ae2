"""Configured rules over random event streams: what they say of every slate, told again in plain Python."""

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from divrec.engine import Ask
from divrec.events import Item, SlateItem
from divrec.rules.config import FIXED
from tests.test_slate_property import ITEMS, USERS, Stream, steps

PINNED, MOST, LEAST, CAP = "i3", 2, 3, 2
RULES: dict[str, Any] = {
    "filters": [{"name": "bad", "where": [{"field": "categories", "any_of": ["BAD"]}]}],
    "boosts": [{"name": "up", "where": [{"field": "price", "at_least": 10}], "factor": 3}],
    "pins": [{"name": "welcome", "item": PINNED, "position": 1}],
    "sponsored": [{"name": "spring", "where": [{"field": "categories", "any_of": ["ad"]}], "positions": [3]}],
    "limits": [
        {"name": "brands", "by": "brand", "most": MOST},
        {"name": "good-ones", "where": [{"field": "categories", "any_of": ["good"]}], "least": LEAST},
    ],
    "own_items": False,
    "cap_impressions": CAP,
}


class Ruled(Stream):
    def __init__(self, rules: dict[str, Any], **slate: Any) -> None:
        super().__init__(rules, **slate)
        self.items: dict[str, Item] = {}
        self.impressions: dict[str, Counter[str]] = {user: Counter() for user in USERS}

    def described(self, item: str) -> Item:
        n = ITEMS.index(item)
        names = [name for name, every in (("bad", 7), ("good", 4), ("ad", 5)) if n % every == 1]
        seller = USERS[n % 2] if n % 6 == 0 else None
        found = Item(item_id=item, categories=names, price=float(n), ts=self.offset, seller=seller)
        found.brand = f"b{n % 3}" if n % 8 else None
        return found

    def step(self, step: tuple[Any, ...]) -> None:
        if step[0] == "click" and step[3] == "impression":
            self.impressions[step[1]][step[2]] += 1
        before = len(self.engine.catalog)
        super().step(step)
        match step:
            case "put", item if self.engine.catalog.listed[self.engine.items.get(item)] and before < 16:
                self.items[item] = self.described(item)
            case "withdraw", item:
                self.items.pop(item, None)

    def may(self, user: str, item: str, exclude: list[str]) -> bool:
        about = self.items.get(item)
        forbidden = self.withdrawn | set(exclude) | self.hidden[user]
        if not self.config.slate.allow_repeats:
            forbidden |= {i for i in ITEMS if i in self.profiles[user].consumed}
        forbidden |= {i for i in ITEMS if i in self.profiles[user].hidden}
        ruled = about is not None and ("bad" in about.categories or about.seller == user)
        return not (item in forbidden or ruled or self.impressions[user][item] >= CAP)

    def check(self, user: str, exclude: list[str], k: int, diversity: float) -> None:
        super().check(user, exclude, k, diversity)
        (slate,), (removed,) = self.engine.recommend_ruled(
            [Ask(self.profiles[user], self.offset, k, diversity, exclude, explore=False)]
        )
        self.check_rules(user, exclude, k, slate)
        assert set(removed) <= {*FIXED, "bad", "brands", "good-ones"} and all(removed.values())
        (explored,) = self.engine.recommend_all([Ask(self.profiles[user], self.offset, k, diversity, exclude)])
        self.check_rules(user, exclude, k, explored, full=False)

    def check_rules(self, user: str, exclude: list[str], k: int, slate: list[SlateItem], *, full: bool = True) -> None:
        shown = [item.item_id for item in slate]
        assert all(self.may(user, item, exclude) for item in shown)
        free = [item for item in self.items if self.may(user, item, exclude)]
        placed = []
        if PINNED in free:
            assert shown[0] == PINNED and "welcome" in slate[0].rules
            placed.append(PINNED)
        ads = [item for item in free if "ad" in self.items[item].categories and item not in placed]
        sponsored = [item for item in slate if item.sponsored]
        assert len(sponsored) == (k >= 3 and bool(ads))
        for item in sponsored:
            assert item.item_id in ads and "spring" in item.rules
            assert item.position == 3 or item.position == len(slate) < 3
            placed.append(item.item_id)
        brands = Counter(self.brand(item) for item in shown)
        had = Counter(self.brand(item) for item in placed)
        assert all(count <= max(MOST, had[brand]) for brand, count in brands.items() if brand)
        # A least count, and the length, as far as the greatest count of each brand lets it.
        room = k - len(placed)
        others = [item for item in free if item not in placed]
        good = [item for item in others if "good" in self.items[item].categories]
        reach = len(self.good(placed)) + min(room, self.fitting(good, had))
        assert len(self.good(shown)) >= min(LEAST, reach)
        if full:
            assert len(slate) >= min(k, len(placed) + self.fitting(others, had))

    def brand(self, item: str) -> str | None:
        return self.items[item].brand if item in self.items else None

    def good(self, items: list[str]) -> list[str]:
        return [item for item in items if item in self.items and "good" in self.items[item].categories]

    def fitting(self, items: list[str], had: Counter[str | None]) -> int:
        counts = Counter(self.brand(item) for item in items)
        return sum(min(count, max(0, MOST - had[brand])) if brand else count for brand, count in counts.items())


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=5, max_size=60), st.booleans(), st.sampled_from([0.0, 0.5]))
def test_every_rule_holds(stream_steps: list[tuple[Any, ...]], repeats: bool, share: float) -> None:
    stream = Ruled(RULES, allow_repeats=repeats, explore=share)
    for step in stream_steps:
        stream.step(step)
        stream.check_bounds()
    for user in USERS:
        for k in (2, 5, 30):
            stream.check(user, [], k, 0.3)
