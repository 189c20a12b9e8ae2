"""Snapshots of the model on disk: one directory each, JSON and arrays, never pickle.

``<directory>/<version, 20 digits>/`` holds ``model.json`` and one ``.npy`` per array. A snapshot appears whole: it is
written beside its place and renamed.
"""

import logging
import os
import shutil
import socket
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np

from divrec.errors import SnapshotError
from divrec.model import ModelState

log = logging.getLogger(__name__)


class _Header(msgspec.Struct):
    version: int
    applied: dict[int, int]
    interactions: int
    now: int
    popularity_base: float | None
    ids: list[str]
    settings: dict[str, float]
    arrays: list[str]
    digest: str


def write_snapshot(directory: Path, state: ModelState, keep: int) -> Path:
    """Write ``state`` and remove all but the newest ``keep`` snapshots; where it lies.

    A snapshot of that version that can be read stays.
    """
    place = directory / f"{state.version:020d}"
    if not _is_good(place):
        # Workers of one directory come to a version together, and in containers all may have one process id.
        written = directory / f".{place.name}.{socket.gethostname()}.{os.getpid()}"
        shutil.rmtree(written, ignore_errors=True)
        written.mkdir(parents=True)
        for name, array in state.arrays.items():
            np.save(written / f"{name}.npy", array, allow_pickle=False)
        header = _Header(
            state.version,
            state.applied,
            state.interactions,
            state.now,
            state.popularity_base,
            state.ids,
            state.settings,
            sorted(state.arrays),
            state.digest(),
        )
        (written / "model.json").write_bytes(msgspec.json.encode(header))
        _put(written, place)
    snapshots = _snapshots(directory)
    for old in snapshots[keep:]:
        shutil.rmtree(old, ignore_errors=True)
    for unfinished in directory.glob(f".{'[0-9]' * 20}.*"):
        if len(snapshots) >= keep and unfinished.name[1:21] < snapshots[keep - 1].name:  # a worker crashed there
            shutil.rmtree(unfinished, ignore_errors=True)
    return place


def _put(written: Path, place: Path) -> None:
    """Move ``written`` to ``place``, where there is nothing, a damaged snapshot, or just now another worker's."""
    if place.exists():
        damaged = written.with_name(f"{written.name}.damaged")
        with suppress(OSError):  # another worker was faster
            place.rename(damaged)
        shutil.rmtree(damaged, ignore_errors=True)
    try:
        written.rename(place)
    except OSError:
        shutil.rmtree(written, ignore_errors=True)
        if not place.exists():
            raise


def remove_old_generations(directory: Path, before: float) -> list[Path]:
    """Remove the snapshots of the other generations beside ``directory`` that have none since ``before`` (seconds).

    ``before`` is what the model log reaches back to: what is older cannot be followed up any more.
    """
    removed = []
    for other in directory.parent.iterdir():
        # Not the time of modification: a copy may have that of its original.
        written = [place.stat().st_ctime for place in _snapshots(other) if other.name != directory.name]
        if written and max(written) < before:
            shutil.rmtree(other, ignore_errors=True)
            removed.append(other)
    return removed


def latest_snapshot(directory: Path) -> ModelState | None:
    """The newest snapshot that can be read, None if there is none; damaged ones are left and said."""
    for place in _snapshots(directory):
        try:
            return _read(place)
        except SnapshotError as error:
            log.warning("%s; trying an older one", error)
    return None


def _is_good(place: Path) -> bool:
    if not place.exists():
        return False
    try:
        _read(place)
    except SnapshotError as error:
        log.warning("%s; it is written again", error)
        return False
    return True


def _snapshots(directory: Path) -> list[Path]:
    """Newest first."""
    if not directory.is_dir():
        return []
    return sorted((place for place in directory.iterdir() if place.name.isdigit()), reverse=True)


def _read(place: Path) -> ModelState:
    try:
        header = msgspec.json.decode((place / "model.json").read_bytes(), type=_Header)
        arrays = {name: np.load(place / f"{name}.npy", allow_pickle=False) for name in header.arrays}
        state = ModelState(
            header.version,
            header.applied,
            header.interactions,
            header.now,
            header.popularity_base,
            header.ids,
            arrays,
            header.settings,
        )
        digest = state.digest()
        if header.version != int(place.name):  # the digest does not cover it
            raise ValueError(f"expected the version of its name, got {header.version}")
    except Exception as error:  # numpy alone has many ways to say that a file is damaged
        raise SnapshotError(f"snapshot {place}: cannot be read: {error}") from error
    if digest != header.digest:
        raise SnapshotError(f"snapshot {place}: expected the digest {header.digest}, got {digest}")
    return state
