"""Looks at everything that a deployment stands on and says what is wrong and what to do."""

import asyncio
import re
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import msgspec
from aiokafka.errors import KafkaError

from divrec.config import Config, EncoderConfig
from divrec.errors import ConfigError, EncoderError, StoreUnavailable
from divrec.state.redis import server_facts
from divrec.text.locate import whereabouts
from streams.kafka.positions import Position, event_positions, model_log_extent
from streams.replica import snapshot_directory
from streams.topics import broker_facts, inspect_topics

State = Literal["ok", "warning", "problem"]

RELEASES = {18: "4.1", 17: "3.9", 16: "3.7", 15: "3.5", 13: "3.1", 12: "2.7", 11: "2.3", 10: "2.1", 7: "1.1", 5: "1.0"}
"""Kafka's release by the newest version of its fetch request."""
OLDEST_FETCH = 10
OLDEST_REDIS = 6
LITTLE_BYTES, ALMOST_NO_BYTES = 2_000_000_000, 200_000_000
FULL = 0.9


class Finding(msgspec.Struct, frozen=True):
    """``remedy`` says what to do, where the state is not ok."""

    area: str
    state: State
    told: str
    remedy: str = ""


async def examine(config: Config) -> AsyncIterator[Finding]:
    """All findings, as they are made. Changes nothing."""
    for finding in (*versions(), *disk(config), *await asyncio.to_thread(lambda: [*text_model(config.encoder)])):
        yield finding
    store = [finding async for finding in redis(config)]
    broker = [finding async for finding in kafka(config)]
    for finding in (*store, *broker):
        yield finding
    away = [area for area, found in (("Redis", store), ("Kafka", broker)) if found[0].state == "problem"]
    missing = any(finding.area == "topics" and finding.state == "problem" for finding in broker)
    if away or missing:
        what = " and ".join(away) or "the topics"
        yield Finding("positions", "warning", "not examined", f"see {what} first")
        return
    try:
        for finding in (*generation(config, await event_positions(config)), *await snapshot(config)):
            yield finding
    except (KafkaError, StoreUnavailable) as error:
        yield Finding("positions", "problem", f"cannot be read: {error}", "run it again when Kafka and Redis are up")


def versions() -> list[Finding]:
    """The interpreter, and the packages that are pinned because other releases of them have faults."""
    findings = [Finding("python", "ok", ".".join(map(str, sys.version_info[:3])))]
    try:
        required = metadata.requires("divrec") or []
    except metadata.PackageNotFoundError:
        return [*findings, Finding("packages", "warning", "divrec is not installed as a package", "run make install")]
    for name, pinned in (found.groups() for text in required if (found := re.match(r"([\w-]+)==([\w.]+)$", text))):
        try:
            there = metadata.version(name)
        except metadata.PackageNotFoundError:
            there = "not installed"
        right = there == pinned
        remedy = "" if right else f"install {name}=={pinned}: other releases are not known to work"
        findings.append(Finding(name, "ok" if right else "problem", there, remedy))
    return findings


def disk(config: Config) -> list[Finding]:
    return [
        _directory("state", config.worker.state_dir, "worker.state_dir", "snapshots"),
        _directory("cache", config.encoder.cache_dir, "encoder.cache_dir", "the text model and cached vectors"),
    ]


def _directory(area: str, directory: Path, setting: str, what: str) -> Finding:
    place = there = directory.expanduser().absolute()
    while not there.exists() and there != there.parent:  # what is missing will be made
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        told = f"{place} cannot be written ({error.strerror})"
        return Finding(area, "problem", told, f"correct {setting} or its rights: {what} go there")
    told = f"{place}, {_bytes(free)} free"
    if free < LITTLE_BYTES:
        state: State = "problem" if free < ALMOST_NO_BYTES else "warning"
        return Finding(area, state, told, f"make room: {what} go there")
    return Finding(area, "ok", told)


def text_model(config: EncoderConfig) -> list[Finding]:
    try:
        return [
            Finding("text model", "ok", f"{config.model}: {whereabouts(config.model, config.cache_dir.expanduser())}")
        ]
    except EncoderError as error:
        remedy = "set encoder.model to a model directory, or to a name on the Hugging Face hub while it can be reached"
        return [Finding("text model", "problem", str(error), remedy)]


async def redis(config: Config) -> AsyncIterator[Finding]:
    try:
        facts = await server_facts(config.redis)
    except StoreUnavailable as error:
        yield Finding("redis", "problem", str(error), "start it, or correct redis.url (DIVREC_REDIS__URL)")
        return
    kind = "Valkey" if "valkey_version" in facts else "Redis"
    release = str(facts.get("valkey_version") or facts.get("redis_version", "?"))
    used, most = int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0))
    told = f"{kind} {release}, {_bytes(used)} of {_bytes(most) if most else 'what the machine has'} used"
    yield Finding("redis", "ok", told)
    for bad, state, said, remedy in _redis_faults(facts, release, used, most):
        if bad:
            yield Finding("redis", state, said, remedy)


