"""The part of the bundled log that the demo replays."""

from dataclasses import dataclass

from divrec.config import FeedbackConfig
from divrec.data.log import demo_log
from divrec.data.naming import named
from divrec.events import Click, Event, Item, Review

RATING_MIN = 0.5
"""The scale of the stars begins here: they reach the topics unchanged."""
GOOD = 4.0
"""Stars from which on a film is one that the user wanted."""


@dataclass(frozen=True)
class Excerpt:
    """The latest events of the log by time, each with an id, and the films they mention, in the order they do."""

    events: list[Event]
    items: list[Item]

    @property
    def titles(self) -> dict[str, str]:
        return {item.item_id: item.title for item in self.items}

    @property
    def clicks(self) -> int:
        return sum(isinstance(event, Click) for event in self.events)

    @property
    def reviews(self) -> int:
        return sum(isinstance(event, Review) for event in self.events)

    @property
    def users(self) -> int:
        return len({event.user_id for event in self.events})


def latest(count: int) -> Excerpt:
    with demo_log(FeedbackConfig(rating_min=RATING_MIN)) as log:
        events = list(named(log.events()))[-count:]
        known = {item.item_id: item for item in log.items()}
    mentioned = dict.fromkeys(event.item_id for event in events if isinstance(event, Click | Review))
    return Excerpt(events, [known[item_id] for item_id in mentioned if item_id in known])
