"""One user's bounded state, as the store keeps it (MessagePack)."""

import msgspec
from msgspec import Struct, field

from divrec.consumed import Consumed
from divrec.errors import StoreError
from divrec.interest.keywords import Keywords
from divrec.items import hash64

REJECTED = 20
"""Rejections kept."""
HABITS = 512
"""Items whose count is kept; when there are more, the sixteenth part of them that came least often goes."""
SHOWN = 30
"""Impressions kept."""


class Profile(Struct):
    """History (``items``, ``actions``, ``feedback``, ``ts``) and rejections are parallel lists, oldest first."""

    user_id: str
    partition: int
    offset: int = -1
    """Last ``events`` offset applied; events at or below it are skipped."""
    items: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    feedback: list[float] = field(default_factory=list)
    ts: list[int] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    """Items disliked or skipped: they push away and are no history."""
    rejected_feedback: list[float] = field(default_factory=list)
    consumed: Consumed = field(default_factory=Consumed)
    event_ids: bytes = b""
    """8-byte hashes of the last event ids."""
    keywords: Keywords = field(default_factory=dict)
    keywords_ts: int = 0
    review_vector: bytes = b""
    """Decayed mean of the user's review vectors, float16[d]."""
    review_model: str = ""
    events: int = 0
    """Events applied, repeats not counted."""
    slate_ts: int = 0
    """Event time of the latest slate."""
    shown: list[str] = field(default_factory=list)
    """Items of the user's latest impressions, oldest first, without those that the user then did something with."""
    habits: dict[str, int] = field(default_factory=dict)
    """How often the user turned to each item, the one longest ago first; kept where items may be recommended again."""
    hidden: Consumed = field(default_factory=Consumed)
    """What the user does not want to see again."""
    impressions: bytes = b""
    """The log of impressions where rules ask for it (``rules/rests.py``)."""
    text_pending: bool = False
    """The latest review had a text and no vector of it."""

    def copy(self) -> "Profile":
        """A copy that can be changed: lists and dicts are its own, bytes are shared."""
        return Profile(
            self.user_id,
            self.partition,
            self.offset,
            self.items.copy(),
            self.actions.copy(),
            self.feedback.copy(),
            self.ts.copy(),
            self.rejected.copy(),
            self.rejected_feedback.copy(),
            self.consumed,
            self.event_ids,
            self.keywords.copy(),
            self.keywords_ts,
            self.review_vector,
            self.review_model,
            self.events,
            self.slate_ts,
            self.shown.copy(),
            self.habits.copy(),
            self.hidden,
            self.impressions,
            self.text_pending,
        )

    @property
    def seed(self) -> int:
        """Of what is drawn at random for this user after so many events: the same wherever and whenever that is."""
        return hash64(f"{self.events} {self.user_id}")

    def remember(self, event_id: str, bound: int) -> bool:
        """Count an event id among the last ``bound``; False if it is one of them already."""
        told = hash64(event_id).to_bytes(8, "little")
        at = self.event_ids.find(told)
        while at % 8 and at >= 0:  # found across two hashes
            at = self.event_ids.find(told, at + 1)
        if at >= 0:
            return False
        self.event_ids = (self.event_ids + told)[-8 * bound :]
        return True

    def append(self, item_id: str, action: str, feedback: float, ts: int, bound: int) -> None:
        """One more interaction; the oldest goes when there are more than ``bound``."""
        self.items.append(item_id)
        self.actions.append(action)
        self.feedback.append(feedback)
        self.ts.append(ts)
        if len(self.items) > bound:
            del self.items[0], self.actions[0], self.feedback[0], self.ts[0]

    def count(self, item_id: str) -> None:
        """Once more to ``habits``. Of those that came equally often the one longest ago goes first."""
        self.habits[item_id] = self.habits.pop(item_id, 0) + 1
        if len(self.habits) > HABITS:
            for leaving in sorted(self.habits, key=self.habits.__getitem__)[: HABITS // 16]:
                del self.habits[leaving]

    def reject(self, item_id: str, feedback: float) -> None:
        self.rejected.append(item_id)
        self.rejected_feedback.append(feedback)
        if len(self.rejected) > REJECTED:
            del self.rejected[0], self.rejected_feedback[0]

    def show(self, item_id: str) -> None:
        self.shown.append(item_id)
        del self.shown[:-SHOWN]

    def answer(self, item_id: str) -> None:
        """The user did something with the item: that it was shown is no reason against it any more."""
        if item_id in self.shown:
            self.shown = [shown for shown in self.shown if shown != item_id]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Profile)


def encode_profile(profile: Profile) -> bytes:
    return _encoder.encode(profile)


def decode_profile(data: bytes, partition: int) -> Profile:
    """Raises StoreError if ``data`` is not a profile or belongs to another partition."""
    try:
        profile = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreError(f"stored profile: expected a Profile, got {len(data)} bytes: {error}") from None
    if profile.partition != partition:
        raise StoreError(
            f"stored profile: expected one of events partition {partition}, got one of {profile.partition}; the number "
            "of partitions is fixed within a generation: start a new generation to change it"
        )
    return profile
