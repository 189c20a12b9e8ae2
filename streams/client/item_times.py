"""How new the state of each item is that ``catalog`` holds."""

from array import array
from collections.abc import Callable, Iterable
from itertools import chain

import msgspec
import numpy as np

from divrec.config import Config
from divrec.items import hash64
from streams.codec import TIMESTAMP, Message, Record, kafka_time
from streams.kafka.reading import read_topic
from streams.topics import Topics


class _Named(msgspec.Struct):
    event_id: str | None = None


_event_id: Callable[[bytes], _Named] = msgspec.json.Decoder(_Named).decode


class ItemTimes:
    """Kafka's timestamps of the messages that made the items in ``catalog``, and of what is taken.

    24 bytes for each of its records.
    """

    def __init__(self, catalog: Iterable[Message]) -> None:
        items, times, events = array("Q"), array("q"), array("Q")
        for message in catalog:
            items.append(_hashed(message.key))
            times.append(kafka_time(message))
            events.append(_event(message.value))
        order = np.lexsort((np.array(times), np.array(items)))
        self._items = np.array(items, np.uint64)[order]
        self._times = np.array(times, np.int64)[order]
        self._events = np.array(events, np.uint64)[order]
        self._taken: dict[int, tuple[int, int]] = {}

    def take(self, state: Record) -> bool:
        """Whether ``state``, a record for ``catalog``, is newer than all that is known; then it is known.

        Of two messages in one millisecond the known one counts as the newer. The same message may come again.
        """
        item, new = _hashed(state.key), (int(dict(state.headers)[TIMESTAMP]), _event(state.value))
        known = self._taken.get(item) or self._known(item)
        if known is not None and known[0] >= new[0] and known != new:
            return False
        self._taken[item] = new
        return True

    def _known(self, item: int) -> tuple[int, int] | None:
        at = int(np.searchsorted(self._items, np.uint64(item), "right")) - 1
        if at < 0 or int(self._items[at]) != item:
            return None
        return int(self._times[at]), int(self._events[at])


def read_item_times(config: Config) -> ItemTimes:
    """As ``catalog`` is now. Raises ConfigError."""
    return ItemTimes(chain.from_iterable(read_topic(config, Topics(config).catalog, "start")))


def _hashed(key: bytes | None) -> int:
    return hash64((key or b"").decode(errors="replace"))


def _event(value: bytes | None) -> int:
    try:
        return hash64(_event_id(value or b"").event_id or "")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return 0
