"""What workers tell over HTTP and in their logs, on a real broker and a real store."""

import json
import logging
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from divrec.config import Config
from divrec.events import Click, Item, Review
from streams.codec import ARRIVED, Record, encode
from streams.health.logs import JsonLines, Reserved, no_quotes
from streams.health.metrics import DEFINITIONS, PREFIX, REASONS, Metrics
from streams.local.servers import LOOPBACK, free_ports
from streams.topics import Topics
from tests.servers import Broker, ValkeyServer, config_for
from tests.streams.running import Worker, headers, prepared, read, send, worker

ROOT = Path(__file__).parents[2]
SECRET = "plantedSecret"
"""Part of every text and every user id that the workers see here."""

BLOCKED = """
import asyncio, json, sys, time
from divrec.config import Config
from streams.batches import batches
from streams.topics import Topics
from streams.worker import run_worker

async def set_up(worker):
    async def process(messages):
        time.sleep(600)
    batches(worker.app, [Topics(worker.config).events], process, 10)

sys.exit(run_worker(Config(**json.loads(sys.argv[1])), "{module}", set_up))
"""


def ported(config: Config, **worker: Any) -> Config:
    (port,) = free_ports(1)
    values = config.model_dump()
    values["worker"] |= {"http_port": port} | worker
    return Config(**values)


def get(config: Config, path: str, timeout: float = 10.0) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{config.worker.http_port}{path}", timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def problems(config: Config, path: str) -> list[str]:
    status, text = get(config, path)
    told = json.loads(text)
    assert told["ok"] == (status == 200) == (not told["problems"])
    return list(told["problems"])


