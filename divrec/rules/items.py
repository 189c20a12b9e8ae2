"""What rules say of each item, as arrays for compiled code: looked at once, when the item comes to the catalogue."""

from collections.abc import Iterable
from sys import getsizeof
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.events import Item
from divrec.items import ItemIndex, fingerprint, grown
from divrec.rules.conditions import matcher
from divrec.rules.config import MATCHING, Limit, RulesConfig, Sponsored
from divrec.rules.room import Room

Bits = npt.NDArray[np.uint32]
Ids = npt.NDArray[np.int32]

DAY_MS = 86_400_000
WANTED = 16
"""Items of each sponsored rule and each least count that are candidates of every slate, whoever asks: the newest."""
MOST_WANTED = 112
NO_BOUND = 1_000_000
CATEGORY, BRAND, SELLER = BY = ("category", "brand", "seller")


class RuleArrays(NamedTuple):
    """The rules for compiled code. Numbers of rules are those of ``RulesConfig.names``; positions count from 0."""

    active: bool
    """There are rules at all, beside what users hid."""
    bits: Bits
    """By item index: which rules with conditions it matches, but for bounds of age; empty where there are none."""
    brands: Bits
    """By item index: fingerprint of the brand, 0 for none; empty where no rule asks for it."""
    sellers: Bits
    filters: np.uint32
    boosts: np.uint32
    factors: npt.NDArray[np.float32]
    """By rule."""
    aged: np.uint32
    """Rules with a bound of age."""
    youngest: npt.NDArray[np.float64]
    """By rule: least age in milliseconds, and the age that it must be below."""
    oldest: npt.NDArray[np.float64]
    own: bool
    """Items that the user sells are taken out."""
    cap: int
    """Impressions; 0: any number."""
    cap_minutes: float
    cool_minutes: float
    pins: Ids
    """Item index of each, -1 where unknown, in the order of positions."""
    pin_rules: Ids
    pin_positions: Ids
    slots: Ids
    """The rule of each sponsored slot, in the order of positions and then of rules."""
    slot_positions: Ids
    limit_rules: Ids
    limit_by: Ids
    """-1: those that match the rule; else a place in ``BY``."""
    limit_most: Ids
    limit_least: Ids
    wanted: Ids
    """Items that are candidates of every slate."""


