"""What follows from the events of a batch: no broker, no store."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from divrec.config import Config
from divrec.deltas import decode_record
from divrec.engine import Engine
from divrec.events import Click, Event, Item, ItemVector, Request, Review, pack_vector
from divrec.profile import Profile
from streams.codec import REPLAY, Message, Record, encode
from streams.computation import Arrived, Computation, Outcome
from streams.topics import Topics
from tests.text.counting_encoder import CountingEncoder

ENCODER = CountingEncoder("m")


class Desk:
    """One user's events, computed batch by batch."""

    def __init__(self, **sections: Any) -> None:
        self.config = Config(encoder={"model": "m"}, **sections)
        self.topics = Topics(self.config)
        self.engine = Engine(self.config)
        self.profiles: dict[str, Profile] = {}
        replica: Any = SimpleNamespace(engine=self.engine, still=asyncio.Lock(), version=7)
        self._computation = Computation(self.config, replica)
        self._offset = -1
        for n in range(5):
            self.engine.put_item(Item(item_id=f"i{n}", title=f"item {n}", ts=1))

    def take(self, *events: Event, replay: bool = False, publish: bool = True) -> Outcome:
        arrived = []
        for event in events:
            self._offset += 1
            headers = [(REPLAY, b"1")] if replay else []
            message = Message(self.topics.events, 0, self._offset, 10_000_000, b"u", encode(event), headers)
            arrived.append(Arrived(message, event, event.event_id or f"e{self._offset}"))
        outcome = asyncio.run(self._computation.outcome(arrived, self.profiles, publish=publish))
        self.profiles.update(outcome.profiles)
        return outcome

    def sent(self, outcome: Outcome, topic: str) -> list[Record]:
        return [record for record in outcome.records if record.topic == getattr(self.topics, topic)]

    def slates(self, outcome: Outcome) -> list[Any]:
        return [json.loads(record.value or b"") for record in self.sent(outcome, "recommendations")]


def click(action: str = "click", item: str = "i0", ts: int = 1_000, **about: Any) -> Click:
    return Click(user_id="u", item_id=item, action=action, ts=ts, **about)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "answered"),
    [
        ({"publish": "interaction"}, ["click", "like", "view", "review", "request"]),
        ({"publish": "actions"}, ["like", "request"]),
        ({"publish": "actions", "publish_actions": ["view", "review"]}, ["view", "review", "request"]),
        ({"publish": "interval", "publish_interval_s": 60}, ["click", "view", "request"]),
        ({"publish": "request"}, ["request"]),
    ],
)
def test_what_is_answered_with_a_slate_is_configured(policy: dict[str, Any], answered: list[str]) -> None:
    desk = Desk(slate=policy)
    events: dict[str, Event] = {
        "click": click(item="i0", ts=1_000_000),
        "impression": click("impression", ts=1_010_000),
        "like": click("like", "i1", ts=1_020_000),
        "view": click("view", "i2", ts=1_060_000),
        "review": Review(user_id="u", item_id="i3", text="fine", ts=1_070_000),
        "request": Request(user_id="u", ts=1_080_000),
    }
    assert [name for name, event in events.items() if desk.slates(desk.take(event))] == answered


def test_replayed_events_get_a_slate_only_if_asked() -> None:
    assert not desk_slates(replay=True)
    assert len(desk_slates(replay=True, slate={"publish_replayed": True})) == 2
    assert len(desk_slates(replay=False)) == 2


def desk_slates(replay: bool, **sections: Any) -> list[Any]:
    desk = Desk(**sections)
    return desk.slates(desk.take(click(), Request(user_id="u", ts=1_000), replay=replay))


def test_the_interval_goes_on_while_events_are_read_again() -> None:
    """What was published before counts, although nothing is published now."""
    desk = Desk(slate={"publish": "interval", "publish_interval_s": 60})
    assert not desk.slates(desk.take(click(ts=1_000_000), publish=False))
    assert not desk.slates(desk.take(click(item="i1", ts=1_010_000)))
    assert desk.slates(desk.take(click(item="i2", ts=1_060_000)))