def samples(config: Config) -> dict[tuple[str, ...], float]:
    """Values by name and label values, in the order of the labels' names."""
    status, text = get(config, "/metrics")
    assert status == 200
    return {
        (sample.name.removeprefix(PREFIX), *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def until(running: Worker, condition: Callable[[], bool]) -> None:
    running.wait_until(condition, 20.0)


def test_a_recommend_worker_is_live_ready_and_counts(broker: Broker, valkey: ValkeyServer, tmp_path: Path) -> None:
    config = ported(prepared(config_for(broker, valkey, tmp_path)))
    topics = Topics(config)
    clicks = [
        Record(topics.clicks, None, b"k", encode(Click(user_id=f"u{n % 5}", item_id=f"i{n % 9}"))) for n in range(60)
    ]
    ingest_config = ported(config)
    with worker(config, "streams.recommend") as recommend, worker(ingest_config, "streams.ingest") as ingest:
        until(recommend, lambda: get(config, "/ready")[0] == 200)
        assert problems(config, "/live") == []
        send(config, [*clicks, Record(topics.clicks, None, b"k", b"no json")])
        read(config, topics.recommendations, lambda m: len(m) >= 60)
        until(recommend, lambda: samples(config).get(("consumer_lag", "0", topics.events), 1.0) == 0.0)
        until(recommend, lambda: samples(config)["replica_lag", topics.model_log] == 0.0)
        found = samples(config)
        assert found["events_taken_total", topics.events] == found["recommendations_total",] == 60
        assert found["interactions_total",] == 60 and found["events_open",] == 0
        assert found["delay_seconds_count", "recommend"] == 60
        assert 1 <= found["delay_seconds_count", "whole"] <= 60
        assert 0 < found["delay_seconds_sum", "whole"] < 60
        assert found["delay_seconds_bucket", "+Inf", "recommend"] == 60
        assert found["batch_seconds_count", "compute"] >= 1 and found["batch_seconds_count", "write"] >= 1
        assert found["state_size", "cached_profiles"] == 5 and found["profile_lookups_total", "miss"] == 5
        assert found["state_size", "model_items"] == 9 <= found["state_bound", "model_items"]
        assert found["model_log_offset",] >= 1 and found["disk_free_bytes", "state"] > 0
        assert found["process_resident_memory_bytes",] > 0
        before = samples(ingest_config)
        assert before["events_taken_total", topics.clicks] == 61
        assert before["dead_letters_total", "not-json", "ingest"] == 1
        assert before["delay_seconds_count", "ingest"] == 61
        assert recommend.end() == 0 and ingest.end() == 0
    events = read(config, topics.events, lambda m: len(m) >= 60)
    marked = [message for message in events if ARRIVED in headers(message)]
    assert 1 <= len(marked) <= found["delay_seconds_count", "whole"]


def test_ready_tells_what_is_away_and_live_does_not_mind(broker: Broker, tmp_path: Path) -> None:
    store = ValkeyServer(tmp_path / "own-valkey")
    store.start()
    config = ported(prepared(config_for(broker, store, tmp_path)))
    try:
        with worker(config, "streams.recommend") as running:
            until(running, lambda: get(config, "/ready")[0] == 200)
            store.kill()
            until(running, lambda: bool(problems(config, "/ready")))
            assert [p.split(":")[0] for p in problems(config, "/ready")] == ["store"]
            assert problems(config, "/live") == []
            store.start()
            until(running, lambda: get(config, "/ready")[0] == 200)
    finally:
        store.stop()


def test_a_worker_that_waits_for_its_broker_is_live_and_not_ready(valkey: ValkeyServer, tmp_path: Path) -> None:
    (nowhere,) = free_ports(1)

    class Nowhere:
        address = f"{LOOPBACK}:{nowhere}"
        settings: dict[str, Any] = {}  # noqa: RUF012

    config = ported(config_for(Nowhere, valkey, tmp_path))  # type: ignore[arg-type]
    with worker(config, "streams.ingest", ready=False) as running:
        running.wait_until(lambda: running.said("waiting for it"))
        assert problems(config, "/live") == []
        assert problems(config, "/ready")[0].startswith("not a member")
        assert samples(config)["info", "g1", "0.1.0", "ingest"] == 1
        assert running.end() == 0


def test_a_blocked_event_loop_does_not_answer(embedded_broker: Broker, valkey: ValkeyServer, tmp_path: Path) -> None:
    config = ported(prepared(config_for(embedded_broker, valkey, tmp_path)))
    with worker(config, "blocked", BLOCKED.replace("{", "{{").replace("}", "}}").replace("{{module}}", "{module}")):
        assert problems(config, "/live") == []
        send(config, [Record(Topics(config).events, 0, b"u", b"{}")])
        deadline = time.monotonic() + 10
        with pytest.raises(OSError):
            while time.monotonic() < deadline:
                get(config, "/live", timeout=1.0)
                time.sleep(0.05)


def test_following_that_stalls_is_not_live() -> None:
    from streams.health.http import STALLED_S, Health

    health = Health()
    health.turns["following"] = time.monotonic
    assert health.stalled() == []
    health.turns["following"] = lambda: time.monotonic() - STALLED_S - 1
    assert [problem.split(":")[0] for problem in health.stalled()] == ["following"]


def test_a_taken_port_is_said(embedded_broker: Broker, valkey: ValkeyServer, tmp_path: Path) -> None:
    config = ported(prepared(config_for(embedded_broker, valkey, tmp_path)))
    with worker(config, "streams.ingest"), worker(config, "streams.ingest", ready=False) as second:
        assert second.exit_code() == 70
        assert second.said("a port of its own")


def test_the_labels_are_bounded_and_reasons_complete() -> None:
    metrics = Metrics()
    letter = Record("dead", None, None, None, [("divrec-reason", b"invented"), ("divrec-stage", SECRET.encode())])
    metrics.sent([letter], dead_letters="dead")
    assert metrics.registry.get_sample_value("divrec_dead_letters_total", {"stage": "other", "reason": "other"}) == 1
    sources = "".join(path.read_text() for d in ("divrec", "streams") for path in (ROOT / d).rglob("*.py"))
    used = set(re.findall(r"EventError\(\s*\"([a-z-]+)\"", sources)) | {"poisoned", "encoder", "bad-time"}
    assert used <= REASONS


def test_every_metric_is_in_the_documentation() -> None:
    text = (ROOT / "docs" / "operation.md").read_text()
    for definition in DEFINITIONS:
        name = PREFIX + definition.name + ("_total" if definition.kind == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in definition.labels)
        assert f"| `{name}` | {definition.kind} | {labels}" in text, name


def test_json_lines_and_exceptions_that_quote() -> None:
    line = logging.LogRecord("streams.x", logging.ERROR, "x.py", 1, "event %s", ("e1",), None)
    line.event_id, line.partition, line.offset = "e1", 3, 17
    told = json.loads(JsonLines("recommend").format(line))
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "level": "ERROR",
        "logger": "streams.x",
        "worker": "recommend",
        "message": "event e1",
        "event_id": "e1",
        "partition": 3,
        "offset": 17,
    }
    try:
        try:
            int(SECRET)
        except ValueError:
            raise KeyError(SECRET) from None
    except KeyError as error:
        line.exc_info = (KeyError, error, error.__traceback__)
    for formatter in (JsonLines("recommend"), Reserved()):
        line.exc_text = None
        shown = formatter.format(line)
        assert SECRET not in shown and "KeyError" in shown and "test_health.py" in shown
    lost = logging.LogRecord("asyncio", 40, "x", 1, f"lost\nfuture: <Task exception=ValueError('{SECRET}')>", (), None)
    assert no_quotes(lost) and SECRET not in lost.getMessage() and "ValueError" in lost.getMessage()


def test_logs_hold_no_text_and_no_user(embedded_broker: Broker, valkey: ValkeyServer, tmp_path: Path) -> None:
    config = ported(prepared(config_for(embedded_broker, valkey, tmp_path, log_format="json", log_level="DEBUG")))
    topics = Topics(config)
    user = f"user-{SECRET}"
    key = user.encode()
    bad = [
        {"user_id": user, "item_id": "i", "action": SECRET},
        {"user_id": user, "item_id": "i", "kind": SECRET},
        {"user_id": user, "item_id": "i", "rating": SECRET},
        {"user_id": user, "item_id": ["x"], "text": SECRET},
    ]
    inputs = [
        *(Record(topic, None, key, json.dumps(b).encode()) for topic in (topics.clicks, topics.reviews) for b in bad),
        *(Record(topics.events, n % 4, key, json.dumps(b).encode()) for n, b in enumerate(bad)),
        Record(topics.events, 0, key, json.dumps({"kind": "click", "user_id": user, "item_id": "i"}).encode()),
        Record(topics.events, 1, key, json.dumps({"kind": "click", "user_id": user, "item_id": "i"}).encode()),
        Record(topics.clicks, None, key, SECRET.encode()),
        Record(topics.clicks, None, key, encode(Click(user_id=user, item_id="i"))),
        Record(topics.reviews, None, key, encode(Review(user_id=user, item_id="i", text=f"so {SECRET}"))),
        Record(topics.items, None, b"i", encode(Item(item_id="i", title=f"a {SECRET}"))),
        Record(topics.catalog, 0, b"i", json.dumps({"item_id": 1, "title": SECRET}).encode()),
        Record(topics.model_log, 0, None, SECRET.encode()),
        Record(topics.item_vectors, 0, SECRET.encode(), SECRET.encode()),
    ]
    with (
        worker(ported(config), "streams.ingest") as ingest,
        worker(ported(config), "streams.encode") as encoder,
        worker(config, "streams.recommend") as recommend,
    ):
        send(config, inputs)
        read(config, topics.recommendations, lambda m: len(m) >= 2)
        read(config, topics.dead_letters, lambda m: len(m) >= 12)
        wrong = f"{config.kafka.prefix}{config.generation}:profile:{user}-2"
        with valkey.client() as client:  # a command that fails quotes its key
            client.set(wrong, "no hash")
        send(config, [Record(topics.clicks, None, key, encode(Click(user_id=f"{user}-2", item_id="j")))])
        until(recommend, lambda: recommend.said("the batch waits"))
        with valkey.client() as client:
            client.delete(wrong)
        read(config, topics.recommendations, lambda m: len(m) >= 3)
        for running in (ingest, encoder, recommend):
            assert running.end() == 0
            assert len(running.lines) > 3
            assert SECRET not in "".join(running.lines)
            assert {json.loads(line)["worker"] for line in running.lines} == {running.name}
    assert recommend.said("skipped")
