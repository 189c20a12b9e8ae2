"""Mutated and random messages through every input topic: none stops a worker, each is applied or a dead letter.

20,000 on the embedded broker and 100,000 on Apache Kafka; ``FUZZ_MESSAGES`` and ``FUZZ_SEED`` in the environment ask
for more, or for others.
"""

import asyncio
import os
import time
from collections import Counter, defaultdict, deque
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from divrec.config import Config
from divrec.events import Click, Request, Review
from divrec.state.redis import RedisStore
from streams.codec import (
    ARRIVED,
    DEAD_LETTER_HEADERS,
    STAGE,
    TOPIC,
    Message,
    Record,
    decode_event,
    decode_item,
    send_all,
)
from streams.ingest import Ingest
from streams.kafka.log_reader import make_consumer, partitions_of, polled
from streams.leaving import EXIT_OK
from streams.topics import Topics
from tests.e2e.checks import stored_profiles
from tests.e2e.mutations import Mutations
from tests.servers import Broker, EmbeddedBroker, ValkeyServer, config_for
from tests.streams.running import Worker, prepared, producing, worker
from tests.text.tiny_bert import save_random_bert

SEED = int(os.environ.get("FUZZ_SEED", "1"))
ROUNDS = 5
CHUNK = 500
SHARES = {"click": ("clicks", 0.45), "request": ("requests", 0.2), "review": ("reviews", 0.2), "item": ("items", 0.15)}
KEPT_BYTES = 60_000_000
"""What a worker may grow by from the second round to the last: its caches fill meanwhile."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def fuzz_config(broker: Broker, valkey: ValkeyServer, tmp_path: Path) -> Config:
    save_random_bert(tmp_path / "model", seed=1)
    encoder = {"model": str(tmp_path / "model"), "cache_dir": tmp_path / "cache"}
    config = config_for(broker, valkey, tmp_path, encoder=encoder)
    asyncio.run(create_inputs(config))
    return prepared(config)


async def create_inputs(config: Config) -> None:
    """Topics that take any time of a producer, as those of brokers before Kafka 3.6 do."""
    any_time = {"message.timestamp.after.max.ms": str(2**63 - 1)}
    names = [getattr(Topics(config), name) for name, _ in SHARES.values()]
    admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka.brokers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(n, config.kafka.partitions, 1, topic_configs=any_time) for n in names])
    finally:
        await admin.close()


@pytest.fixture
def messages(broker: Broker) -> int:
    few = isinstance(broker, EmbeddedBroker)
    return int(os.environ.get("FUZZ_MESSAGES", "20000" if few else "100000"))


class Traffic:
    """What was sent, and what came of it."""

    def __init__(self, config: Config) -> None:
        self.config, self.topics = config, Topics(config)
        self.sent: dict[tuple[str, int], list[Record]] = defaultdict(list)
        """By topic and partition; the place in the list is the offset."""
        self.events: list[Message] = []
        self.catalog: list[Message] = []
        self.letters: list[Message] = []
        """Of inputs."""
        self.poisoned: list[Message] = []
        """Dead letters of events."""
        self._found = {
            self.topics.events: self.events,
            self.topics.catalog: self.catalog,
            self.topics.dead_letters: self.letters,
        }
        self.memory: list[dict[str, int]] = []

    def count(self, topic: str) -> int:
        return sum(len(records) for (name, _), records in self.sent.items() if name == topic)

    async def run(self, workers: dict[str, Worker], messages: int) -> None:
        mutations = Mutations(SEED)
        async with producing(self.config) as producer:
            consumer = make_consumer(self.config)
            try:
                await consumer.start()
                partitions = await partitions_of(consumer, self._found)
                consumer.assign(partitions)
                for tp in partitions:
                    consumer.seek(tp, 0)
                for _ in range(ROUNDS):
                    for kind, (name, share) in SHARES.items():
                        topic, count = getattr(self.topics, name), round(messages * share / ROUNDS)
                        records = mutations.records(kind, topic, self.config.kafka.partitions, count)
                        while chunk := list(islice(records, CHUNK)):
                            await send_all(producer, chunk)
                            for record in chunk:
                                self.sent[topic, record.partition or 0].append(record)
                    await self._settle(consumer, workers)
                    self.memory.append({name: resident(worker) for name, worker in workers.items()})
            finally:
                await consumer.stop()

    async def _settle(self, consumer: AIOKafkaConsumer, workers: dict[str, Worker]) -> None:
        """Until as much came as was sent, and a little longer: more must not come."""
        last, wanted = time.monotonic(), sum(map(len, self.sent.values()))
        while (found := sum(map(len, self._found.values()))) < wanted or time.monotonic() < last + 0.5:
            for message in await polled(consumer, 100):
                poisoned = message.topic == self.topics.dead_letters and message.header(STAGE) == b"recommend"
                (self.poisoned if poisoned else self._found[message.topic]).append(message)
                last = time.monotonic()
            check_alive(workers)
            assert time.monotonic() < last + 30, f"{found} of {wanted}"
        assert found == wanted


def resident(worker: Worker) -> int:
    """Bytes in memory."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def check_alive(workers: dict[str, Worker]) -> None:
    for name, running in workers.items():
        assert running.process.poll() is None, f"{name}\n{''.join(running.lines[-60:])}"


