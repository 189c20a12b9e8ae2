"""The streams on Apache Kafka, measured in one run: a bare Faust echo, the recommend worker, the whole path.

    python benchmarks/stream.py [--events 30000] [--items 10000] [--json OUT]

- echo: a bare Faust agent takes batches of 500 raw values from a full topic and sends each back through aiokafka.
- tuned echo: the same on divrec's own agent loop and batched sending: what the recommend worker stands on.
- recommend: the worker over a full ``events`` topic, a slate of 10 for every click, a catalogue of ``--items`` items
  with 384-dimensional vectors.
- path: clicks through ingest and recommend as fast as they go.
- apply: model-log records applied by one replica, without a broker.
- delay: clicks at 200/s through ingest and recommend, from the click's Kafka timestamp to the arrival of its
  recommendation; on Apache Kafka and on the embedded broker.

Throughputs and CPU seconds are of the worker's process, over the time in which its outputs appeared.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from divrec.config import Config
from divrec.deltas import ModelLogRecord, decode_record, encode_record
from divrec.engine import Engine
from divrec.events import Click, Item, ItemVector, pack_vector
from divrec.profile import Profile
from divrec.warm_up import warm_up
from streams.codec import Record, encode, now_ms, send_all
from streams.health.ready import is_ready
from streams.kafka.log_reader import make_consumer, partitions_of
from streams.kafka.wiring import make_producer
from streams.topics import Topics, create_topics, partition_of

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.servers import EmbeddedBroker, KafkaServer, ValkeyServer, config_for

BARE = """
import asyncio, json, sys
import faust
from aiokafka import AIOKafkaProducer
from divrec.config import Config
from streams.health.ready import mark_ready
from streams.topics import Topics
import os

config = Config(**json.loads(sys.argv[1]))
topics = Topics(config)
app = faust.App("bare", broker=f"kafka://{config.kafka.brokers}", web_enabled=False, topic_disable_leader=True,
                topic_allow_declare=False, autodiscover=False, datadir=str(config.worker.state_dir))
