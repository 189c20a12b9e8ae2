"""What the gauges make of a directory that changes under them."""

import asyncio
from pathlib import Path

import pytest

from divrec.config import Config
from streams.health import gauges
from streams.health.metrics import STATE_SIZE
from streams.replica import Replica, snapshot_directory


def test_a_snapshot_that_is_removed_while_it_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the soak: ``/metrics`` failed at that moment."""
    config = Config(worker={"state_dir": tmp_path})
    kept, leaving = (snapshot_directory(config) / f"{version:020d}" for version in (1, 2))
    for place in (kept, leaving):
        place.mkdir(parents=True)
        (place / "model.json").write_text("12345")
    listed = Path.iterdir

    def removing(directory: Path):  # type: ignore[no-untyped-def]
        found = list(listed(directory))
        if directory == snapshot_directory(config):
            (leaving / "model.json").unlink()
            leaving.rmdir()
        return iter(found)

    monkeypatch.setattr(Path, "iterdir", removing)

    async def sizes() -> dict[str, float]:
        replica = Replica(config)
        found = {labels[0]: size for what, labels, size in gauges.of_replica(config, replica) if what == STATE_SIZE}
        await replica.stop()
        return found

    assert asyncio.run(sizes())["snapshot_bytes"] == 5
