"""How cost grows with the catalogue: learning, memory, and CPU per recommendation.

    python benchmarks/scale.py [--items 10000,100000,1000000] [--slates 2000] [--json OUT]

For each size a made-up stream goes through `divrec backfill` (profiles on disk, no broker): twice as many users as
items, three events an item (at least 200,000), items chosen by a power law within the categories that a user is after,
which drift. All items have vectors of 384 dimensions, near their category's. Then random users of the latest are
answered with slates of 10, in batches of 200, on `worker.threads` as the recommend worker does.

- ``events/s``: learning, over the wall time from the first event to the snapshot on disk.
- ``µs a slate``: CPU time of the process. ``times`` is relative to the smallest catalogue.
- ``bytes an item``: the model's and the catalogue's arrays over the items: rows of full width, which are allocated,
  doubling, as items come (docs/operation.md has the bound).
- ``bytes a user``: the file of profiles over the users.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from hardware import machine
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from divrec.backfill import Backfill, Taken
from divrec.config import Config
from divrec.data.log import Progress as Told
from divrec.engine import Ask
from divrec.events import Click, Item, ItemVector, pack_vector
from divrec.state.store import NOTHING
from divrec.warm_up import warm_up
from streams.memory import quiet_collector
from streams.topics import partition_of

DIMENSIONS = 384
CATEGORIES = 500
BATCH = 1_000
START_MS, STEP_MS = 1_700_000_000_000, 500
STUDY = 100_000_000
"""Reviews in the study that divrec builds on."""
ACTIONS = ("view", "click", "purchase", "like")


class Stream:
    """A made-up history (``backfill.History``), the same for the same size."""

    def __init__(self, items: int) -> None:
        self.item_count, self.user_count = items, 2 * items
        self.total_bytes = 0
        self.events_read = max(200_000, 3 * items)
        self.rejected: dict[str, int] = {}
        self.progress: Told | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def identity(self) -> list[object]:
        return ["scale", self.item_count]

    def items(self) -> Iterator[Item]:
        for n in range(self.item_count):
            yield Item(item_id=f"i{n}", title=f"Item {n}", categories=[f"c{n % CATEGORIES}"], ts=START_MS)

    def batches(self, skip: int) -> Iterator[list[Taken]]:
        random = np.random.default_rng(self.item_count)
        per_category = self.item_count // CATEGORIES
        for at in range(0, self.events_read, BATCH):
            users = (random.random(BATCH) ** 2 * self.user_count).astype(int)
            after = (users * 31 + at // 50_000 + (3 * random.random(BATCH) ** 2).astype(int)) % CATEGORIES
            places = (per_category ** random.random(BATCH) - 1).astype(int)  # 1/rank: Zipf
            chosen = ((places * 7_919 % per_category) * CATEGORIES + after).tolist()
            actions = random.integers(0, len(ACTIONS), BATCH).tolist()
            if at < skip:
                continue
            batch = []
            for n, (user, item, action) in enumerate(zip(users.tolist(), chosen, actions, strict=True), at):
                user_id = f"u{user}"
                event = Click(user_id=user_id, item_id=f"i{item}", action=ACTIONS[action], ts=START_MS + STEP_MS * n)
                batch.append(Taken(event, f"e{n}", partition_of(user_id, 8), NOTHING, True))
            yield batch


def measure(items: int, slates: int, progress: Progress, directory: Path) -> dict[str, Any]:
    config = Config(kafka={"partitions": 8}, model={"max_items": max(items, 16)})
    first: list[float] = []
    with Stream(items) as history, Backfill(config, directory / str(items), history) as work:
        task = progress.add_task(f"{items:,} items: learning", total=history.events_read)

        def told(taken: int) -> None:
            if not taken and not first:
                first.append(time.perf_counter())
            progress.update(task, completed=taken)

        place = work.run(told)
        rate = place.taken / (time.perf_counter() - first[0])
        give_vectors(work, items, progress)
        micros = slate_cpu(work, history, slates)
        sizes = work.engine.sizes()
        users = len(work.profiles)
        file = sum(part.stat().st_size for part in (directory / str(items)).glob("profiles.sqlite*"))
        return {
            "items": len(work.engine.model),
            "users": users,
            "events": place.taken,
            "events/s": rate,
            "µs a slate": micros,
            "bytes an item: model": sizes["model_bytes"] / items,
            "bytes an item: catalogue": sizes["catalog_bytes"] / items,
            "bytes a user": file / users,
        }


def give_vectors(work: Backfill, items: int, progress: Progress) -> None:
    random = np.random.default_rng(0)
    centres = random.normal(size=(CATEGORIES, DIMENSIONS)).astype(np.float32)
    model = work.config.encoder.model
    for n in progress.track(range(items), description=f"{items:,} items: vectors"):
        vector: NDArray[np.float32] = centres[n % CATEGORIES] + random.normal(size=DIMENSIONS).astype(np.float32)
        packed = pack_vector(vector / np.linalg.norm(vector))
        work.engine.put_vector(ItemVector(item_id=f"i{n}", model=model, vector=packed))


def slate_cpu(work: Backfill, history: Stream, slates: int) -> float:
    """µs of CPU for a slate."""
    random = np.random.default_rng(1)
    now = START_MS + STEP_MS * history.events_read
    users = (random.random(slates + 200) ** 2 * history.user_count).astype(int).tolist()
    asks = [Ask(work.profiles.get(f"u{user}", partition_of(f"u{user}", 8)), now) for user in users]
    work.engine.recommend_all(asks[:200])
    begin = time.process_time()
    for at in range(200, len(asks), 200):
        made = work.engine.recommend_all(asks[at : at + 200])
        assert all(len(slate) == work.config.slate.k for slate in made)
    return (time.process_time() - begin) / slates * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", default="10000,100000,1000000")
    parser.add_argument("--slates", type=int, default=2_000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console = Console()
    hardware = machine()
    warm_up(Config())
    quiet_collector()
    sizes = [int(size) for size in arguments.items.split(",")]
    with tempfile.TemporaryDirectory() as directory, Progress(console=console, transient=True) as progress:
        results = [measure(size, arguments.slates, progress, Path(directory)) for size in sizes]
    table = Table("", *(f"{size:,} items" for size in sizes), title=hardware)
    for figure in results[0]:
        table.add_row(figure, *(f"{found[figure]:,.0f}" for found in results))
    table.add_row("times", *(f"{found['µs a slate'] / results[0]['µs a slate']:.2f}" for found in results))
    console.print(table)
    hours = STUDY / results[-1]["events/s"] / 3_600
    console.print(
        f"{STUDY:,} reviews at the rate of the largest catalogue: {hours:.1f} hours of learning in one process."
    )
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": hardware, "sizes": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
