"""When an event makes a slate, by the setting."""

from typing import Any

import pytest

from divrec.config import Config
from divrec.engine import Engine
from divrec.events import Click, Event, Request, Review
from divrec.profile import Profile

CLICK = Click(user_id="u", item_id="i", ts=100_000)
EVENTS: dict[str, Event] = {
    "impression": Click(user_id="u", item_id="i", action="impression", ts=100_000),
    "click": CLICK,
    "rated 3 of 5": Click(user_id="u", item_id="i", rating=3.0, ts=100_000),
    "skip": Click(user_id="u", item_id="i", action="skip", ts=100_000),
    "like": Click(user_id="u", item_id="i", action="like", ts=100_000),
    "review": Review(user_id="u", item_id="i", text="t", ts=100_000),
    "request": Request(user_id="u", ts=100_000),
}


def answered(slate: dict[str, Any], slate_ts: int = 0, *, replayed: bool = False) -> set[str]:
    engine = Engine(Config(slate=slate))
    return {
        name
        for name, event in EVENTS.items()
        if engine.wants_slate(
            engine.observe(Profile("u", 0, slate_ts=slate_ts), event, name, 0), event, replayed=replayed
        )
    }


ALL = set(EVENTS) - {"impression"}


@pytest.mark.parametrize(
    ("slate", "slate_ts", "expected"),
    [
        ({}, 0, ALL),
        ({"publish": "request"}, 0, {"request"}),
        ({"publish": "actions"}, 0, {"request", "like"}),
        ({"publish": "actions", "publish_actions": ["review", "skip"]}, 0, {"request", "review", "skip"}),
        ({"publish": "interval", "publish_interval_s": 10.0}, 89_000, ALL),
        ({"publish": "interval", "publish_interval_s": 10.0}, 90_000, ALL),
        ({"publish": "interval", "publish_interval_s": 10.0}, 90_001, {"request"}),
    ],
)
def test_publish(slate: dict[str, Any], slate_ts: int, expected: set[str]) -> None:
    assert answered(slate, slate_ts) == expected
    assert answered(slate, slate_ts, replayed=True) == set()
    assert answered({**slate, "publish_replayed": True}, slate_ts, replayed=True) == expected
