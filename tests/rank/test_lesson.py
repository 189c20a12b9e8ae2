"""Lessons: the blend learns what predicts, and nothing where nothing is to be learned."""

from dataclasses import dataclass, field

import numpy as np

from divrec.config import Config
from divrec.deltas import ModelLogRecord
from divrec.engine import Engine
from divrec.events import Click, Item
from divrec.profile import Profile
from divrec.rank.weights import FEATURES
from divrec.retrieve.signals import SIGNALS, TRANSITION

START = 1_000_000_000_000


@dataclass
class Crowd:
    engine: Engine
    profiles: dict[str, Profile] = field(default_factory=dict)
    offset: int = 0

    def click(self, user: str, item: str, action: str = "like") -> bytes:
        """The lesson of one click."""
        profile = self.profiles.get(user) or Profile(user, 0)
        click = Click(user_id=user, item_id=item, action=action, ts=START + 1_000 * self.offset)  # type: ignore[arg-type]
        observed = self.engine.observe(profile, click, str(self.offset), self.offset)
        self.profiles[user] = observed.profile
        if observed.delta is None:
            return b""
        self.engine.apply(ModelLogRecord(0, [observed.delta]), self.offset)
        self.offset += 1
        return observed.delta.lesson


def chains(users: int, steps: int, items: int) -> Crowd:
    """After item n everyone turns to n + 1: transitions foresee all, popularity nothing."""
    crowd = Crowd(Engine(Config()))
    random = np.random.default_rng(0)
    for user in range(users):
        start = int(random.integers(items))
        for step in range(steps):
            crowd.click(f"u{user}", f"i{(start + step) % items}")
    return crowd


def test_the_blend_learns_what_predicts() -> None:
    crowd = chains(60, 12, 150)
    gained = crowd.engine.model.blend.effective() - Engine(Config()).model.blend.effective()
    per_signal = gained[:, : len(SIGNALS)] + gained[:, len(SIGNALS) :]
    assert per_signal[0].argmax() == TRANSITION
    slate = crowd.engine.recommend(crowd.profiles["u3"], START, diversity=0.0)
    last = int(crowd.profiles["u3"].items[-1][1:])
    assert slate[0].item_id == f"i{(last + 1) % 150}"


def test_no_lesson_where_none_is_to_be_had() -> None:
    crowd = Crowd(Engine(Config()))
    assert crowd.click("a", "x") == b"", "an item that is not known cannot be foreseen"
    assert crowd.click("b", "x") == b"", "nothing to choose from"
    for item in "yz":
        crowd.click("a", item)
    assert len(crowd.click("b", "y")) == 1 + 4 * FEATURES
    assert crowd.click("b", "y") == b"", "what was consumed could not be shown"
    assert crowd.click("c", "y", "dislike") == b""
    crowd.engine.put_item(Item(item_id="z", available=False))
    assert crowd.click("c", "z") == b"", "withdrawn"


def test_with_repeats_what_was_consumed_teaches() -> None:
    crowd = Crowd(Engine(Config(slate={"allow_repeats": True})))
    for item in ("x", "y", "z", "x"):
        lesson = crowd.click("a", item)
    assert len(lesson) == 1 + 4 * FEATURES


def test_a_lesson_depends_on_model_profile_and_offset_alone() -> None:
    one, two = chains(10, 6, 30), chains(10, 6, 30)
    assert [one.click("u3", "i5"), one.click("u4", "i7")] == [two.click("u3", "i5"), two.click("u4", "i7")]
    assert one.engine.model.state().digest() == two.engine.model.state().digest()
