"""History to the state that workers start from: one process, one engine, no broker.

A backfill makes a *generation* in a directory of its own::

    snapshots/<generation>/00000000000000000000/   the model, for the workers' state directory
    profiles.sqlite                                the profiles, for Redis (``load``)
    backfill.json                                  what was made, and where in ``events`` the workers go on

It can be killed at any time and started again: it goes on from its last checkpoint, which is a snapshot of the model
and, in one transaction, the profiles and the place in the log.

The snapshot stands at offset 0 of the generation's model log, which is still empty. For a raw log nothing of
``events`` is in it: profiles and watermarks stand before the first event. For a dump of ``events`` they stand where
the dump ends, so that workers pass over what the dump held.
"""

import logging
import shutil
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import msgspec
from msgspec.structs import replace

from divrec.config import Config
from divrec.data.log import Log
from divrec.data.naming import named
from divrec.data.readers import Progress
from divrec.deltas import Delta
from divrec.engine import Engine
from divrec.errors import ConfigError, EventError, SnapshotError, StoreError
from divrec.events import Event, Item, Review, pack_vector
from divrec.model import ModelState
from divrec.profile import Profile
from divrec.state.profile_file import ProfileFile
from divrec.state.snapshot import latest_snapshot, write_snapshot
from divrec.state.store import NOTHING, Advance, Store, Write
from divrec.text.content import review_text
from divrec.text.encoder import Encoder
from divrec.text.segment import terms

log = logging.getLogger(__name__)

BATCH = 1_000
"""Events learned from at once."""
BATCHES_AHEAD = 4
"""Batches observed before the model has learned the one before them."""
LESSON_EVERY = 16
LESSON_LATER_EVERY = 64
LATER = 100_000
"""The blend learns from one in ``LESSON_EVERY`` events, of those after so many from one in ``LESSON_LATER_EVERY``."""
TURN_S = 1e-4
"""Of a thread that holds the interpreter while another one waits for it."""
CHECKPOINT_EVERY = 1_000_000
"""Events between two checkpoints."""
_KNOWN_USERS = 200_000
"""Users whose partition is remembered."""
LOADED_AT_ONCE = 500
"""Profiles written to a store in one round trip."""


class Taken(NamedTuple):
    """One event of a history, in the order in which it counts."""

    event: Event | None
    """None for what is no event: it only moves the watermark of its partition."""
    event_id: str
    partition: int
    offset: int
    """Where it stands in ``events``, ``NOTHING`` for an event that is not there."""
    replayed: bool
    reason: str = ""
    """Why it is no event."""


