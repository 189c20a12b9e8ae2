"""Dead letters sent back to where they came from, as they are or repaired, each once.

First all markers are read, then letters without one are sent, and behind each acknowledged letter its marker. A crash
between the two sends a letter again, under the same event id.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from enum import StrEnum
from functools import cached_property
from itertools import islice

from msgspec import Struct, field

from divrec.config import Config
from divrec.errors import EventError
from streams.client.dead_letters import Choice, DeadLetters, Letter, Place
from streams.client.item_times import ItemTimes, read_item_times
from streams.client.repair import Refused, Repair
from streams.client.way_back import WayBack
from streams.codec import Record, kafka_time
from streams.kafka.sending import Sender, SendError
from streams.topics import Topics

CHUNK = 200
CHUNK_S = 1.0
"""Letters that are sent, and then marked, at once: as many, and as long."""
APPLIED = "no-slate"
"""Reason of an event that was applied and only got no slate."""


class Why(StrEnum):
    """Why a letter was left."""

    would_fail = "it would only come back as a dead letter"
    command = "the command refused it"
    newer_item = "the catalogue holds a newer state of the item, or one as new"
    applied = "the event was applied, only its slate could not be made: let the user ask again"
    no_value = "its value was too large to be kept in the letter"
    unknown_topic = "its topic is none that divrec reads"
    not_taken = "Kafka does not take it"
    not_found = "no letter lies there"


class Left(Exception):
    """A letter is left."""

    def __init__(self, why: Why, detail: str = "", reason: str = "") -> None:
        super().__init__(detail)
        self.why, self.detail, self.reason = why, detail, reason


class Summary(Struct):
    """What became of the chosen letters. ``dry_run``: ``sent`` would have been."""

    chosen: int = 0
    sent: int = 0
    already_redriven: int = 0
    left: Counter[str] = field(default_factory=Counter)
    """By the name of ``Why``."""
    would_fail: Counter[str] = field(default_factory=Counter)
    """Those of that name by reason."""
    dry_run: bool = False

    @property
    def complete(self) -> bool:
        return not self.left


def redrive(
    config: Config,
    choice: Choice,
    *,
    repair: Repair | None = None,
    again: bool = False,
    dry_run: bool = False,
    limit: int | None = None,
    done: Callable[[Summary, int], None] = lambda *_: None,
    left: Callable[[Place, Left], None] = lambda *_: None,
) -> Summary:
    """Send the chosen letters that have no marker, the first ``limit`` of them; with ``again`` also the others.

    ``done`` is told what became of letters so far and how many are chosen, ``left`` of each that is left. Raises
    ConfigError, SendError.
    """
    letters = DeadLetters(config, choice)
    summary = Summary(dry_run=dry_run)
    with ExitStack() as stack:
        sender = None if dry_run else stack.enter_context(Sender(config))
        sending = _Sending(config, letters, repair, sender, summary, left)
        for letter in islice(sending.due(again), limit):
            sending.take(letter)
            done(summary, letters.count)
        sending.flush()
        done(summary, letters.count)
    for place in sorted(letters.missing):
        summary.left[Why.not_found.name] += 1
        left(place, Left(Why.not_found))
    return summary


class _Sending:
    def __init__(
        self,
        config: Config,
        letters: DeadLetters,
        repair: Repair | None,
        sender: Sender | None,
        summary: Summary,
        left: Callable[[Place, Left], None],
    ) -> None:
        self._config, self._letters, self._repair, self._sender = config, letters, repair, sender
        self._summary, self._tell = summary, left
        self._way_back = WayBack(config)
        self._topic = Topics(config).dead_letters
        self._sources: set[str] = set()
        self._held: list[tuple[Letter, Record]] = []
        self._held_since = 0.0

    @cached_property
    def _item_times(self) -> ItemTimes:
        return read_item_times(self._config)

    def due(self, again: bool) -> Iterator[Letter]:
        """The letters that are to be sent: one of each message."""
        for letter in self._letters:
            self._summary.chosen += 1
            marked = not again and self._letters.markers.redriven(letter) is not None
            if marked or letter.source in self._sources:
                self._summary.already_redriven += 1
            else:
                yield letter

    def take(self, letter: Letter) -> None:
        """Send it soon, or leave it."""
        try:
            record = self._record(letter)
        except Left as left:
            self._leave(letter.place, left)
            return
        self._sources.add(letter.source)
        if not self._held:
            self._held_since = time.monotonic()
        self._held.append((letter, record))
        if len(self._held) >= CHUNK or time.monotonic() > self._held_since + CHUNK_S:
            self.flush()

    def flush(self) -> None:
        """Send what is held."""
        held, self._held = self._held, []
        self._send(held)

    def _leave(self, place: Place, left: Left) -> None:
        self._summary.left[left.why.name] += 1
        if left.why is Why.would_fail:
            self._summary.would_fail[left.reason] += 1
        self._tell(place, left)

    def _record(self, letter: Letter) -> Record:
        """What is sent. Raises Left."""
        if letter.lacks_value:
            raise Left(Why.no_value, f"it may still be read at {letter.source}")
        if not self._way_back.takes(letter.topic):
            raise Left(Why.unknown_topic, letter.topic)
        if letter.reason == APPLIED:
            raise Left(Why.applied)
        value = letter.message.value
        if self._repair is not None:
            try:
                value = self._repair(value or b"", facts(letter))
            except Refused as refused:
                raise Left(Why.command, str(refused)) from None
        try:
            record, state = self._way_back.of(letter, value)
        except EventError as error:
            raise Left(Why.would_fail, str(error), error.reason) from None
        if state is not None and not self._item_times.take(state):
            raise Left(Why.newer_item, (state.key or b"").decode())
        return record

    def _send(self, held: list[tuple[Letter, Record]]) -> None:
        if self._sender is not None and held:
            try:
                self._sender.send([record for _, record in held])
            except SendError as error:
                if len(held) == 1:
                    self._leave(held[0][0].place, Left(Why.not_taken, str(error)))
                else:  # to find the one that is to blame
                    for one in held:
                        self._send([one])
                return
            self._sender.send([letter.marker(self._topic) for letter, _ in held])
        self._summary.sent += len(held)


def facts(letter: Letter) -> dict[str, str]:
    """What a repair command is told by its environment."""
    message = letter.message
    return {
        "LETTER_PLACE": str(letter.place),
        "LETTER_REASON": letter.reason,
        "LETTER_DETAIL": letter.detail,
        "LETTER_STAGE": letter.stage,
        "LETTER_TOPIC": letter.topic,
        "LETTER_SOURCE": letter.source,
        "LETTER_EVENT_ID": letter.event_id,
        "LETTER_TIMESTAMP": str(kafka_time(message)),
        "LETTER_KEY": (message.key or b"").decode(errors="replace"),
    }
