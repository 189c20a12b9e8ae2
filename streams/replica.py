"""A replica: an engine that follows the model log, the catalogue and the item vectors.

Every recommend worker holds one, and so does whoever only looks (``divrec digest``, ``divrec whatif``).
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from pathlib import Path

from aiokafka import TopicPartition

from divrec.config import Config
from divrec.deltas import decode_record
from divrec.engine import Engine
from divrec.errors import DeltaError, EventError, SnapshotError
from divrec.events import Item, ItemVector
from divrec.model import ModelState
from divrec.state.snapshot import latest_snapshot, remove_old_generations, write_snapshot
from streams.codec import Message, decode_item, decode_vector_record
from streams.kafka.log_reader import ends_of, make_consumer, partitions_of, polled
from streams.topics import MODEL_LOG_DAYS, Topics

log = logging.getLogger(__name__)

DIGEST_EVERY = 5_000
"""Model-log offsets between two logged digests: the same on every replica, so that they can be compared."""
_TURN = 20
"""Records applied before other tasks of the event loop get their turn."""


class Replica:
    """``engine`` is brought up to date by ``start`` and kept so by ``follow``.

    Without ``snapshots`` it writes none, nor any digest into the log.
    """

    def __init__(self, config: Config, *, snapshots: bool = True) -> None:
        self._config = config
        self._topics = Topics(config)
        self._directory = snapshot_directory(config)
        self._consumer = make_consumer(config)
        self._snapshots = snapshots
        self._snapshot_at = 0
        self._background: set[asyncio.Task[None]] = set()
        self.skipped = 0
        """Records of the followed topics that could not be read: logged, the same on every replica."""
        self.still = asyncio.Lock()
        """Held while the engine is read in another thread: nothing is applied then."""
        self.stepped_at = 0.0
        """When ``follow`` last looked for records, whether there were any: seconds, monotonic."""
        self.engine = Engine(config)
        self._vector_partitions: list[TopicPartition] = []
        self._undecided: dict[TopicPartition, int] = {}
        """Ends in ``item-vectors`` to be reached before a text model is chosen: the choice is made knowing all."""

    @property
    def snapshot_version(self) -> int:
        """Where the latest snapshot stands, 0 without one."""
        return self._snapshot_at

    def behind(self) -> dict[str, int]:
        """Records not applied yet, by topic, as far as the last fetch knew."""
        behind: dict[str, int] = {}
        for tp, end, position in ends_of(self._consumer):
            behind[tp.topic] = behind.get(tp.topic, 0) + max(0, end - (end if position is None else position))
        return behind

    @property
    def version(self) -> int:
        return self.engine.model.version

    async def start(self) -> None:
        """Load the newest snapshot and read all topics to their ends. Raises SnapshotError."""
        await asyncio.to_thread(self._load_snapshot)
        await self._consumer.start()
        partitions = await partitions_of(
            self._consumer, (self._topics.model_log, self._topics.catalog, self._topics.item_vectors)
        )
        first = await self._consumer.beginning_offsets(partitions)
        ends = await self._consumer.end_offsets(partitions)
        model_log = TopicPartition(self._topics.model_log, 0)
        self._check_reach(first[model_log], ends[model_log])
        self._consumer.assign(partitions)
        for tp in partitions:
            self._consumer.seek(tp, self.version if tp == model_log else first[tp])
        log.info("replica: catching up from model-log offset %d to %d", self.version, ends[model_log])
        self._vector_partitions = [tp for tp in partitions if tp.topic == self._topics.item_vectors]
        self._undecided = {tp: ends[tp] for tp in self._vector_partitions}
        waiting = await self._ahead_of_position(ends)
        await self._choose_model()
        while waiting or self._undecided:
            await self._step()
            waiting = await self._ahead_of_position(waiting)
        self.stepped_at = time.monotonic()
        log.info("replica: at model-log offset %d, %s", self.version, self._sizes())

    def _load_snapshot(self) -> None:
        state = latest_snapshot(self._directory)
        if state is None:
            return
        self.engine.model.restore(state)
        self._snapshot_at = state.version
        log.info("replica: snapshot at model-log offset %d, digest %s", state.version, state.digest())

    def _check_reach(self, first: int, end: int) -> None:
        """The log must go on where the snapshot ends."""
        if self.version > end:
            raise SnapshotError(
                f"model log: expected it to reach the snapshot's offset {self.version}, it ends at {end}: this is "
                f"another log; remove {self._directory} or start a new generation"
            )
        if self.version < first:
            if not self._config.worker.from_oldest:
                raise SnapshotError(
                    f"model log: expected it to begin at {self.version} or before, it begins at {first}: what lies "
                    f"between is lost to this replica. Copy a newer snapshot into {self._directory}, or start with "
                    "--from-oldest and accept a model without it"
                )
            log.warning("replica: the model begins at model-log offset %d: --from-oldest", first)
            self.engine.model.version = first

    async def follow(self) -> None:
        """Apply what comes, until cancelled."""
        while True:
            await self._step()

    async def _ahead_of_position(self, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        return {tp: end for tp, end in ends.items() if await self._consumer.position(tp) < end}

    async def _step(self) -> None:
        messages = await polled(self._consumer)
        for at in range(0, len(messages), _TURN):
            async with self.still:
                for message in messages[at : at + _TURN]:
                    self._take(message)
            await asyncio.sleep(0)
        if self._undecided or any(message.topic == self._topics.item_vectors for message in messages):
            await self._choose_model()
        self.stepped_at = time.monotonic()

    async def _choose_model(self) -> None:
        """Change over to the text model of the newest marker; if its vectors were not kept, read them again first."""
        self._undecided = await self._ahead_of_position(self._undecided)
        if self._undecided:
            return
        engine, before = self.engine, self.engine.catalog.model
        engine.staging.settle()
        model, _ = engine.markers.newest(len(self._vector_partitions))
        if model in ("", before):
            return
        if engine.staging.holds_all(model):
            async with self.still:
                engine.change_over(model)
            log.info("text model: changed over from %s to %s: %s", before or "none", model, self._sizes())
            return
        log.info("text model: reading the vectors of %s again, until then %s is used", model, before or "none")
        engine.staging.expect(model)
        for tp, first in (await self._consumer.beginning_offsets(self._vector_partitions)).items():
            self._undecided[tp] = await self._consumer.position(tp)
            self._consumer.seek(tp, first)

    def _take(self, message: Message) -> None:
        try:
            if message.topic == self._topics.model_log:
                self._apply(message)
            elif message.topic == self._topics.catalog:
                self._take_item(message)
            else:
                self._take_vector(message)
        except (DeltaError, EventError, ValueError, RecursionError) as error:
            self.skipped += 1
            # Not what the error says: it may quote the record, which can be read at its position.
            position = {"partition": message.partition, "offset": message.offset}
            kind = type(error).__name__
            log.error("%s:%d:%d: skipped (%s)", message.topic, message.partition, message.offset, kind, extra=position)
        if message.topic == self._topics.model_log:
            self.engine.model.version = message.offset + 1
            if self._snapshots:
                self._mark(message.offset + 1)

    def _apply(self, message: Message) -> None:
        self.engine.apply(decode_record(message.value or b""), message.offset)

    def _take_item(self, message: Message) -> None:
        if message.value is not None:
            self.engine.put_item(decode_item(message.value))
        elif message.key is not None:  # encode keeps withdrawals as records; a tombstone means the same
            self.engine.put_item(Item(item_id=message.key.decode(), available=False))

    def _take_vector(self, message: Message) -> None:
        if message.value is not None:
            record = decode_vector_record(message.value)
            if isinstance(record, ItemVector):
                self.engine.put_vector(record)
            else:
                self.engine.markers.put(message.partition, record)
        elif message.key is not None:
            model, _, item_id = message.key.decode().partition("|")
            if item_id:
                self.engine.drop_vector(model, item_id)
            else:
                self.engine.markers.drop(message.partition, model)

    def _mark(self, version: int) -> None:
        """Digest and snapshot at fixed offsets; the copy is taken here, the work is done in a thread."""
        due = version - self._snapshot_at >= self._config.worker.snapshot_every
        if version % DIGEST_EVERY and not due:
            return
        state = self.engine.model.state()
        if due:
            self._snapshot_at = version
        task = asyncio.create_task(self._write(state, snapshot=due))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _write(self, state: ModelState, *, snapshot: bool) -> None:
        if state.version % DIGEST_EVERY == 0:
            log.info("digest %s at model-log offset %d", await asyncio.to_thread(state.digest), state.version)
        if snapshot:
            keep = self._config.worker.snapshots_kept
            try:
                place = await asyncio.to_thread(write_snapshot, self._directory, state, keep)
                reach = time.time() - MODEL_LOG_DAYS * 86_400
                for old in await asyncio.to_thread(remove_old_generations, self._directory, reach):
                    log.info("snapshots of an earlier generation removed: %s", old)
            except OSError as error:
                log.error("snapshot at model-log offset %d was not written: %s", state.version, error)
            else:
                log.info("snapshot written: %s; %s", place, self._sizes())

    def _sizes(self) -> str:
        return ", ".join(f"{name} {size}" for name, size in self.engine.sizes().items())

    async def stop(self) -> None:
        if self._background:
            await asyncio.wait(self._background, timeout=3.0)
        await self._consumer.stop()


def snapshot_directory(config: Config) -> Path:
    return config.worker.state_dir.expanduser() / "snapshots" / config.generation


async def read_replica(config: Config, *, snapshots: bool = True) -> Replica:
    """A replica as of now, which does not follow."""
    replica = Replica(config, snapshots=snapshots)
    try:
        await replica.start()
    finally:
        await replica.stop()
    return replica