source = app.topic(topics.events, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

@app.agent(source)
async def echo(stream):
    producer = AIOKafkaProducer(bootstrap_servers=config.kafka.brokers, acks="all", enable_idempotence=True)
    await producer.start()
    async for values in stream.take(500, within=0.1):
        sent = [await producer.send(topics.recommendations, value) for value in values]
        await asyncio.gather(*sent)

async def main():
    await app.start()
    mark_ready(config, "bare", os.getpid())
    await asyncio.Event().wait()

asyncio.run(main())
"""
TUNED = """
import json, sys
from divrec.config import Config
from streams.batches import batches
from streams.codec import Record, send_all
from streams.topics import Topics
from streams.worker import run_worker

async def set_up(worker):
    topics = Topics(worker.config)
    async def echo(messages):
        await send_all(worker.producer, [Record(topics.recommendations, m.partition, m.key, m.value) for m in messages])
    batches(worker.app, [topics.events], echo, 500)

sys.exit(run_worker(Config(**json.loads(sys.argv[1])), "tuned", set_up))
"""
WORKER = "import json, sys; from divrec.config import Config; from streams.{0} import run; "
WORKER += "sys.exit(run(Config(**json.loads(sys.argv[1]))))"
USERS = 2_000


class Process:
    def __init__(self, config: Config, name: str, script: str) -> None:
        values = json.loads(config.model_dump_json(exclude={"redis"}))
        values["worker"]["state_dir"] += f"/{name}"
        self.config, self.name = Config(**values), name
        log = Path(values["worker"]["state_dir"]) / "log"
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, json.dumps(values)],
            stderr=log.open("ab"),
            env=os.environ | {"DIVREC_REDIS__URL": config.redis.url.get_secret_value()},
        )

    def wait_ready(self) -> None:
        while not is_ready(self.config, self.name, self._process.pid):
            if self._process.poll() is not None:
                sys.exit(f"{self.name} ended:\n{self.log.read_text()}")
            time.sleep(0.05)

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(15)


@contextmanager
def processes(config: Config, **scripts: str) -> Iterator[dict[str, Process]]:
    running = {name: Process(config, name, script) for name, script in scripts.items()}
    try:
        for process in running.values():
            process.wait_ready()
        yield running
    finally:
        for process in running.values():
            process.stop()


def clicks(count: int, items: int, seed: int) -> list[Click]:
    random = np.random.default_rng(seed)
    ranks = np.minimum(random.zipf(1.2, count), items) - 1
    start = now_ms() - count
    return [
        Click(
            user_id=f"user-{random.integers(USERS)}",
            item_id=f"item-{rank}",
            action="click",
            ts=start + n,
            event_id=f"{seed}-{n}",
        )
        for n, rank in enumerate(ranks)
    ]


def catalogue(config: Config, items: int) -> list[Record]:
    topics, random = Topics(config), np.random.default_rng(0)
    model = config.encoder.model
    centres = random.normal(size=(100, 384)).astype(np.float32)
    records = []
    for n in range(items):
        item_id = f"item-{n}"
        vector = centres[n % 100] + random.normal(size=384).astype(np.float32)
        item = Item(
            item_id=item_id, title=f"Item {n}", categories=[f"category {n % 100}"], terms=["item", str(n)], ts=1
        )
        value = ItemVector(item_id=item_id, model=model, vector=pack_vector(vector / np.linalg.norm(vector)))
        records.append(Record(topics.catalog, None, item_id.encode(), encode(item)))
        records.append(Record(topics.item_vectors, None, f"{model}|{item_id}".encode(), encode(value)))
    return records


def event_records(config: Config, found: list[Click]) -> list[Record]:
    topics = Topics(config)
    return [
        Record(topics.events, partition_of(c.user_id, config.kafka.partitions), c.user_id.encode(), encode(c))
        for c in found
    ]


async def produce(config: Config, records: list[Record]) -> None:
    producer = make_producer(config)
    await producer.start()
    try:
        for at in range(0, len(records), 2_000):
            await send_all(producer, records[at : at + 2_000])
    finally:
        await producer.stop()


async def end_total(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> int:
    return sum((await consumer.end_offsets(partitions)).values())


async def throughput(
    config: Config, process: Process, count: int, progress: Progress, title: str
) -> tuple[float, float]:
    """Records/s that appear in ``recommendations`` and CPU seconds for them, of the middle four fifths."""
    task = progress.add_task(title, total=count)
    consumer = make_consumer(config)
    await consumer.start()
    try:
        partitions = await partitions_of(consumer, [Topics(config).recommendations])
        low, high = count // 10, 9 * count // 10
        begun: tuple[float, float, int] | None = None
        while True:
            total = await end_total(consumer, partitions)
            progress.update(task, completed=total)
            now = time.perf_counter(), process.cpu_seconds(), total
            if begun is None and total >= low:
                begun = now
            if begun is not None and total >= high:
                events = now[2] - begun[2]
                return events / (now[0] - begun[0]), (now[1] - begun[1])
            await asyncio.sleep(0.02)
    finally:
        await consumer.stop()


async def delays(config: Config, count: int, rate: float, progress: Progress, title: str) -> list[float]:
    """Milliseconds from the Kafka timestamp of each click to the arrival of its recommendation."""
    task = progress.add_task(title, total=count)
    topics = Topics(config)
    consumer = make_consumer(config)
    producer = make_producer(config)
    await consumer.start()
    await producer.start()
    arrived: dict[str, float] = {}
    sent: dict[str, float] = {}

    async def consume() -> None:
        while len(arrived) < count:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                now = time.time() * 1000
                for record in records:
                    event_id = json.loads(record.value)["trigger"]["event_id"]
                    if event_id in sent:
                        arrived.setdefault(event_id, now)
            progress.update(task, completed=len(arrived))

    try:
        partitions = await partitions_of(consumer, [topics.recommendations])
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        for tp in partitions:
            await consumer.position(tp)
        consuming = asyncio.create_task(consume())
        start = time.perf_counter()
        for n, click in enumerate(clicks(count, 10_000, seed=7)):
            await asyncio.sleep(max(0.0, start + n / rate - time.perf_counter()))
            click.event_id, click.ts = uuid.uuid4().hex, 0
            sent[click.event_id] = time.time() * 1000
            await producer.send(topics.clicks, encode(click), key=click.user_id.encode())
        await asyncio.wait_for(consuming, 60)
        return [arrived[event_id] - sent[event_id] for event_id in list(sent)[count // 10 :]]
    finally:
        await producer.stop()
        await consumer.stop()


def apply_rate(config: Config, found: list[Click]) -> float:
    """Interactions/s that one replica applies, decoding included, in records of 200."""
    warm_up(config)
    engine = Engine(config)
    profiles: dict[str, Profile] = {}
    deltas = []
    for offset, click in enumerate(found):
        before = profiles.get(click.user_id) or Profile(click.user_id, 0)
        observed = engine.observe(before, click, click.event_id or "", offset)
        profiles[click.user_id] = observed.profile
        if observed.delta is not None:
            deltas.append(observed.delta)
    records = [encode_record(ModelLogRecord(0, deltas[at : at + 200])) for at in range(0, len(deltas), 200)]
    start = time.process_time()
    for version, record in enumerate(records):
        engine.apply(decode_record(record), version)
    return len(deltas) / (time.process_time() - start)


async def prepared(config: Config, items: int) -> None:
    await create_topics(config)
    await produce(config, catalogue(config, items))


def percentiles(values: list[float]) -> dict[str, float]:
    return {"p50_ms": round(float(np.percentile(values, 50)), 1), "p99_ms": round(float(np.percentile(values, 99)), 1)}


def measure(arguments: argparse.Namespace, progress: Progress, directory: Path) -> dict[str, Any]:
    results: dict[str, Any] = {}
    valkey = ValkeyServer(directory / "valkey")
    valkey.start()
    kafka = KafkaServer(directory / "kafka")
    kafka.start()
    count = arguments.events
    try:
        for name, script in (("bare", BARE), ("tuned", TUNED)):
            config = config_for(kafka, valkey, directory / name, log_level="WARNING")
            asyncio.run(create_topics(config))
            asyncio.run(produce(config, event_records(config, clicks(count, arguments.items, 1))))
            with processes(config, **{name: script}) as running:
                rate, cpu = asyncio.run(throughput(config, running[name], count, progress, f"{name} echo"))
            results[f"{name} echo"] = {
                "events_per_s": round(rate),
                "cpu_us_per_event": round(1e6 * cpu / (0.8 * count), 1),
            }

        config = config_for(kafka, valkey, directory / "recommend", log_level="WARNING")
        asyncio.run(prepared(config, arguments.items))
        asyncio.run(produce(config, event_records(config, clicks(count, arguments.items, 1))))
        with processes(config, recommend=WORKER.format("recommend")) as running:
            rate, cpu = asyncio.run(throughput(config, running["recommend"], count, progress, "recommend"))
        results["recommend"] = {"events_per_s": round(rate), "cpu_us_per_event": round(1e6 * cpu / (0.8 * count), 1)}
        results["recommend"]["of_bare_echo"] = round(rate / results["bare echo"]["events_per_s"], 3)
        results["recommend"]["of_tuned_echo"] = round(rate / results["tuned echo"]["events_per_s"], 3)

        if arguments.only:
            return results
        config = config_for(kafka, valkey, directory / "path", log_level="WARNING")
        asyncio.run(prepared(config, arguments.items))
        inputs = [Record(Topics(config).clicks, None, c.user_id.encode(), encode(c)) for c in clicks(count, 10_000, 2)]
        asyncio.run(produce(config, inputs))
        scripts = {name: WORKER.format(name) for name in ("ingest", "recommend")}
        with processes(config, **scripts) as running:
            rate, cpu = asyncio.run(throughput(config, running["recommend"], count, progress, "whole path"))
            results["path"] = {"events_per_s": round(rate)}
            time.sleep(5.0)  # the last tenth
            found = asyncio.run(delays(config, arguments.delays, 200, progress, "delay at 200/s"))
            results["delay_kafka"] = percentiles(found)
    finally:
        kafka.stop()
    embedded = EmbeddedBroker(directory / "embedded")
    embedded.start()
    try:
        config = config_for(embedded, valkey, directory / "small", log_level="WARNING")
        asyncio.run(prepared(config, arguments.items))
        scripts = {name: WORKER.format(name) for name in ("ingest", "recommend")}
        with processes(config, **scripts):
            asyncio.run(delays(config, 600, 200, progress, "warm-up"))
            found = asyncio.run(delays(config, arguments.delays, 200, progress, "delay, embedded broker"))
            results["delay_embedded"] = percentiles(found)
    finally:
        embedded.stop()
        valkey.stop()
    results["apply"] = {"interactions_per_s": round(apply_rate(config, clicks(count, arguments.items, 1)))}
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=30_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--delays", type=int, default=3_000)
    parser.add_argument("--only", action="store_true", help="echoes and the recommend worker alone")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as directory, Progress(console=console) as progress:
        results = measure(arguments, progress, Path(directory))
    table = Table("measurement", "figure", title=f"{arguments.events} events, {arguments.items} items")
    for name, figures in results.items():
        table.add_row(name, "  ".join(f"{key} {value}" for key, value in figures.items()))
    console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
