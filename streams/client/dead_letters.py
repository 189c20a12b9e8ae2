"""What ``dead-letters`` holds: letters, in the order in which they came, and the markers of those that were sent back.

A marker lies in the partition of its letter, behind it, so it is kept for longer than the letter.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from divrec.config import Config
from divrec.errors import ConfigError
from streams.client.dump import Line, in_arrival_order, line_of, message_of
from streams.codec import (
    DEAD_LETTER_HEADERS,
    DETAIL,
    EVENT_ID,
    LEFT_OUT,
    OFFSET,
    PARTITION,
    REASON,
    REDRIVEN,
    STAGE,
    TOPIC,
    Header,
    Message,
    Record,
    kafka_time,
    time_header,
)
from streams.kafka.reading import read_topic
from streams.topics import Topics

HELD = 20_000
"""Letters in memory; one kibibyte of a letter counts like one more."""


class Place(NamedTuple):
    """Where a letter lies in ``dead-letters``."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


def place_of(text: str) -> Place:
    """``partition:offset``. Raises ConfigError."""
    partition, colon, offset = text.partition(":")
    if not (colon and _is_number(partition) and _is_number(offset)):
        raise ConfigError(f"expected PARTITION:OFFSET of a dead letter, such as 2:15, got {text!r}")
    return Place(int(partition), int(offset))


class Letter:
    """A dead letter. What others wrote into its headers is text, whatever it says."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.place = Place(message.partition, message.offset)
        self.reason, self.detail, self.stage = (_told(message, name) for name in (REASON, DETAIL, STAGE))
        self.topic, self.event_id = _told(message, TOPIC), _told(message, EVENT_ID)

    @cached_property
    def source(self) -> str:
        """``topic:partition:offset`` of the message that could not be used."""
        return f"{self.topic}:{_told(self.message, PARTITION)}:{_told(self.message, OFFSET)}"

    @property
    def lacks_value(self) -> bool:
        """Whether the value was left out because it is too large."""
        return self.message.value is None and self.detail.endswith(LEFT_OUT)

    @property
    def last_line(self) -> str:
        """Of the detail: of a traceback it says most."""
        return self.detail.rstrip().rpartition("\n")[2].strip()

    def original(self, topic: str, value: bytes | None) -> Message:
        """The message as redrive sends it to ``topic``, with another ``value`` maybe; its place is the letter's."""
        message = self.message
        kept = [header for header in message.headers if header[0] not in DEAD_LETTER_HEADERS]
        headers: list[Header] = [*kept, (EVENT_ID, self.event_id.encode()), time_header(message)]
        return Message(topic, *self.place, kafka_time(message), message.key, value, headers)

    def marker(self, topic: str) -> Record:
        """The record that says that this letter was sent back; ``topic`` is ``dead-letters``."""
        of_source = [header for header in self.message.headers if header[0] in (TOPIC, PARTITION, OFFSET, EVENT_ID)]
        return Record(topic, self.place.partition, None, None, [(REDRIVEN, str(self.place).encode()), *of_source])


def letter_of(message: Message) -> Letter | None:
    """None for what is no letter: a marker, or a record of somebody else."""
    return None if message.header(REASON) is None else Letter(message)


def is_marker(message: Message) -> bool:
    # A letter may carry the header of a marker: whoever wrote the message could choose it.
    return message.header(REASON) is None and message.header(REDRIVEN) is not None


def _told(message: Message, name: str) -> str:
    return (message.header(name) or b"").decode(errors="replace")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters: every one that fits all that is given."""

    places: frozenset[Place] = frozenset()
    reasons: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    """Where they come from."""
    since: int = 0
    """Kafka's timestamp of the letter, epoch milliseconds."""
    user: str | None = None
    """The key is it, or a value in the JSON; where there is no JSON it stands in quotes."""
    event_id: str | None = None

    @property
    def everything(self) -> bool:
        return self == Choice()

    def fits(self, letter: Letter) -> bool:
        return (
            (not self.places or letter.place in self.places)
            and (not self.reasons or letter.reason in self.reasons)
            and (not self.stages or letter.stage in self.stages)
            and (not self.topics or letter.topic in self.topics)
            and letter.message.timestamp >= self.since
            and (self.event_id is None or letter.event_id == self.event_id)
            and (self.user is None or _names(letter.message, self.user))
        )


def _names(message: Message, user: str) -> bool:
    if message.key == user.encode():
        return True
    value = message.value or b""
    try:
        return _holds(msgspec.json.decode(value), user)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b'"%s"' % user.encode() in value


def _holds(value: Any, text: str) -> bool:
    """Whether a string, or an integer that reads so, is in ``value`` at any depth."""
    number = int(text) if _is_number(text) else None
    left = [value]
    while left:
        match left.pop():
            case dict() as found:
                left += found.values()
            case list() as found:
                left += found
            case bool():
                continue
            case found if found == text or (number is not None and found == number):
                return True
    return False


@dataclass(slots=True)
class Markers:
    """Which letters were sent back, and when. Takes a few hundred bytes for each."""

    at: dict[Place, int] = field(default_factory=dict)
    of_source: dict[str, int] = field(default_factory=dict)

    def add(self, message: Message) -> None:
        partition, _, offset = _told(message, REDRIVEN).partition(":")
        if _is_number(partition) and _is_number(offset):
            place, source = Place(int(partition), int(offset)), Letter(message).source
            self.at[place] = max(message.timestamp, self.at.get(place, 0))
            self.of_source[source] = max(message.timestamp, self.of_source.get(source, 0))

    def redriven(self, letter: Letter) -> int | None:
        """When it was sent back, epoch milliseconds, or another letter of the same message behind it; None: never.

        After a crash a worker may write a second letter of one message. One that is younger than the marker is none of
        those: its topic was made anew, or read again from an older position.
        """
        if (at := self.at.get(letter.place)) is not None:
            return at
        at = self.of_source.get(letter.source)
        return at if at is not None and letter.message.timestamp <= at else None


class DeadLetters:
    """The chosen letters that the topic holds now, in the order in which they came.

    The topic is read to its end before the first comes: then ``markers`` and ``count`` are complete, and what comes
    later is not seen. More than fit in memory wait in a temporary file. Raises ConfigError if the topic is not there.
    """

    def __init__(self, config: Config, choice: Choice, *, values: bool = True) -> None:
        """Without ``values`` keys, values and foreign headers are left out."""
        self.markers = Markers()
        self.count = 0
        self.missing = set(choice.places)
        """Chosen places at which no letter lies."""
        self._topic = Topics(config).dead_letters
        self._config, self._choice, self._values = config, choice, values

    def __iter__(self) -> Iterator[Letter]:
        return (Letter(message_of(line)) for line in in_arrival_order(self._lines(), HELD))

    def _lines(self) -> Iterator[Line]:
        for message in self._messages():
            if is_marker(message):
                self.markers.add(message)
            elif (letter := letter_of(message)) is not None and self._choice.fits(letter):
                self.count += 1
                self.missing.discard(letter.place)
                yield line_of(message if self._values else _bare(message))

    def _messages(self) -> Iterable[Message]:
        for messages in read_topic(self._config, self._topic, "start"):
            yield from messages


def _bare(message: Message) -> Message:
    headers = [header for header in message.headers if header[0] in DEAD_LETTER_HEADERS]
    return msgspec.structs.replace(message, key=None, value=None, headers=headers)