class History(Protocol):
    """Where the events come from. The same one gives the same events in the same order, as often as it is read.

    Close it, or use it in ``with``.
    """

    progress: Progress | None
    """Is told how many more of the ``total_bytes`` were read."""

    @property
    def total_bytes(self) -> int: ...

    @property
    def events_read(self) -> int:
        """All events, once the first batch has come."""
        ...

    @property
    def rejected(self) -> dict[str, int]:
        """Bad lines so far, by reason."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def identity(self) -> list[object]:
        """What tells it from another one."""
        ...

    def items(self) -> Iterator[Item]:
        """The catalogue, with terms: it stands from the first event on."""
        ...

    def batches(self, skip: int) -> Iterator[list[Taken]]:
        """The events but the first ``skip``, by time."""
        ...


class RawLog:
    """A log of the past that is not in ``events``.

    What ingest and encode add to an event is added here: an event id, the terms of texts, and, with an ``encoder``,
    the vectors of reviews.
    """

    def __init__(self, source: Log, partition_of: Callable[[str], int], encoder: Encoder | None = None) -> None:
        self._log, self._encoder = source, encoder
        self._partition_of = lru_cache(_KNOWN_USERS)(partition_of)
        self.progress: Progress | None = None

    @property
    def total_bytes(self) -> int:
        return self._log.total_bytes

    @property
    def events_read(self) -> int:
        return self._log.events_read

    @property
    def rejected(self) -> dict[str, int]:
        return self._log.rejected

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()

    def identity(self) -> list[object]:
        return [*self._log.identity(), self._encoder and self._encoder.name]

    def items(self) -> Iterator[Item]:
        self._log.progress = self.progress
        return map(described, self._log.items())

    def batches(self, skip: int) -> Iterator[list[Taken]]:
        events = islice(named(self._log.events()), skip, None)
        partition_of = self._partition_of
        while batch := list(islice(events, BATCH)):
            self._complete([event for event in batch if type(event) is Review])
            yield [Taken(event, event.event_id or "", partition_of(event.user_id), NOTHING, True) for event in batch]

    def _complete(self, reviews: list[Review]) -> None:
        for review in reviews:
            review.terms = terms(f"{review.title} {review.text}")
            review.vector = review.model = None
        if self._encoder is None:
            return
        texts = {id(review): text for review in reviews if (text := review_text(review))}
        told = [review for review in reviews if id(review) in texts]
        if told:
            for review, vector in zip(told, self._encoder.encode(list(texts.values())), strict=True):
                review.vector, review.model = pack_vector(vector), self._encoder.name


def described(item: Item) -> Item:
    """``item`` with its terms, as the encode worker gives them."""
    return replace(item, terms=terms(f"{item.title} {item.description}"))


class Place(msgspec.Struct):
    """How far a backfill has come."""

    identity: str
    """Hash of the history and of the settings that matter."""
    generation: str
    partitions: int
    taken: int = 0
    """Events of the history that are behind."""
    done: bool = False
    watermarks: dict[int, int] = {}
    """The last ``events`` offset of each partition that is in the state; none for a raw log."""
    kinds: dict[str, int] = {}
    """Events observed, by kind; ``repeats`` are event ids that came before, and changed nothing."""
    refused: dict[str, int] = {}
    """What was no event or could not be observed, by reason."""
    digest: str = ""
    """Of the model, when done."""


class Backfill:
    """One history to one generation in ``directory``. Close it, or use it in ``with``.

    Raises ConfigError if ``directory`` holds a backfill of something else, or another process works in it.
    """

    def __init__(
        self, config: Config, directory: Path, history: History, checkpoint_every: int = CHECKPOINT_EVERY
    ) -> None:
        self.config, self.directory = config, directory
        self.engine = Engine(config)
        directory.mkdir(parents=True, exist_ok=True)
        self._history = history
        self._checkpoints = directory / "checkpoints"
        self._every = checkpoint_every
        # What the model learns of one batch runs beside the observing of the next, which reads the catalogue alone.
        self._thread = ThreadPoolExecutor(1, "learn")
        self._learning: deque[Future[None]] = deque()
        self._state: ModelState | None = None
        """The checkpoint to go on from."""
        self.profiles = ProfileFile(directory / "profiles.sqlite", config.worker.cached_profiles)
        try:
            self.place = self._begin()
        except BaseException:
            self.profiles.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        self.profiles.close()

    # -- where it stands -----------------------------------------------------------------------------------------

    def _begin(self) -> Place:
        """Go on from the last checkpoint, if there is one."""
        fresh = Place(self._identity(), self.config.generation, self.config.kafka.partitions)
        found = self.profiles.place
        if found is None:
            return fresh
        place = msgspec.json.decode(found, type=Place)
        if place.identity != fresh.identity:
            raise ConfigError(
                f"{self.directory}: expected a new directory, or one of the same log and settings, found a backfill of "
                f"something else (generation {place.generation}): name another directory or remove this one"
            )
        if not place.done:
            self._state = self._checkpoint_at(place.taken)
            log.info("going on after %d events", place.taken)
        return place

    def _identity(self) -> str:
        """A hash of what the result depends on."""
        config = self.config
        settings = [config.feedback, config.profile, config.model, config.slate]
        told = [
            *self._history.identity(),
            *(section.model_dump() for section in settings),
            config.generation,
            config.kafka.partitions,
        ]
        return blake2b(msgspec.json.encode(told, order="deterministic"), digest_size=16).hexdigest()

    def _checkpoint_at(self, taken: int) -> ModelState:
        """The snapshot that belongs to the committed profiles; a newer one was written by a run that was killed."""
        for place in self._checkpoints.iterdir() if self._checkpoints.is_dir() else ():
            if not place.name.isdigit() or int(place.name) > taken:
                shutil.rmtree(place)
        state = latest_snapshot(self._checkpoints)
        if state is None or state.version != taken:
            raise SnapshotError(
                f"{self._checkpoints}: expected a snapshot after {taken} events, found "
                f"{state and state.version}: remove {self.directory} and begin anew"
            )
        return state._replace(version=0)

    def _checkpoint(self) -> None:
        self._settle()
        self.engine.model.renew()  # as it will be where this checkpoint is gone on from
        state = self.engine.model.state()._replace(version=self.place.taken)
        write_snapshot(self._checkpoints, state, keep=2)
        self.profiles.commit(msgspec.json.encode(self.place))

    # -- the work ------------------------------------------------------------------------------------------------

    def run(self, told: Callable[[int], None] = lambda _: None) -> Place:
        """Learn everything that is not yet learned; ``told`` hears how many events are behind.

        Memory is bounded by the settings: ``model.max_items``, ``worker.cached_profiles``.
        """
        if self.place.done:
            return self.place
        for item in self._history.items():
            self.engine.put_item(item)
        if self._state is not None:  # after the items, so that they lie where they lay
            self.engine.model.restore(self._state)
            self._state = None
        due = self.place.taken + self._every
        told(self.place.taken)
        with _short_turns():
            for batch in self._history.batches(self.place.taken):
                self._take(batch)
                if self.place.taken >= due:
                    self._checkpoint()
                    due = self.place.taken + self._every
                told(self.place.taken)
        self._finish()
        return self.place

    def _take(self, batch: list[Taken]) -> None:
        place, profiles, engine = self.place, self.profiles, self.engine
        applied = engine.model.applied
        deltas: list[Delta] = []
        taught: list[tuple[int, Profile]] = []
        kinds: Counter[type | None] = Counter()
        refused: Counter[str] = Counter()
        if any(isinstance(taken.event, Review) and taken.event.rating is None for taken in batch):
            self._settle()  # their ratings are predicted, by what came before this batch
        for at, (event, event_id, partition, offset, replayed, reason) in enumerate(batch, place.taken):
            if offset != NOTHING:
                place.watermarks[partition] = offset
            if event is None:
                refused[reason] += 1
                continue
            before = profiles.get(event.user_id, partition)
            try:
                observed = engine.observe(before, event, event_id, offset, teach=False)
                after = observed.profile
                if engine.wants_slate(observed, event, replayed=replayed):
                    after.slate_ts = event.ts
            except Exception as error:  # a worker makes it a dead letter that counts as applied
                if isinstance(error, EventError):
                    refused[error.reason] += 1
                else:
                    if not refused["poisoned"] and "poisoned" not in place.refused:
                        log.exception("event %s cannot be observed; more like it are only counted", event_id)
                    refused["poisoned"] += 1
                after = before.copy()
                after.offset = offset
            else:
                kinds[None if observed.repeat else type(event)] += 1
                if observed.delta is not None:
                    if at % (LESSON_EVERY if at < LATER else LESSON_LATER_EVERY) == 0:
                        taught.append((len(deltas), before))
                    deltas.append(observed.delta)
                    if offset != NOTHING:
                        applied[partition] = offset
            profiles.put(after)
        for kind, count in kinds.items():
            name = "repeats" if kind is None else f"{kind.__name__.lower()}s"
            place.kinds[name] = place.kinds.get(name, 0) + count
        for reason, count in refused.items():
            place.refused[reason] = place.refused.get(reason, 0) + count
        if deltas:
            self._learning.append(self._thread.submit(self._learn, deltas, taught))
        self._settle(BATCHES_AHEAD)
        place.taken += len(batch)

    def _learn(self, deltas: list[Delta], taught: list[tuple[int, Profile]]) -> None:
        """In the thread, one batch after the other: what the blend makes of a batch depends on those before alone."""
        lessons = self.engine.teach([(before, deltas[at]) for at, before in taught])
        for (at, _), delta in zip(taught, lessons, strict=True):
            deltas[at] = delta
        self.engine.model.learn_all(deltas)

    def _settle(self, left: int = 0) -> None:
        """Wait until the model has learned all but the last ``left`` batches."""
        while len(self._learning) > left:
            self._learning.popleft().result()

    def _finish(self) -> None:
        """Write the snapshot that workers start from, then say that all is done."""
        self._settle()
        state = self.engine.model.state()
        self.place.digest = state.digest()
        write_snapshot(self.directory / "snapshots" / self.config.generation, state, keep=1)
        self.place.done = True
        told = msgspec.json.encode(self.place)
        (self.directory / "backfill.json").write_bytes(msgspec.json.format(told) + b"\n")
        self.profiles.commit(told)
        shutil.rmtree(self._checkpoints, ignore_errors=True)


@contextmanager
def _short_turns() -> Iterator[None]:
    """Have threads hand over the interpreter soon: else learning waits 5 ms for it after every array operation."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


