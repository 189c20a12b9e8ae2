"""A generated log with everything that a worker may meet in it."""

from collections import deque
from collections.abc import Iterator

import numpy as np

from divrec.config import Config
from divrec.events import Click, Event, Item, Request, Review, pack_vector
from streams.codec import REPLAY, Record, encode
from streams.topics import Topics, partition_of
from tests.e2e.faulty_worker import ENCODER, POISON
from tests.text.counting_encoder import CountingEncoder

USERS, ITEMS = 300, 500
WITHDRAWN = 20
"""The first items are withdrawn from the start."""
ACTIONS = ("click", "view", "like", "purchase", "dislike", "skip", "impression")
ACTION_SHARES = (0.5, 0.15, 0.1, 0.08, 0.05, 0.05, 0.07)
START = 1_700_000_000_000
UNDECODABLE = (
    b"\xff\xfe",
    b'{"kind":"click"',
    b'{"kind":"click","user_id":"u1"}',
    b'{"kind":"item","item_id":"i1"}',
    b'{"kind":"click","user_id":"u1","item_id":"i1","deep":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    None,
)


class Crowd:
    """Users and what they do: seeded, without end."""

    def __init__(self, config: Config, seed: int) -> None:
        self._config, self._topics = config, Topics(config)
        self.random = np.random.default_rng(seed)
        self._encoder = CountingEncoder(ENCODER)
        self._users = self._zipf(USERS)
        self._items = self._zipf(ITEMS)
        self._recent: deque[Record] = deque(maxlen=500)
        self._made = 0

    @staticmethod
    def _zipf(count: int) -> np.ndarray:
        shares = 1.0 / (np.arange(count) + 10.0)
        return shares / shares.sum()

    def _event(self) -> Event:
        """Mostly clicks; one in 25 a review, one in 40 a request, one in 200 poisonous."""
        self._made += 1
        random, n = self.random, self._made
        user = f"u{random.choice(USERS, p=self._users)}"
        item = f"i{random.choice(ITEMS, p=self._items)}" if n % 200 else POISON
        ts = 0 if n % 97 == 0 else START + 1_000 * n + int(random.integers(-5_000, 5_000))
        if n % 40 == 7:
            return Request(user_id=user, request_id=f"r{n}", k=5, exclude=[item], ts=ts, event_id=f"e{n}")
        if n % 25 == 3:
            return self._review(user, item, ts, n)
        action = ACTIONS[int(random.choice(len(ACTIONS), p=ACTION_SHARES))]
        return Click(user_id=user, item_id=item, action=action, ts=ts, event_id=f"e{n}")

    def _review(self, user: str, item: str, ts: int, n: int) -> Review:
        words = [f"word{word}" for word in self.random.integers(0, 40, 3)]
        rating = float(self.random.integers(1, 6))
        return Review(user_id=user, item_id=item, text=" ".join(words), rating=rating, ts=ts, event_id=f"e{n}")

    def events(self, count: int) -> list[Record]:
        """Records of the topic ``events``: one in 50 repeats an earlier one, one in 100 can never be decoded."""
        found: list[Record] = []
        for n in range(count):
            if n % 100 == 50:
                value = UNDECODABLE[int(self.random.integers(len(UNDECODABLE)))]
                found.append(Record(self._topics.events, int(self.random.integers(4)), b"any", value))
            elif n % 50 == 25 and self._recent:
                found.append(self._recent[int(self.random.integers(len(self._recent)))])
            else:
                event = self._event()
                if isinstance(event, Review):
                    event.terms, event.model = event.text.split(), ENCODER
                    event.vector = pack_vector(self._encoder.encode([event.text])[0])
                found.append(self._keyed(event, [(REPLAY, b"1")] if n % 60 == 0 else []))
                self._recent.append(found[-1])
        return found

    def _keyed(self, event: Event, headers: list[tuple[str, bytes]]) -> Record:
        partition = partition_of(event.user_id, self._config.kafka.partitions)
        return Record(self._topics.events, partition, event.user_id.encode(), encode(event), headers)

    def inputs(self, count: int) -> list[Record]:
        """Records of ``clicks``, ``requests`` and ``reviews``, keyed by anything."""
        found = []
        for event in (self._event() for _ in range(count)):
            topic = {Click: self._topics.clicks, Request: self._topics.requests, Review: self._topics.reviews}
            found.append(Record(topic[type(event)], None, b"k%d" % self.random.integers(9), encode(event)))
        return found

    def new_items(self, count: int) -> list[Record]:
        """Records of ``items`` for items that no event names."""
        names = self.random.integers(0, 10_000, count)
        return [
            Record(self._topics.items, None, f"new{n}".encode(), encode(Item(item_id=f"new{n}", title=f"title {n}")))
            for n in names
        ]


def catalog(config: Config) -> Iterator[Record]:
    """The items that events name, as encode would have written them; the first are withdrawn."""
    from divrec.events import ItemVector

    topics, encoder = Topics(config), CountingEncoder(ENCODER)
    for n in range(ITEMS):
        name = f"i{n}"
        terms = [f"term{n % 17}", f"term{n % 31}"]
        item = Item(item_id=name, title=name, terms=terms, categories=[f"C{n % 7}"], ts=START, available=n >= WITHDRAWN)
        yield Record(topics.catalog, None, name.encode(), encode(item))
        if n >= WITHDRAWN:
            vector = ItemVector(item_id=name, model=ENCODER, vector=pack_vector(encoder.encode([name])[0]))
            yield Record(topics.item_vectors, None, f"{ENCODER}|{name}".encode(), encode(vector))