def _redis_faults(facts: dict[str, Any], release: str, used: int, most: int) -> list[tuple[bool, State, str, str]]:
    policy = facts.get("maxmemory_policy", "noeviction")
    major = release.partition(".")[0]
    return [
        (
            not facts.get("aof_enabled"),
            "problem",
            "its append-only file is off: a crash loses profiles",
            "set appendonly yes; what was lost until then is read again from the events topic",
        ),
        (
            policy != "noeviction",
            "problem",
            f"maxmemory-policy is {policy}: it throws profiles away when memory is short",
            "set maxmemory-policy noeviction",
        ),
        (
            facts.get("aof_last_write_status", "ok") != "ok",
            "problem",
            "it could not write its append-only file",
            "look at its log and its disk",
        ),
        (
            bool(facts.get("cluster_enabled")),
            "problem",
            "it is a Redis Cluster: a batch is saved by one script over all its keys",
            "use a single server, with a replica if you like",
        ),
        (
            facts.get("role", "master") != "master",
            "problem",
            "it is a replica and takes no writes",
            "let redis.url name the master",
        ),
        (
            major.isdigit() and int(major) < OLDEST_REDIS,
            "warning",
            f"release {release} is older than what divrec is tested with",
            f"use Redis {OLDEST_REDIS} or newer, or Valkey",
        ),
        (
            bool(most) and used > FULL * most,
            "warning",
            f"{used / max(1, most):.0%} of its memory is used: without room it refuses writes, and batches wait",
            "raise maxmemory, or lower redis.profile_ttl_days",
        ),
    ]


async def kafka(config: Config) -> AsyncIterator[Finding]:
    try:
        facts = await broker_facts(config)
        topics = await inspect_topics(config)
    except ConfigError as error:
        yield Finding("kafka", "problem", str(error), "start it, or correct kafka.brokers (DIVREC_KAFKA__BROKERS)")
        return
    release = next((name for version, name in RELEASES.items() if facts.fetch_version >= version), "")
    told = f"{facts.brokers} broker{'s' * (facts.brokers > 1)} at {config.kafka.brokers}"
    told += f", Kafka {release} or newer" if release else ""
    if 0 < facts.fetch_version < OLDEST_FETCH:
        yield Finding("kafka", "warning", told, f"use Kafka {RELEASES[OLDEST_FETCH]} or newer")
    elif config.kafka.replication > facts.brokers:
        remedy = f"lower kafka.replication to {facts.brokers} or add brokers"
        yield Finding("kafka", "problem", f"{told}: too few for kafka.replication {config.kafka.replication}", remedy)
    else:
        yield Finding("kafka", "ok", told)
    bad = [topic for topic in topics if topic.problem]
    if not bad:
        yield Finding("topics", "ok", f"{len(topics)} as they must be")
    for topic in bad:
        told, _, remedy = topic.problem.rpartition(": ")
        yield Finding("topics", "problem", told, remedy)


def generation(config: Config, positions: list[Position]) -> list[Finding]:
    """The store's watermarks and the group's committed offsets against the log."""
    findings = [found for position in positions if (found := _position(position)) is not None]
    if findings:
        return findings
    events, waiting = sum(p.end - p.begin for p in positions), sum(p.open for p in positions)
    told = f"generation {config.generation}: {events:,} events in {len(positions)} partitions, {waiting:,} not done"
    return [Finding("positions", "ok", told)]


def _position(at: Position) -> Finding | None:
    name, committed = f"events partition {at.partition}", at.committed or 0
    if at.mark >= at.end:
        told = f"{name}: the store stands at {at.mark}, the log ends before {at.end}: they do not belong together"
        remedy = "start a new generation, or put the log back that the store belongs to"
        return Finding("positions", "problem", told, remedy)
    if committed > at.end:
        told = f"{name}: offset {committed} is committed, the log ends before {at.end}: the topic was made anew"
        return Finding("positions", "problem", told, "start a new generation")
    if committed > at.mark + 1:
        first = at.mark + 1
        told = f"{name}: the store stands at {at.mark}, {committed - 1} is done: it went back, or lost its data"
        if first < at.begin:
            told += f"; the log begins at {at.begin}"
            return Finding(
                "positions", "problem", told, "put back a newer copy of the store, or lose what lies between"
            )
        remedy = "none: the worker reads them again, without publishing"
        return Finding("positions", "warning", f"{told}: {committed - first:,} events to read again", remedy)
    if max(committed, at.mark + 1) < at.begin:
        told = f"{name}: the log begins at {at.begin}, what was not done before that is lost"
        return Finding("positions", "warning", told, "let the events topic keep its records for ever (retention.ms=-1)")
    return None


async def snapshot(config: Config) -> list[Finding]:
    """The newest snapshot of this machine against the model log."""
    directory = snapshot_directory(config)
    there = sorted((p for p in directory.iterdir() if p.name.isdigit()), reverse=True) if directory.is_dir() else []
    version = int(there[0].name) if there else 0
    begin, end = await model_log_extent(config, version)
    if not there and begin == 0:
        return [
            Finding("snapshot", "ok", f"none in {directory} yet: a start applies the whole model log, {end:,} records")
        ]
    if version > end:
        told = f"{there[0]}: stands at {version}, the model log ends at {end}: it belongs to another log"
        return [Finding("snapshot", "problem", told, f"remove {directory} or start a new generation")]
    if version < begin:
        newest = (
            f"the newest snapshot in {directory} stands at {version}" if there else f"no snapshot is in {directory}"
        )
        told = f"the model log begins at {begin}, {newest}"
        remedy = "copy a newer snapshot from another worker, or start with --from-oldest and lose what lies between"
        return [Finding("snapshot", "problem", told, remedy)]
    age = max(0.0, time.time() - there[0].stat().st_mtime) / 86_400
    told = f"at {version:,} of {end:,}, {age:.1f} days old"
    if end - version > 2 * config.worker.snapshot_every:
        remedy = "look why the recommend worker writes none: it does not run here, or its disk is full"
        return [Finding("snapshot", "warning", told, remedy)]
    return [Finding("snapshot", "ok", told)]


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1_000:
            return f"{size:.0f} {unit}"
        size /= 1_000
    return f"{size:.1f} TB"