async def load(profiles: ProfileFile, place: Place, store: Store, told: Callable[[int], None] = lambda _: None) -> int:
    """Write the profiles of a finished backfill to ``store``, and its watermarks last; how many profiles.

    May be repeated as long as no worker has begun with the generation. Raises StoreError if one has, or if the store
    holds another backfill.
    """
    partitions = range(place.partitions)
    stands = (await store.load([], partitions)).watermarks
    for partition, mark in stands.items():
        if mark not in (NOTHING, place.watermarks.get(partition, NOTHING)):
            raise _in_use(place, f"watermark {mark} of partition {partition}")
    loaded = 0
    writes = profiles.writes()
    while chunk := list(islice(writes, LOADED_AT_ONCE)):
        await _put(chunk, place, store)
        loaded += len(chunk)
        told(loaded)
    advances = {partition: Advance(stands[partition], mark) for partition, mark in place.watermarks.items()}
    if advances and not (await store.save([], advances)).advanced:
        raise _in_use(place, "watermarks that moved meanwhile")
    return loaded


async def _put(chunk: list[Write], place: Place, store: Store) -> None:
    conflicts = (await store.save(chunk, {})).conflicts
    if conflicts:  # what an earlier load has left stands at the very offset
        again = [write._replace(expected=write.offset) for write in chunk if write.user_id in conflicts]
        if left := (await store.save(again, {})).conflicts:
            raise _in_use(place, f"a profile of {len(left)} of {len(chunk)} users at another offset")


def _in_use(place: Place, what: str) -> StoreError:
    return StoreError(
        f"store: expected nothing of generation {place.generation}, or what an earlier load has left, found {what}: "
        "a worker has begun with it; backfill another generation"
    )
