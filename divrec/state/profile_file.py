"""The profiles of one process that sees every user: the latest in memory, all of them in one SQLite file.

Everything between two ``commit`` is one transaction: who opens the file after a crash finds what the last one left.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from divrec.errors import ConfigError
from divrec.profile import Profile, decode_profile, encode_profile
from divrec.state.store import NOTHING, Write

# Profiles are rather long for a tree of their own: an index of user ids beside them costs half as much.
_TABLES = """
CREATE TABLE IF NOT EXISTS profiles (
  user_id TEXT PRIMARY KEY, "offset" INTEGER NOT NULL, profile BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS place (only INTEGER PRIMARY KEY CHECK (only = 0), value BLOB NOT NULL);
"""
_PUT = """
INSERT INTO profiles VALUES (?, ?, ?)
ON CONFLICT (user_id) DO UPDATE SET "offset" = excluded."offset", profile = excluded.profile
"""
_LEAVING = 8
"""One in this many of the profiles in memory leaves when there are too many: those used longest ago."""


class ProfileFile:
    """``cached`` profiles in memory at most. One process at a time: raises ConfigError where another has the file."""

    def __init__(self, path: Path, cached: int) -> None:
        self.path = path
        self._cached = cached
        self._profiles: OrderedDict[str, Profile] = OrderedDict()
        self._changed: set[str] = set()
        self._file = sqlite3.connect(path, isolation_level=None, timeout=0.0)
        try:
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.executescript(_TABLES)
            self._file.execute("BEGIN IMMEDIATE")
        except sqlite3.DatabaseError as error:
            self._file.close()
            raise ConfigError(
                f"{path}: expected a file of profiles that no other process has open: {error}; wait for that one, or "
                "name another directory"
            ) from None

    def get(self, user_id: str, partition: int) -> Profile:
        """The profile of ``user_id``, a new one if there is none. Raises StoreError if it is of another partition."""
        profile = self._profiles.get(user_id)
        if profile is not None:
            self._profiles.move_to_end(user_id)
            return profile
        row = self._file.execute("SELECT profile FROM profiles WHERE user_id = ?", (user_id,)).fetchone()
        return Profile(user_id, partition) if row is None else decode_profile(row[0], partition)

    def put(self, profile: Profile) -> None:
        self._profiles[profile.user_id] = profile
        self._changed.add(profile.user_id)
        if len(self._profiles) > self._cached:
            self._evict()

    def _evict(self) -> None:
        leaving = [self._profiles.popitem(last=False)[1] for _ in range(1 + self._cached // _LEAVING)]
        self._write([profile for profile in leaving if profile.user_id in self._changed])
        self._changed.difference_update(profile.user_id for profile in leaving)

    def _write(self, profiles: list[Profile]) -> None:
        self._file.executemany(_PUT, [(p.user_id, p.offset, encode_profile(p)) for p in profiles])

    @property
    def place(self) -> bytes | None:
        """What the last ``commit`` was given, None before the first."""
        row = self._file.execute("SELECT value FROM place").fetchone()
        return None if row is None else bytes(row[0])

    def commit(self, place: bytes) -> None:
        """Make everything put so far durable, and ``place`` with it."""
        self._write([self._profiles[user_id] for user_id in sorted(self._changed)])
        self._changed.clear()
        self._file.execute("INSERT OR REPLACE INTO place VALUES (0, ?)", (place,))
        self._file.execute("COMMIT")
        self._file.execute("BEGIN IMMEDIATE")

    def __len__(self) -> int:
        """Users, of what was committed and what left memory since."""
        return int(self._file.execute("SELECT count(*) FROM profiles").fetchone()[0])

    def writes(self) -> Iterator[Write]:
        """All committed profiles as for a store that has none of them, by user id."""
        for user_id, offset, data in self._file.execute("SELECT * FROM profiles ORDER BY user_id"):
            yield Write(user_id, NOTHING, offset, data, None)

    def close(self) -> None:
        """What was not committed is gone."""
        self._file.close()
