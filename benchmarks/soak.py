"""Memory under endless load: does anything grow past its bound?

    python benchmarks/soak.py [--events 1000000]                         the engine alone, in this process
    python benchmarks/soak.py --topics 200000                            the workers, on the local stack
    python benchmarks/soak.py --topics 200000 --brokers HOST:PORT --redis URL       on servers that are there

Made-up users and items (``world.py``) come and go, always more of them than the bounds allow, so that model, catalogue,
withdrawals, profiles and consumed items are evicted all the time. Printed are samples of the resident memory and of
what is held; the slope is that of the memory after the first 40 % of the events. Ends with 1 if something is over its
bound, if a slate holds what it must not, if an event is missing, or if the memory rises by more than 5 % after that.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from divrec.config import Config, load_config
from divrec.deltas import ModelLogRecord
from divrec.engine import Ask, Engine
from divrec.events import Event, Request, Review
from divrec.profile import Profile
from divrec.warm_up import warm_up
from streams.codec import Record, encode, send_all
from streams.health.ready import is_ready
from streams.kafka.wiring import make_producer
from streams.local.servers import LOOPBACK, free_ports
from streams.local.stack import LocalStack, worker_command
from streams.topics import Topics, create_topics, partition_of

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.hardware import machine
from benchmarks.world import Step, World

SETTINGS: dict[str, dict[str, Any]] = {
    "profile": {"history": 30, "consumed": 16, "event_ids": 32, "keywords": 16},
    "model": {"max_items": 7_000, "neighbours": 64, "users": 1_500, "history": 20},
    "slate": {"publish": "request"},
    "worker": {"cached_profiles": 2_000, "snapshot_every": 200},
}
"""Small bounds: all of them are reached while memory still warms up. Arrays double when items need it, up to what the
model and the catalogue hold together, so twice ``max_items`` is not just above a power of two."""
USERS = 2_000
LISTED = 7_200
"""More than ``max_items``: the catalogue refuses some."""
PARTITIONS = 4
BATCH = 200
WARM_UP = 0.4
ALLOWED_RISE = 0.05
"""Snapshots are copies, for which the allocator takes some more room now and then."""
AHEAD = 5_000
"""Events that the workers may be behind what is sent."""
SAMPLES = 25
PATIENCE_S = 120.0


class Sample(NamedTuple):
    events: int
    rss: int
    sizes: dict[str, float]
    """As in ``Engine.sizes``: what has a bound has it under its name and ``_bound``."""


class EngineSoak:
    """An engine and the profiles of its users, of which those not seen for longest are forgotten, in a world."""

    def __init__(self, config: Config, world: World) -> None:
        self.config = config
        self.world = world
        self.engine = Engine(config)
        self.profiles: OrderedDict[str, Profile] = OrderedDict()
        self.records: list[ModelLogRecord] = []
        """What the latest step put on the model log."""
        self.slates = 0
        self.forgotten = 0
        self._offsets = [0] * PARTITIONS
        self._version = 0

    def step(self, size: int = BATCH, told: Callable[[Step, list[str]], None] | None = None) -> None:
        """Observe, recommend, learn. ``told`` gets the step and the users whose profile is new or begun anew."""
        step, engine = self.world.step(size), self.engine
        for item in step.items:
            engine.put_item(item)
        for vector in step.vectors:
            engine.put_vector(vector)
        self.records = [ModelLogRecord(partition, []) for partition in range(PARTITIONS)]
        asks, fresh = [], []
        for event in step.events:
            before = self.profiles.get(event.user_id)
            if before is None:
                before = Profile(event.user_id, partition_of(event.user_id, PARTITIONS))
                fresh.append(event.user_id)
            offset = self._offsets[before.partition]
            self._offsets[before.partition] += 1
            observed = engine.observe(before, event, event.event_id or "", offset)
            self.profiles[event.user_id] = observed.profile
            self.profiles.move_to_end(event.user_id)
            if observed.delta is not None:
                self.records[before.partition].deltas.append(observed.delta)
            if isinstance(event, Request):
                asks.append(Ask(observed.profile, event.ts))
        if told:
            told(step, fresh)
        for ask, slate in zip(asks, engine.recommend_all(asks), strict=True):
            self._check(ask.profile, [item.item_id for item in slate])
        for record in self.records:
            if record.deltas:
                engine.apply(record, self._version)
                self._version += 1
        while len(self.profiles) > self.config.worker.cached_profiles:
            self.profiles.popitem(last=False)
            self.forgotten += 1

    def _check(self, profile: Profile, shown: list[str]) -> None:
        self.slates += 1
        wrong = [item for item in shown if item in profile.consumed or self.world.withdrawn(item)]
        if wrong or len(set(shown)) < len(shown):
            raise AssertionError(f"a slate for {profile.user_id} holds {wrong or 'an item twice'}")

    def sizes(self) -> dict[str, float]:
        held = {
            "item_indices": len(self.engine.items.ids),
            "item_indices_bound": 4 * self.config.model.max_items,
            "cached_profiles": len(self.profiles),
            "cached_profiles_bound": self.config.worker.cached_profiles,
        }
        return {**self.engine.sizes(), **held}


def over(sizes: Mapping[str, float]) -> list[str]:
    """What is over its bound."""
    bounds = {name: sizes[f"{name}_bound"] for name in sizes if f"{name}_bound" in sizes}
    return [f"{name} {sizes[name]:,.0f} of {bound:,.0f}" for name, bound in bounds.items() if sizes[name] > bound]


def resident(pid: int | str = "self") -> int:
    """Bytes of a process that are in memory (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def soak_engine(events: int, progress: Progress) -> Iterator[Sample]:
    config = Config(**SETTINGS)
    soak = EngineSoak(config, World(1, USERS, LISTED, config.encoder.model))
    task = progress.add_task("engine", total=events)
    due = 0
    while soak.world.events < events:
        soak.step()
        progress.update(task, completed=soak.world.events)
        if soak.world.events >= due:
            due += events // SAMPLES
            yield Sample(soak.world.events, resident(), soak.sizes())
    yield Sample(soak.world.events, resident(), soak.sizes())
    filters = sum(profile.consumed.filtered for profile in soak.profiles.values())
    progress.console.print(
        f"{soak.slates:,} slates, none with a withdrawn or consumed item or one twice; {soak.world.entered:,} items "
        f"entered, {soak.forgotten:,} profiles forgotten, {filters:,} of the others are past their consumed bound"
    )


class Workers(NamedTuple):
    config: Config
    pid: Callable[[], int]
    """Of the recommend worker as it is now: one that was started again would hide what it had grown to."""
    http: dict[str, str]


@contextmanager
def local_workers(directory: Path) -> Iterator[Workers]:
    with LocalStack(directory, ("ingest", "recommend"), settings=SETTINGS) as stack:
        http = {name: stack.info().processes[name].http or "" for name in ("ingest", "recommend")}
        yield Workers(stack.config, lambda: stack.info().processes["recommend"].pid, http)


@contextmanager
def own_workers(directory: Path, brokers: str, redis: str) -> Iterator[Workers]:
    kafka = {"brokers": brokers, "partitions": PARTITIONS, "prefix": f"soak-{uuid.uuid4().hex[:8]}."}
    settings = {**SETTINGS, "kafka": kafka, "redis": {"url": redis}}
    settings["worker"] = {**SETTINGS["worker"], "state_dir": str(directory)}
    os.environ.update(
        {
            f"DIVREC_{section}__{key}".upper(): str(value)
            for section, keys in settings.items()
            for key, value in keys.items()
        }
    )
    config = load_config()
    asyncio.run(create_topics(config))
    ports = dict(zip(("ingest", "recommend"), free_ports(2), strict=True))
    with ExitStack() as undo:
        running = {}
        for name, port in ports.items():
            log = undo.enter_context((directory / f"{name}.log").open("wb"))
            command = worker_command(name, directory)[:-2]  # configured by the environment alone
            environment = os.environ | {"DIVREC_WORKER__HTTP_PORT": str(port)}
            running[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
            undo.callback(running[name].wait, 15)
            undo.callback(running[name].terminate)
        while not all(is_ready(config, name, process.pid) for name, process in running.items()):
            if any(process.poll() is not None for process in running.values()):
                raise AssertionError(f"a worker ended: {[file.read_text() for file in directory.glob('*.log')]}")
            time.sleep(0.1)
        yield Workers(config, lambda: running["recommend"].pid, {n: f"http://{LOOPBACK}:{p}" for n, p in ports.items()})


def metrics_of(address: str) -> dict[tuple[str, str], float]:
    """By name and the value of the first label."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(text):
        for name, labels, value, *_ in family.samples:
            key = name.removeprefix("divrec_"), next(iter(labels.values()), "")
            found[key] = found.get(key, 0.0) + value
    return found


def records_of(config: Config, topics: Topics, step: Step) -> list[Record]:
    """The step as an encode worker and the producers would send it."""
    model = config.encoder.model
    records = []
    for item in step.items:
        records.append(Record(topics.catalog, None, item.item_id.encode(), encode(item)))
        if not item.available:
            records.append(Record(topics.item_vectors, None, f"{model}|{item.item_id}".encode(), None))
    for vector in step.vectors:
        records.append(Record(topics.item_vectors, None, f"{model}|{vector.item_id}".encode(), encode(vector)))
    for event in step.events:
        records.append(Record(_topic(topics, event), _partition(config, event), event.user_id.encode(), encode(event)))
    return records


def _topic(topics: Topics, event: Event) -> str:
    if isinstance(event, Review):  # encoded already
        return topics.events
    return topics.requests if isinstance(event, Request) else topics.clicks


def _partition(config: Config, event: Event) -> int | None:
    return partition_of(event.user_id, config.kafka.partitions) if isinstance(event, Review) else None


async def soak_topics(workers: Workers, events: int, progress: Progress, samples: list[Sample]) -> None:
    config, topics = workers.config, Topics(workers.config)
    world = World(2, USERS, LISTED, config.encoder.model, requests=0.1)
    task = progress.add_task("topics", total=events)
    producer = make_producer(config)
    pid, sent, requests, due = workers.pid(), 0, 0, 0
    await producer.start()
    try:
        while world.events < events:
            step = world.step(1_000)
            await send_all(producer, records_of(config, topics, step))
            sent += len(step.events)
            requests += sum(isinstance(event, Request) for event in step.events)
            progress.update(task, completed=world.events)
            found = await _caught_up(workers, topics, sent - AHEAD)
            if world.events >= due:
                due += events // SAMPLES
                samples.append(Sample(world.events, resident(pid), _sizes(found)))
        found = await _caught_up(workers, topics, sent)
        while (made := found["recommendations_total", ""]) < requests:
            await asyncio.sleep(0.2)
            found = await _caught_up(workers, topics, sent)
        samples.append(Sample(world.events, resident(pid), _sizes(found)))
        dead = sum(
            value
            for address in workers.http.values()
            for (name, _), value in metrics_of(address).items()
            if name == "dead_letters_total"
        )
        progress.console.print(f"{sent:,} events sent and taken, {made:,.0f} recommendations, {dead:,.0f} dead letters")
        if dead or workers.pid() != pid or made != requests:
            raise AssertionError(f"expected no dead letter, no new worker and {requests:,} recommendations")
    finally:
        await producer.stop()


async def _caught_up(workers: Workers, topics: Topics, taken: int) -> dict[tuple[str, str], float]:
    """The recommend worker's metrics once it has taken so many events."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = await asyncio.to_thread(metrics_of, workers.http["recommend"])
        if found.get(("events_taken_total", topics.events), 0) >= taken:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"expected {taken:,} events taken within {PATIENCE_S:g} s: {found}")
        await asyncio.sleep(0.1)


def _sizes(found: dict[tuple[str, str], float]) -> dict[str, float]:
    sizes = {state: value for (name, state), value in found.items() if name == "state_size"}
    bounds = {f"{state}_bound": value for (name, state), value in found.items() if name == "state_bound"}
    bounds["snapshots_bound"] += 1  # until the oldest is removed
    bounds["cached_profiles_bound"] += 2 * BATCH  # one that is written and one that is computed ahead
    return sizes | bounds | {"refused": found["refused_items_total", ""]}


def judged(samples: list[Sample], events: int, console: Console, title: str) -> bool:
    """Print what was measured; whether everything stayed within its bounds, and the memory flat."""
    names = ("model_items", "catalog_items", "catalog_vectors", "catalog_withdrawn", "cached_profiles")
    table = Table("events", "RSS MiB", *names, "model MiB", "catalogue MiB", title=title)
    for sample in samples:
        figures = [f"{sample.sizes[name]:,.0f}" for name in names]
        megabytes = [f"{sample.sizes[f'{name}_bytes'] / 2**20:.1f}" for name in ("model", "catalog")]
        table.add_row(f"{sample.events:,}", f"{sample.rss / 2**20:.1f}", *figures, *megabytes)
    table.add_row("bound", "", *(f"{samples[-1].sizes[f'{name}_bound']:,.0f}" for name in names), "", "")
    console.print(table)
    warm = [sample for sample in samples if sample.events >= WARM_UP * events]
    slope = float(np.polyfit([sample.events for sample in warm], [sample.rss for sample in warm], 1)[0])
    rise = slope * (warm[-1].events - warm[0].events) / warm[0].rss
    console.print(
        f"after {warm[0].events:,} events: {slope * 100_000 / 2**20:+.2f} MiB for 100,000 events, {rise:+.1%} in all "
        f"(allowed {ALLOWED_RISE:.0%}); most {max(sample.rss for sample in samples) / 2**20:.0f} MiB"
    )
    wrong = [f"{sample.events:,} events: {name}" for sample in samples for name in over(sample.sizes)]
    console.print("\n".join(wrong) or "everything within its bound")
    return not wrong and rise <= ALLOWED_RISE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="through the engine")
    parser.add_argument("--topics", type=int, metavar="EVENTS", help="through the topics instead")
    parser.add_argument("--brokers", help="with --redis: Kafka of yours, in place of the local stack")
    parser.add_argument("--redis", metavar="URL")
    parser.add_argument("--json", type=Path, metavar="OUT")
    arguments = parser.parse_args()
    console, title = Console(width=140), machine()
    samples: list[Sample] = []
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory, Progress(console=console, transient=True) as progress:
        if arguments.topics:
            made = (
                own_workers(Path(directory), arguments.brokers, arguments.redis)
                if arguments.brokers
                else local_workers(Path(directory))
            )
            with made as workers:
                asyncio.run(soak_topics(workers, arguments.topics, progress, samples))
        else:
            warm_up(Config(**SETTINGS))
            samples.extend(soak_engine(arguments.events, progress))
    good = judged(samples, arguments.topics or arguments.events, console, title)
    console.print(f"{time.perf_counter() - begin:.0f} s")
    if arguments.json:
        arguments.json.write_text(json.dumps([sample._asdict() for sample in samples], indent=2) + "\n")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
