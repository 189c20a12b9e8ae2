"""What the parts of a worker hold, as samples for its metrics."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from divrec.config import Config
from divrec.text.cache import CachedEncoder
from streams.batches import Acks
from streams.encoding.backlog import Backlog
from streams.health import metrics
from streams.health.metrics import Sample
from streams.kafka.log_reader import ends_of
from streams.kafka.wiring import App
from streams.replica import Replica, snapshot_directory

_COUNTED = {
    "model_interactions": metrics.INTERACTIONS,
    "catalog_refused": metrics.REFUSED,
    "vectors_of_other_models": metrics.OTHER_VECTORS,
}
"""What ``Engine.sizes`` tells and is no size."""


def of_worker(config: Config, name: str) -> Iterator[Sample]:
    try:
        release = version("divrec")
    except PackageNotFoundError:  # run from its sources
        release = "unknown"
    yield metrics.INFO, (name, config.generation, release), 1
    yield from _disk("state", config.worker.state_dir)


def of_consumer(app: App, acks: Iterable[Acks]) -> Iterator[Sample]:
    """Lag per assigned partition, and what is under way."""
    open_offsets = {lane: offset for its_acks in acks for lane, offset in its_acks.first_open().items()}
    yield metrics.EVENTS_OPEN, (), sum(map(len, acks))
    consumer = app.consumer
    committed = consumer._committed_offset
    driver = getattr(consumer._thread, "_consumer", None)  # in a thread of its own: its figures may be a moment old
    for tp, end, position in ends_of(driver) if driver is not None else ():
        done = committed.get(tp)
        if done is None:  # nothing of it was ever committed
            done = open_offsets.get((tp.topic, tp.partition), end if position is None else position)
        yield metrics.CONSUMER_LAG, (tp.topic, str(tp.partition)), max(0, end - done)


def of_replica(config: Config, replica: Replica) -> Iterator[Sample]:
    """The model and the catalogue against their bounds, and how far behind the topics they are."""
    yield metrics.MODEL_OFFSET, (), replica.version
    yield metrics.SNAPSHOT_OFFSET, (), replica.snapshot_version
    yield metrics.SKIPPED, (), replica.skipped
    for topic, lag in replica.behind().items():
        yield metrics.REPLICA_LAG, (topic,), lag
    for name, size in replica.engine.sizes().items():
        if name in _COUNTED:
            yield _COUNTED[name], (), size
        elif name.endswith("_bound"):
            yield metrics.STATE_BOUND, (name.removesuffix("_bound"),), size
        else:
            yield metrics.STATE_SIZE, (name,), size
    directory = snapshot_directory(config)
    snapshots = [place for place in directory.iterdir() if place.name.isdigit()] if directory.is_dir() else []
    yield metrics.STATE_SIZE, ("snapshots",), len(snapshots)
    yield metrics.STATE_BOUND, ("snapshots",), config.worker.snapshots_kept
    yield metrics.STATE_SIZE, ("snapshot_bytes",), sum(map(_size_of_all, snapshots))


def of_profiles(config: Config, held: int) -> Iterator[Sample]:
    yield metrics.STATE_SIZE, ("cached_profiles",), held
    yield metrics.STATE_BOUND, ("cached_profiles",), max(config.worker.cached_profiles, config.worker.batch)


def of_encoder(
    config: Config, topics: Sequence[str], backlog: Backlog, cached: CachedEncoder, file: Path
) -> Iterator[Sample]:
    """What waits for the model, and the vectors on disk."""
    for topic in topics:
        yield metrics.ENCODER_PENDING, (topic,), backlog.pending(topic)
    # A batch is taken whole before reading pauses.
    yield metrics.STATE_BOUND, ("encoder_pending",), 2 * config.encoder.pending
    yield metrics.VECTOR_CACHE, ("hit",), cached.hits
    yield metrics.VECTOR_CACHE, ("miss",), cached.misses
    yield metrics.STATE_SIZE, ("vector_cache_bytes",), _size(file) + _size(file.with_name(f"{file.name}-wal"))
    yield metrics.STATE_BOUND, ("vector_cache_bytes",), config.encoder.cache_bytes
    yield from _disk("cache", config.encoder.cache_dir)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _size_of_all(directory: Path) -> int:
    try:
        return sum(map(_size, directory.iterdir()))
    except OSError:  # removed just now: there is a newer one
        return 0


def _disk(name: str, directory: Path) -> Iterator[Sample]:
    place = directory.expanduser().absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    yield metrics.DISK_FREE, (name,), shutil.disk_usage(place).free