def test_a_request_says_how_many_how_different_and_without_what() -> None:
    desk = Desk()
    request = Request(user_id="u", request_id="ask", k=2, diversity=1.0, exclude=["i1", "i2"], ts=1_000)
    (slate,) = desk.slates(desk.take(request))
    assert slate["trigger"]["request_id"] == "ask"
    assert slate["diversity"] == 1.0
    assert len(slate["items"]) == 2
    assert not {item["item_id"] for item in slate["items"]} & {"i1", "i2"}
    (unnamed,) = desk.slates(desk.take(Request(user_id="u", ts=1_000, event_id="e")))
    assert unnamed["trigger"]["request_id"] == "e"


def test_each_slate_knows_the_clicks_before_it_in_the_same_batch() -> None:
    desk = Desk()
    first, second = desk.slates(desk.take(click(item="i0"), click(item="i1")))
    assert "i0" not in {item["item_id"] for item in first["items"]}
    assert not {"i0", "i1"} & {item["item_id"] for item in second["items"]}


def test_a_repeat_changes_nothing_but_the_offset() -> None:
    desk = Desk()
    desk.take(click(event_id="same"))
    before = desk.profiles["u"]
    outcome = desk.take(click(event_id="same"))
    after = desk.profiles["u"]
    assert not outcome.records
    assert (after.offset, after.events) == (1, 1)
    before.offset = after.offset
    assert after == before


def test_an_event_that_raises_is_a_dead_letter_and_counts_as_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    observe = Engine.observe

    def raising(self: Engine, profile: Profile, event: Any, *rest: Any, **options: Any) -> Any:
        if event.item_id == "i1":
            raise ZeroDivisionError("a bug")
        return observe(self, profile, event, *rest, **options)

    monkeypatch.setattr(Engine, "observe", raising)
    outcome = desk.take(click(item="i0"), click(item="i1", event_id="bad"), click(item="i2"))
    (letter,) = desk.sent(outcome, "dead_letters")
    told = {name: value.decode() for name, value in letter.headers}
    assert (told["divrec-reason"], told["divrec-event-id"], told["divrec-offset"]) == ("poisoned", "bad", "1")
    assert "ZeroDivisionError: a bug" in told["divrec-detail"] and "test_computation.py" in told["divrec-detail"]
    assert letter.value == encode(click(item="i1", event_id="bad"))
    assert desk.profiles["u"].items == ["i0", "i2"]
    (record,) = desk.sent(outcome, "model_log")
    assert [delta.offset for delta in decode_record(record.value or b"").deltas] == [0, 2]
    monkeypatch.undo()
    for _ in range(2):  # redriven, and once more: it was not applied, so it counts, once
        desk.take(click(item="i1", event_id="bad"))
    assert desk.profiles["u"].items == ["i0", "i2", "i1"]


def test_a_slate_that_cannot_be_made_is_a_dead_letter_and_the_others_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    explain = Engine.explain

    def raising(self: Engine, asks: Any, made: Any) -> Any:
        if any("i1" in ask.profile.items for ask in asks):
            raise ZeroDivisionError("a bug")
        return explain(self, asks, made)

    monkeypatch.setattr(Engine, "explain", raising)
    outcome = desk.take(click(item="i0"), click(item="i2"), click(item="i1", event_id="bad"))
    assert len(desk.slates(outcome)) == 2
    (letter,) = desk.sent(outcome, "dead_letters")
    told = dict(letter.headers)
    assert (told["divrec-event-id"], told["divrec-reason"]) == (b"bad", b"no-slate")
    (record,) = desk.sent(outcome, "model_log")
    assert len(decode_record(record.value or b"").deltas) == 3
    assert desk.profiles["u"].items == ["i0", "i2", "i1"]


def test_a_rating_off_the_scale_is_told_apart_from_a_bug() -> None:
    desk = Desk()
    outcome = desk.take(click(rating=9.0))
    (letter,) = desk.sent(outcome, "dead_letters")
    told = dict(letter.headers)
    assert told["divrec-reason"] == b"bad-rating"
    assert b"Traceback" not in told["divrec-detail"]
    assert desk.profiles["u"].offset == 0