class ItemRules:
    """Keeps the arrays by item index."""

    def __init__(self, config: RulesConfig, items: ItemIndex) -> None:
        self.names = config.names
        self._config, self._items = config, items
        self._matchers = [matcher(rule.where or ()) for rule in config.matching]
        self._numbers = {name: n for n, name in enumerate(self.names)}
        by = {limit.by for limit in config.limits}
        self._keeps_brands = BRAND in by
        self._keeps_sellers = SELLER in by or not config.own_items
        self.bits: Bits = np.zeros(0, np.uint32)
        self.brands: Bits = np.zeros(0, np.uint32)
        self.sellers: Bits = np.zeros(0, np.uint32)
        self._wanting = [
            self._numbers[rule.name]
            for rule in config.matching
            if isinstance(rule, Sponsored) or (isinstance(rule, Limit) and rule.least is not None)
        ]
        self._wanted: list[int] | None = None
        self._pinned = [pin.item for pin in sorted(config.pins, key=lambda pin: pin.position)]
        self._sponsored = sum(1 << self._numbers[rule.name] for rule in config.sponsored)
        self._fixed = self._compiled()

    def resize(self, capacity: int) -> None:
        if self._matchers:
            self.bits = grown(self.bits, capacity)
        if self._keeps_brands:
            self.brands = grown(self.brands, capacity)
        if self._keeps_sellers:
            self.sellers = grown(self.sellers, capacity)

    def put(self, index: int, item: Item | None) -> None:
        if self._matchers:
            self.bits[index] = 0 if item is None else sum(m(item) << n for n, m in enumerate(self._matchers))
            self._wanted = None
        if self._keeps_brands:
            self.brands[index] = mark_of(item.brand if item else None)
        if self._keeps_sellers:
            self.sellers[index] = mark_of(item.seller if item else None)

    def arrays(self, listed: npt.NDArray[np.bool_], ts: npt.NDArray[np.int64]) -> RuleArrays:
        if not self._fixed.active:
            return self._fixed
        pins = [self._items.get(item) for item in self._pinned]
        wanted = dict.fromkeys([row for row in pins if row >= 0] + self._newest(listed, ts))
        return self._fixed._replace(
            bits=self.bits,
            brands=self.brands,
            sellers=self.sellers,
            pins=np.array(pins, np.int32),
            wanted=np.array(list(wanted)[:MOST_WANTED], np.int32),
        )

    def _newest(self, listed: npt.NDArray[np.bool_], ts: npt.NDArray[np.int64]) -> list[int]:
        """Of each rule that wants items the newest that match, the very newest of all rules first."""
        if self._wanted is None:
            held = len(self._items.ids)
            ranked: list[tuple[int, int]] = []
            for number in self._wanting:
                rows = np.flatnonzero(listed[:held] & (self.bits[:held] >> np.uint32(number) & np.uint32(1) > 0))
                ranked += enumerate(rows[np.argsort(-ts[rows], kind="stable")[:WANTED]].tolist())
            self._wanted = [row for _, row in sorted(ranked, key=lambda one: one[0])]
        return self._wanted

    def room(self, ts: npt.NDArray[np.int64], categories: Ids, now: int) -> Room | None:
        """What the limits leave room for in a slate at ``now``, of items with these ``ts`` and ``categories``."""
        fixed = self._fixed
        if not len(fixed.limit_rules):
            return None
        limits = list(enumerate(zip(fixed.limit_rules.tolist(), fixed.limit_by.tolist(), strict=True)))

        def shares(row: int) -> list[tuple[int, int]]:
            found = []
            age = now - int(ts[row])
            for limit, (rule, by) in limits:
                if by < 0:
                    is_member = self.bits[row] >> rule & 1 and fixed.youngest[rule] <= age < fixed.oldest[rule]
                    found += [(limit, 0)] if is_member else []
                elif BY[by] == CATEGORY:
                    found += [(limit, number) for number in categories[row].tolist() if number >= 0]
                elif mark := int((self.brands if BY[by] == BRAND else self.sellers)[row]):
                    found.append((limit, mark))
            return found

        return Room(tuple(fixed.limit_most.tolist()), shares)

    def named(self, marks: int) -> list[str]:
        """The rules of a slate item, by the bits of their numbers."""
        return [name for n, name in enumerate(self.names) if marks >> n & 1] if marks else []

    def sponsors(self, marks: int) -> bool:
        return marks & self._sponsored > 0

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes + getsizeof(array) for array in (self.bits, self.brands, self.sellers))

    def _compiled(self) -> RuleArrays:
        config, number = self._config, self._numbers
        none = np.zeros(0, np.int32)
        youngest, oldest = np.full(MATCHING, -np.inf), np.full(MATCHING, np.inf)
        factors = np.ones(MATCHING, np.float32)
        for boost in config.boosts:
            factors[number[boost.name]] = boost.factor
        for n, rule in enumerate(config.matching):
            for condition in rule.where or ():
                if condition.field == "age_days" and condition.at_least is not None:
                    youngest[n] = max(youngest[n], DAY_MS * condition.at_least)
                if condition.field == "age_days" and condition.below is not None:
                    oldest[n] = min(oldest[n], DAY_MS * condition.below)
        slots = sorted((p - 1, number[rule.name]) for rule in config.sponsored for p in rule.positions)
        pins = sorted((pin.position - 1, number[pin.name]) for pin in config.pins)
        limits = config.limits
        return RuleArrays(
            bool(self.names) or config.rests or not config.own_items,
            self.bits,
            self.brands,
            self.sellers,
            _mask(number[rule.name] for rule in config.filters),
            _mask(number[rule.name] for rule in config.boosts),
            factors,
            _mask(n for n in range(MATCHING) if youngest[n] > -np.inf or oldest[n] < np.inf),
            youngest,
            oldest,
            not config.own_items,
            config.cap_impressions or 0,
            config.cap_days * DAY_MS / 60_000,
            (config.cool_down_hours or 0.0) * 60,
            none,
            np.array([rule for _, rule in pins], np.int32),
            np.array([position for position, _ in pins], np.int32),
            np.array([rule for _, rule in slots], np.int32),
            np.array([position for position, _ in slots], np.int32),
            np.array([number[limit.name] for limit in limits], np.int32),
            np.array([-1 if limit.by is None else BY.index(limit.by) for limit in limits], np.int32),
            np.array([NO_BOUND if limit.most is None else limit.most for limit in limits], np.int32),
            np.array([limit.least or 0 for limit in limits], np.int32),
            none,
        )


def mark_of(name: str | None) -> int:
    """Stands for a brand, a seller or a user: 32 bits of a hash, 0 for none."""
    return (fingerprint(name) or 1) if name else 0


def _mask(numbers: Iterable[int]) -> np.uint32:
    return np.uint32(sum(1 << number for number in numbers))