def test_no_message_stops_a_worker_and_every_one_is_accounted_for(fuzz_config: Config, messages: int) -> None:
    traffic = Traffic(fuzz_config)
    with ExitStack() as stack:
        workers = {
            n: stack.enter_context(worker(fuzz_config, f"streams.{n}")) for n in ("ingest", "encode", "recommend")
        }
        asyncio.run(traffic.run(workers, messages))
        wait_applied(traffic)
        check_alive(workers)
        assert {name: running.end() for name, running in workers.items()} == dict.fromkeys(workers, EXIT_OK)
    check_inputs(traffic)
    check_letters(traffic)
    assert not traffic.poisoned, [dict(letter.headers) for letter in traffic.poisoned[:5]]
    check_profiles(traffic)
    for name in workers:
        grown = traffic.memory[-1][name] - traffic.memory[1][name]
        print(name, [round(one[name] / 1e6) for one in traffic.memory])
        assert grown < KEPT_BYTES, name


def wait_applied(traffic: Traffic) -> None:
    """Until the watermarks stand at the ends of ``events``."""
    config = traffic.config
    ends = dict.fromkeys(range(config.kafka.partitions), -1)
    for message in traffic.events:
        ends[message.partition] = max(ends[message.partition], message.offset)

    async def waiting() -> None:
        store = RedisStore(config.redis, f"{config.kafka.prefix}{config.generation}")
        try:
            async with asyncio.timeout(60):
                while (await store.load([], list(ends))).watermarks != ends:
                    await asyncio.sleep(0.1)
        finally:
            await store.close()

    asyncio.run(waiting())


def check_inputs(traffic: Traffic) -> None:
    """Each input is one event, one record of the catalogue, or one dead letter."""
    topics = traffic.topics
    became = Counter(type(decode_event(message.value or b"")) for message in traffic.events)
    refused = Counter((letter.header(TOPIC) or b"").decode() for letter in traffic.letters)
    print(became, refused)
    assert traffic.count(topics.clicks) == became[Click] + refused[topics.clicks]
    assert traffic.count(topics.requests) == became[Request] + refused[topics.requests]
    assert traffic.count(topics.reviews) == became[Review] + refused[topics.reviews]
    assert traffic.count(topics.items) == len(traffic.catalog) + refused[topics.items]
    assert min(became.values()) > 0.05 * len(traffic.events)
    assert all(decode_item(message.value or b"").item_id.encode() == message.key for message in traffic.catalog)


def check_letters(traffic: Traffic) -> None:
    """Each has the original key, bytes and headers, and stands for another input."""
    places = set()
    for letter in traffic.letters:
        told = {name: value for name, value in letter.headers if name in DEAD_LETTER_HEADERS}
        place = (told["divrec-topic"].decode(), int(told["divrec-partition"]), int(told["divrec-offset"]))
        places.add(place)
        original = traffic.sent[place[:2]][place[2]]
        assert (letter.key, letter.value) == (original.key, original.value), place
        ours = DEAD_LETTER_HEADERS | {ARRIVED}
        assert [h for h in letter.headers if h[0] not in ours] == [h for h in original.headers if h[0] not in ours]
    assert len(places) == len(traffic.letters)


def check_profiles(traffic: Traffic) -> None:
    """Profiles hold each event once, but for those whose id is among the latest of the user."""
    remembered: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=traffic.config.profile.event_ids))
    applied: Counter[str] = Counter()
    for message in sorted(traffic.events, key=lambda m: (m.partition, m.offset)):
        event = decode_event(message.value or b"")
        assert event.event_id
        if event.event_id not in remembered[event.user_id]:
            remembered[event.user_id].append(event.event_id)
            applied[event.user_id] += 1
    stored = stored_profiles(traffic.config, applied)
    assert {user: profile.events for user, profile in stored.items()} == applied
    print(f"{len(traffic.events)} events, {len(traffic.events) - applied.total()} repeats, {len(applied)} users")


def test_orders_of_any_shape_become_events_or_one_dead_letter() -> None:
    """The same through a mapping of several events a message, without a broker."""
    columns = {"user": "user_id", "item": "exclude[]", "ts": "ts", "event_id": "event_id", "action": "=purchase"}
    config = Config(topics={"clicks": {"map": columns}})
    topics, ingest = Topics(config), Ingest(config)
    became: Counter[str] = Counter()
    for offset, sent in enumerate(Mutations(SEED).records("request", topics.clicks, 1, 5_000)):
        message = Message(topics.clicks, 0, offset, sent.timestamp or 1, sent.key, sent.value, sent.headers)
        records = ingest.records(message)
        became.update(record.topic for record in records)
        if records[0].topic == topics.events:
            events = [decode_event(record.value or b"") for record in records]
            assert len({event.event_id for event in events}) == len(events)
        else:
            assert [(record.topic, record.value) for record in records] == [(topics.dead_letters, sent.value)]
    assert became[topics.events] > 5_000
    assert became[topics.dead_letters] > 1_000
