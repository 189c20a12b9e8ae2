"""A profile store in memory, for one process: backfill and tests of what stands on a store."""

from collections.abc import Mapping, Sequence

from divrec.state.store import NOTHING, Advance, Loaded, Saved, Write


class MemoryStore:
    def __init__(self) -> None:
        self.profiles: dict[str, tuple[int, bytes]] = {}
        self.slates: dict[str, bytes] = {}
        self.watermarks: dict[int, int] = {}

    async def load(self, user_ids: Sequence[str], partitions: Sequence[int]) -> Loaded:
        return Loaded(
            {user: self.profiles[user][1] for user in user_ids if user in self.profiles},
            {partition: self.watermarks.get(partition, NOTHING) for partition in partitions},
        )

    async def save(self, writes: Sequence[Write], advances: Mapping[int, Advance]) -> Saved:
        conflicts = set()
        for write in writes:
            if self.profiles.get(write.user_id, (NOTHING, b""))[0] != write.expected:
                conflicts.add(write.user_id)
                continue
            self.profiles[write.user_id] = write.offset, write.profile
            if write.slate is not None:
                self.slates[write.user_id] = write.slate
        as_expected = all(self.watermarks.get(p, NOTHING) == advance.expected for p, advance in advances.items())
        advanced = not conflicts and as_expected
        if advanced:
            self.watermarks.update({partition: advance.offset for partition, advance in advances.items()})
        return Saved(frozenset(conflicts), advanced)

    async def latest_slate(self, user_id: str) -> bytes | None:
        return self.slates.get(user_id)

    async def close(self) -> None:
        """Nothing to close."""
