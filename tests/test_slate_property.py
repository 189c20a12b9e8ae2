"""Never in a slate: withdrawn, excluded, hidden or consumed items - over random event streams, with tiny bounds."""

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from divrec.config import Config
from divrec.deltas import Delta, ModelLogRecord
from divrec.engine import Engine
from divrec.events import Click, Item, ItemVector, Review, pack_vector
from divrec.profile import SHOWN, Profile
from divrec.rules.rests import LOGGED

USERS = ["ann", "bob"]
ITEMS = [f"i{n}" for n in range(24)]
MODEL = "multilingual-e5-small"

users, items = st.sampled_from(USERS), st.sampled_from(ITEMS)
actions = st.sampled_from(["impression", "view", "click", "cart", "purchase", "like", "dislike", "skip", "hide"])
steps = st.one_of(
    st.tuples(st.just("put"), items),
    st.tuples(st.just("withdraw"), items),
    st.tuples(st.just("vector"), items, st.integers(0, 5)),
    st.tuples(st.just("click"), users, items, actions),
    st.tuples(st.just("review"), users, items, st.integers(0, 5)),
    st.tuples(st.just("apply"), st.booleans()),
    st.tuples(st.just("slate"), users, st.lists(items, max_size=4), st.integers(1, 30), st.floats(0, 1)),
)


def vector(seed: int) -> bytes:
    found = np.random.default_rng(seed).normal(size=16).astype(np.float32)
    return pack_vector(found / np.linalg.norm(found))


class Stream:
    """An engine, what the log would hold, and by plain Python what must not be shown."""

    def __init__(self, rules: dict[str, Any] | None = None, **slate: Any) -> None:
        self.config = Config(
            rules=rules or {},
            profile={"history": 5, "consumed": 6, "keywords": 4, "event_ids": 4},
            model={"max_items": 16, "neighbours": 4, "history": 4},
            slate=slate,
        )
        self.engine = Engine(self.config)
        self.profiles = {user: Profile(user, 0) for user in USERS}
        self.consumed: dict[str, set[str]] = {user: set() for user in USERS}
        self.hidden: dict[str, set[str]] = {user: set() for user in USERS}
        self.withdrawn: set[str] = set()
        self.deltas: list[Delta] = []
        self.offset = 0

    def observe(self, user: str, event: Click | Review, action: str) -> None:
        before = self.profiles[user]
        frozen = repr(before)
        observed = self.engine.observe(before, event, f"e{self.offset}", self.offset)
        assert repr(before) == frozen, "observe must leave its profile as it is"
        self.offset += 1
        self.profiles[user] = observed.profile
        if observed.delta is not None:
            self.deltas.append(observed.delta)
        if action in self.config.slate.consumed_actions:
            self.consumed[user].add(event.item_id)
        if action == "hide":
            self.hidden[user].add(event.item_id)

    def described(self, item: str) -> Item:
        return Item(item_id=item, title=item, ts=self.offset)

    def step(self, step: tuple[Any, ...]) -> None:
        match step:
            case "put", item:
                if len(self.engine.catalog) < 16:
                    self.withdrawn.discard(item)
                    self.engine.put_item(self.described(item))
            case "withdraw", item:
                self.withdrawn.add(item)
                self.engine.put_item(Item(item_id=item, available=False))
            case "vector", item, seed:
                self.engine.put_vector(ItemVector(item_id=item, model=MODEL, vector=vector(seed)))
            case "click", user, item, action:
                self.observe(user, Click(user_id=user, item_id=item, action=action, ts=self.offset), action)
            case "review", user, item, seed:
                review = Review(user_id=user, item_id=item, text="t", ts=self.offset, terms=["word"], model=MODEL)
                review.vector = vector(seed)
                self.observe(user, review, "review")
            case "apply", twice:
                record = ModelLogRecord(0, self.deltas)
                self.engine.apply(record, self.offset)
                if twice:
                    assert self.engine.apply(record, self.offset) == 0, "a record applied again changes nothing"
                self.deltas = []
            case "slate", user, exclude, k, diversity:
                self.check(user, exclude, k, diversity)

    def check(self, user: str, exclude: list[str], k: int, diversity: float) -> None:
        slate = self.engine.recommend(self.profiles[user], self.offset, k=k, diversity=diversity, exclude=exclude)
        shown = [item.item_id for item in slate]
        assert len(shown) == len(set(shown)) <= k
        assert [item.position for item in slate] == list(range(1, len(slate) + 1))
        assert len({item.relevance_rank for item in slate}) == len(slate)
        forbidden = self.withdrawn | set(exclude) | self.hidden[user]
        if not self.config.slate.allow_repeats:
            forbidden |= self.consumed[user]
        assert not forbidden & set(shown)
        if diversity == 0 and not self.config.rules.names:
            assert [item.relevance for item in slate] == sorted((item.relevance for item in slate), reverse=True)
        for item in slate:
            assert 0 <= item.relevance <= 1 and -1.001 <= item.similarity <= 1.001
            assert sum(reason.share for reason in item.reasons) <= 1.001
            assert all(reason.item_id != item.item_id or reason.code != "content" for reason in item.reasons)

    def check_bounds(self) -> None:
        sizes = self.engine.sizes()
        assert sizes["model_items"] <= sizes["model_items_bound"] and sizes["catalog_items"] <= 16
        for profile in self.profiles.values():
            assert len(profile.items) == len(profile.actions) == len(profile.feedback) == len(profile.ts) <= 5
            assert len(profile.consumed.packed) <= 4 * 6 and len(profile.hidden.packed) <= 4 * 6
            assert len(profile.impressions) <= 8 * LOGGED and len(profile.event_ids) <= 8 * 4
            assert len(profile.keywords) <= 4 and len(profile.shown) <= SHOWN


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=5, max_size=60), st.booleans())
def test_rules_have_the_last_word(stream_steps: list[tuple[Any, ...]], repeats: bool) -> None:
    stream = Stream(allow_repeats=repeats)
    for step in stream_steps:
        stream.step(step)
        stream.check_bounds()
    for user in USERS:
        stream.check(user, [], 30, 0.3)


def test_a_click_changes_the_next_slate_and_a_new_user_has_one() -> None:
    stream = Stream()
    for n, item in enumerate(ITEMS[:12]):
        stream.step(("put", item))
        stream.step(("vector", item, n))
    first = stream.engine.recommend(stream.profiles["ann"], 100)
    assert len(first) == 10, "before any interaction: what is new"
    stream.step(("click", "ann", first[0].item_id, "like"))
    after = stream.engine.recommend(stream.profiles["ann"], 101)
    assert first[0].item_id not in {item.item_id for item in after}
    assert any(reason.code == "content" for item in after for reason in item.reasons), "its text speaks at once"
    assert [item.item_id for item in after] != [item.item_id for item in first]


def test_consumed_items_come_back_where_repeats_are_allowed() -> None:
    stream = Stream(allow_repeats=True)
    stream.step(("put", "i1"))
    stream.step(("click", "ann", "i1", "purchase"))
    stream.step(("apply", False))
    assert [item.item_id for item in stream.engine.recommend(stream.profiles["ann"], 10)] == ["i1"]
