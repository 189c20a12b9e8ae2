"""``[rules]`` of the configuration: what an operator wants of every slate. Checked when it is loaded, read at start.

Each rule has a name of its own: by it a recommendation tells what the rule did, and a metric counts that.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from divrec.connections import Section

MATCHING = 32
"""Rules with conditions, at most: each is a bit of an item."""
MAX_RULES = 64
MAX_VALUES = 1_000
"""Values of one operator."""
HIDDEN, OWN_ITEMS, CAP, COOL_DOWN = FIXED = ("hidden", "own-items", "cap", "cool-down")
"""Names of what has none of its own: what the user hid, what the user sells, and impressions."""

TextField = Literal["item_id", "title", "categories", "brand", "seller", "language"]
NumberField = Literal["price", "age_days"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Position = Annotated[int, Field(ge=1, le=200)]
Value = Annotated[str, Field(min_length=1, max_length=256)]
Values = Annotated[tuple[Value, ...], Field(min_length=1, max_length=MAX_VALUES)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Days = Annotated[float, Field(gt=0, le=3_650)]
_OF_TEXT, _OF_NUMBERS = ("any_of", "none_of", "contains"), ("below", "at_least")


class Condition(Section):
    """What holds of one field of an item; all that is given must hold.

    Small and capital letters are alike, but in ``item_id``. A language stands for its regions too: ``en`` for
    ``en-GB``. A field that an item lacks is none of any values, contains nothing, and is neither below nor at least
    anything.
    """

    field: TextField | NumberField
    """``categories``: of any of them. ``age_days``: days since the item's ``ts``, at the time of the slate."""
    any_of: Values | None = None
    none_of: Values | None = None
    contains: Values | None = None
    """At least one of these texts is a part of it."""
    below: Number | None = None
    at_least: Number | None = None
    missing: bool | None = None
    """True: the item lacks the field; false: it has it."""

    @model_validator(mode="after")
    def _operators(self) -> "Condition":
        fitting = _OF_NUMBERS if self.field in get_args(NumberField) else _OF_TEXT
        given = [name for name in (*_OF_TEXT, *_OF_NUMBERS) if getattr(self, name) is not None]
        if wrong := [name for name in given if name not in fitting]:
            raise ValueError(f"{self.field}: expected {', '.join(fitting)} or missing, got {', '.join(wrong)}")
        if not given and self.missing is None:
            raise ValueError(f"{self.field}: expected one of {', '.join(fitting)}, missing, got none")
        if given and self.missing:
            raise ValueError(f"{self.field}: expected missing alone, got {', '.join(given)} beside it")
        if self.below is not None and self.at_least is not None and not self.at_least < self.below:
            raise ValueError(
                f"{self.field}: expected at_least under below, got {self.at_least:g} and {self.below:g}: nothing fits"
            )
        return self


Where = Annotated[tuple[Condition, ...], Field(min_length=1, max_length=16)]
"""All conditions must hold."""


class Filter(Section):
    """Items that match are in no slate."""

    name: Name
    where: Where


class Boost(Section):
    """Items that match: relevance times ``factor``; below 1 they are demoted."""

    name: Name
    where: Where
    factor: Annotated[float, Field(gt=0, le=10)]


class Pin(Section):
    """One item at one position, counted from 1."""

    name: Name
    item: Annotated[str, Field(min_length=1, max_length=256)]
    position: Position


class Sponsored(Section):
    """At ``positions`` stand the most relevant items that match, and are marked."""

    name: Name
    where: Where
    positions: Annotated[tuple[Position, ...], Field(min_length=1, max_length=20)]

    @field_validator("positions")
    @classmethod
    def _distinct(cls, positions: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(positions)) < len(positions):
            raise ValueError(f"expected different positions, got {list(positions)}")
        return tuple(sorted(positions))


class Limit(Section):
    """Of the items of one slate that match ``where`` there are at least ``least`` and at most ``most``; or of each
    category, brand or seller at most ``most``."""

    name: Name
    by: Literal["category", "brand", "seller"] | None = None
    where: Where | None = None
    most: Annotated[int, Field(ge=0, le=200)] | None = None
    least: Annotated[int, Field(ge=1, le=200)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Limit":
        if (self.by is None) == (self.where is None):
            got = "neither" if self.by is None else "both"
            raise ValueError(f"limit {self.name}: expected either by or where, got {got}")
        if self.most is None and self.least is None:
            raise ValueError(f"limit {self.name}: expected most or least, got neither")
        if self.by is not None and (self.least is not None or not self.most):
            raise ValueError(
                f"limit {self.name}: with by, expected most of 1 or more and no least: a least of every {self.by} "
                "cannot be met; name those it is meant for by where"
            )
        if self.most is not None and self.least is not None and self.most < self.least:
            raise ValueError(f"limit {self.name}: expected least up to most, got least {self.least}, most {self.most}")
        return self


class RulesConfig(Section):
    filters: tuple[Filter, ...] = ()
    boosts: tuple[Boost, ...] = ()
    pins: tuple[Pin, ...] = ()
    sponsored: tuple[Sponsored, ...] = ()
    limits: tuple[Limit, ...] = ()
    own_items: bool = True
    """Recommend to users what they sell themselves; false: never an item whose seller is the user's id."""
    cap_impressions: Annotated[int, Field(ge=1, le=100)] | None = None
    """After so many impressions within ``cap_days`` an item is not shown to that user."""
    cap_days: Days = 7.0
    cool_down_hours: Annotated[float, Field(gt=0, le=8_760)] | None = None
    """After an impression without an answer an item is not shown to that user for so long."""

    @property
    def matching(self) -> tuple[Filter | Boost | Sponsored | Limit, ...]:
        """The rules with conditions; their place is their number, and their bit."""
        limits = [limit for limit in self.limits if limit.where is not None]
        return (*self.filters, *self.boosts, *self.sponsored, *limits)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all rules, by number: first those with conditions."""
        rest: Iterable[Pin | Limit] = (*self.pins, *(limit for limit in self.limits if limit.where is None))
        return tuple(rule.name for rule in (*self.matching, *rest))

    @property
    def rests(self) -> bool:
        """Impressions keep items back."""
        return self.cap_impressions is not None or self.cool_down_hours is not None

    @model_validator(mode="after")
    def _together(self) -> "RulesConfig":
        names = self.names
        if repeated := _repeated(names):
            raise ValueError(f"names of rules: expected each once, got {', '.join(repeated)} more than once")
        if taken := sorted(set(names).intersection(FIXED)):
            raise ValueError(f"names of rules: {', '.join(taken)} stand for what divrec does itself; choose others")
        if len(self.matching) > MATCHING:
            raise ValueError(f"expected at most {MATCHING} rules with conditions, got {len(self.matching)}")
        if len(names) > MAX_RULES:
            raise ValueError(f"expected at most {MAX_RULES} rules, got {len(names)}")
        for of in ("position", "item"):
            for value in _repeated(getattr(pin, of) for pin in self.pins):
                both = ", ".join(pin.name for pin in self.pins if getattr(pin, of) == value)
                raise ValueError(f"pins: expected one pin for each {of}, got {both} for {value}")
        return self


def _repeated(values: Iterable[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]
