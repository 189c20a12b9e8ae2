"""A bounded file of vectors that processes share: SQLite with a write-ahead log."""

import fcntl
import logging
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TextIO, TypeVar

LAYOUT = 1
STATEMENT_ROWS = 500
EVICTED_ROWS = 100
EVICTIONS_PER_WRITE = 50

SCHEMA = f"""
PRAGMA journal_mode = WAL;
CREATE TABLE vectors (key BLOB PRIMARY KEY, used INTEGER NOT NULL, vector BLOB NOT NULL);
CREATE INDEX vectors_used ON vectors (used);
PRAGMA user_version = {LAYOUT};
"""

logger = logging.getLogger(__name__)

T = TypeVar("T")
Row = TypeVar("Row")


class VectorFile:
    """Blobs of ``blob_bytes`` by key, at most about ``max_bytes`` on disk; those used longest ago leave first.

    It is a cache, so nothing here raises: a damaged file is moved aside and begun anew, and while the disk refuses,
    nothing is found and nothing is kept. Each change of that state is logged once.

    Every open connection holds a shared lock on ``<path>.lock``: SQLite must not see its file renamed, so only a
    process that is alone moves a damaged one.
    """

    def __init__(self, path: Path, max_bytes: int, blob_bytes: int) -> None:
        self._path, self._max_bytes, self._blob_bytes = path, max_bytes, blob_bytes
        self._mutex = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._lock: TextIO | None = None
        self._inode = 0
        self._working = True

    def read(self, keys: Sequence[bytes], day: int) -> dict[bytes, bytes]:
        """The blobs that are there. Use is noted when the last note is from an earlier ``day``."""

        def action(database: sqlite3.Connection) -> dict[bytes, bytes]:
            found: dict[bytes, bytes] = {}
            stale: list[tuple[int, bytes]] = []
            for chunk in _chunks(keys):
                marks = ",".join("?" * len(chunk))
                rows = database.execute(f"SELECT key, used, vector FROM vectors WHERE key IN ({marks})", chunk)
                for key, used, blob in rows:
                    if not isinstance(blob, bytes) or len(blob) != self._blob_bytes:
                        raise sqlite3.DatabaseError(f"expected vectors of {self._blob_bytes} bytes, got {blob!r:.40}")
                    found[key] = blob
                    if used < day:
                        stale.append((day, key))
            if stale:
                with suppress(sqlite3.OperationalError), database:
                    database.executemany("UPDATE vectors SET used = ? WHERE key = ?", stale)
            return found

        return (self._guarded(action) if keys else None) or {}

    def write(self, blobs: Mapping[bytes, bytes], day: int) -> None:
        def action(database: sqlite3.Connection) -> None:
            for chunk in _chunks([(key, day, blob) for key, blob in blobs.items()]):
                with database:
                    database.executemany("INSERT OR REPLACE INTO vectors (key, used, vector) VALUES (?, ?, ?)", chunk)
                    self._evict(database)

        self._guarded(action)

    def close(self) -> None:
        with self._mutex:
            self._disconnect()

    def _evict(self, database: sqlite3.Connection) -> None:
        for _ in range(EVICTIONS_PER_WRITE):  # a bound that was lowered is reached over several writes
            if _bytes_used(database) <= self._max_bytes:
                return
            database.execute(
                "DELETE FROM vectors WHERE rowid IN (SELECT rowid FROM vectors ORDER BY used, rowid LIMIT ?)",
                (EVICTED_ROWS,),
            )

    def _guarded(self, action: Callable[[sqlite3.Connection], T]) -> T | None:
        """The result of ``action``, None if the file cannot be used now."""
        with self._mutex:
            for attempt in (1, 2):
                try:
                    result = action(self._database or self._connect())
                    self._working = True
                    return result
                except (sqlite3.OperationalError, OSError) as error:
                    self._disconnect()
                    self._complain(f"cannot be used ({error}); texts are encoded without it")
                    return None
                except sqlite3.DatabaseError as error:
                    self._disconnect()
                    if attempt == 1 and self._moved_aside(error):
                        continue
                    self._complain(f"is damaged ({error}) and in use elsewhere; texts are encoded without it")
                    return None
        return None

    def _complain(self, what: str) -> None:
        if self._working:
            logger.warning("vector cache %s %s", self._path, what)
        self._working = False

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self._lock_file()
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        if not self._path.exists():
            _create(self._path)
        self._database = database = sqlite3.connect(self._path, timeout=5.0, check_same_thread=False)
        self._inode = self._path.stat().st_ino
        (layout,) = database.execute("PRAGMA user_version").fetchone()
        if layout != LAYOUT:
            raise sqlite3.DatabaseError(f"expected layout {LAYOUT}, got {layout}")
        database.execute("PRAGMA synchronous = NORMAL")
        return database

    def _disconnect(self) -> None:
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _moved_aside(self, error: sqlite3.DatabaseError) -> bool:
        """Whether a new file can be begun: this process or another has moved the damaged one."""
        with self._lock_file() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if self._path.exists() and self._path.stat().st_ino == self._inode:
                aside = self._path.with_name(self._path.name + ".damaged")
                logger.warning("vector cache %s is damaged (%s): moved to %s and begun anew", self._path, error, aside)
                self._path.replace(aside)
                for suffix in ("-wal", "-shm"):
                    self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        return True

    def _lock_file(self) -> TextIO:
        return self._path.with_name(self._path.name + ".lock").open("a")


def _create(path: Path) -> None:
    """Under another name first: SQLite does not wait for its locks while two processes begin the same file."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as directory:
        new = Path(directory) / "new"
        with closing(sqlite3.connect(new)) as database:
            database.executescript(SCHEMA)
        with suppress(FileExistsError):
            path.hardlink_to(new)


def _bytes_used(database: sqlite3.Connection) -> int:
    pages, free, size = (
        database.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _chunks(rows: Sequence[Row]) -> Iterator[list[Row]]:
    for start in range(0, len(rows), STATEMENT_ROWS):
        yield list(rows[start : start + STATEMENT_ROWS])