def test_a_review_may_come_before_its_item_and_the_vector_of_it() -> None:
    desk = Desk()
    vector = pack_vector(ENCODER.encode(["fine"])[0])
    review = Review(user_id="u", item_id="late", text="fine", terms=["fine"], model="m", vector=vector, ts=1_000)
    (slate,) = desk.slates(desk.take(review))
    assert "late" not in {item["item_id"] for item in slate["items"]}
    assert desk.profiles["u"].review_vector
    desk.engine.put_item(Item(item_id="late", title="late", ts=1))
    near = ENCODER.encode(["late"])[0]
    desk.engine.put_vector(ItemVector(item_id="late", model="m", vector=pack_vector(near)))
    desk.engine.put_vector(ItemVector(item_id="i3", model="m", vector=vector))
    desk.engine.put_vector(ItemVector(item_id="i4", model="m", vector=pack_vector(-ENCODER.encode(["fine"])[0])))
    (slate,) = desk.slates(desk.take(Request(user_id="u", ts=2_000)))
    assert slate["items"][0]["item_id"] == "i3"  # as the review reads


def test_a_slate_tells_that_text_is_pending() -> None:
    desk = Desk()
    review = Review(user_id="u", item_id="i1", text="fine", terms=["fine"], ts=1_000)

    def pending(event: Event) -> bool:
        (slate,) = desk.slates(desk.take(event))
        return bool(slate.get("text_pending", False))

    vector = pack_vector(ENCODER.encode(["fine"])[0])
    assert not pending(click())
    assert pending(review) and pending(click(item="i2")), "its vector was not there"
    assert not pending(replace(review, model="m", vector=vector)) and not pending(replace(review, text=" "))
    desk.engine.put_vector(ItemVector(item_id="i3", model="m", vector=vector))
    assert not pending(click(item="i3"))
    desk.engine.put_vector(ItemVector(item_id="i3", model="next", vector=vector))
    assert pending(click(item="i4")), "the catalogue is being encoded anew"
    desk.engine.change_over("next")
    assert not pending(click(item="i4"))


def test_long_ids_do_not_make_a_record_that_no_topic_accepts() -> None:
    desk = Desk(model={"history": 500}, profile={"history": 600})
    wide = [click(item=f"{n}".rjust(256, "x"), ts=1_000 + n) for n in range(550)]
    desk.take(*wide, publish=False)
    more = [click(item=f"m{n}".rjust(256, "y"), ts=2_000 + n) for n in range(60)]
    records = desk.sent(desk.take(*more, publish=False), "model_log")
    assert len(records) > 1
    assert all(record.size() <= 4_000_000 for record in records)
    offsets = [delta.offset for record in records for delta in decode_record(record.value or b"").deltas]
    assert offsets == list(range(550, 610))


def test_lessons_that_raise_leave_the_deltas(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(*_: Any) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Engine, "teach", raising)
    desk = Desk()
    outcome = desk.take(click(item="i0"), click(item="i1"))
    (record,) = desk.sent(outcome, "model_log")
    assert [delta.item_id for delta in decode_record(record.value or b"").deltas] == ["i0", "i1"]
    assert len(desk.slates(outcome)) == 2 and not desk.sent(outcome, "dead_letters")


def test_lessons_of_a_batch_are_those_of_its_events_one_by_one() -> None:
    desk = Desk()
    desk.engine.apply(
        decode_record((desk.sent(desk.take(*(click(item=f"i{n}") for n in range(5))), "model_log")[0].value) or b""),
        0,
    )
    desk.profiles.clear()
    before, alone = Profile("u", 0), []
    clicks = [click(item=f"i{n}", action="like", ts=1_000 + n) for n in (3, 1, 2)]
    for n, one in enumerate(clicks, 5):
        observed = desk.engine.observe(before, one, f"e{n}", n)
        before = observed.profile
        alone.append(observed.delta)
    (record,) = desk.sent(desk.take(*clicks), "model_log")
    deltas = decode_record(record.value or b"").deltas
    assert deltas == alone and all(delta.lesson for delta in deltas)


def test_what_is_explored_depends_on_the_event_and_not_on_its_batch() -> None:
    """A batch that is cut differently after a crash publishes the same slates."""
    events = [click("view", f"i{n % 5}") for n in range(12)]
    together, alone = Desk(slate={"explore": 0.6, "k": 3}), Desk(slate={"explore": 0.6, "k": 3})
    slates = [slate["items"] for slate in together.slates(together.take(*events))]
    assert slates == [slate["items"] for event in events for slate in alone.slates(alone.take(event))]
    assert any("propensity" in item for slate in slates for item in slate)
    first = [item["reasons"][0] for slate in slates for item in slate if "reasons" in item]
    assert {"code": "explored", "share": 0.0} in first
