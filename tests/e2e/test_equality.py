"""The same events through a backfill and through the topics: the same state."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from divrec.cf.item_item import KINDS
from divrec.config import Config
from divrec.events import Click
from divrec.model import ModelState
from divrec.profile import Profile, decode_profile
from divrec.state.profile_file import ProfileFile
from divrec.state.snapshot import latest_snapshot
from divrec.state.store import NOTHING
from streams.codec import Message, encode
from streams.kafka.reading import read_topic
from streams.replica import snapshot_directory
from streams.topics import Topics, partition_of
from tests.e2e.checks import replica_of, stored_profiles
from tests.e2e.crash_log import START, Crowd, catalog
from tests.e2e.faulty_worker import POISON
from tests.servers import Broker, ValkeyServer, config_for
from tests.streams.running import Worker, prepared, send, worker
from tests.streams.test_cli import divrec, write

EVENTS = 2_000
ROOMY = {"neighbours": 1_024}
"""No bound of the model bites."""
USERS = [f"u{n}" for n in range(300)]


def whole(config: Config, topic: str) -> list[Message]:
    return list(chain.from_iterable(read_topic(config, topic, "start")))


def ends(config: Config) -> list[int]:
    found = [0] * config.kafka.partitions
    for message in whole(config, Topics(config).events):
        found[message.partition] = message.offset + 1
    return found


def marks(config: Config, valkey: ValkeyServer) -> list[int]:
    keys = [f"{config.kafka.prefix}{config.generation}:watermark:{p}" for p in range(config.kafka.partitions)]
    with valkey.client() as client:
        return [NOTHING if mark is None else int(mark) for mark in client.mget(keys)]


def wait_applied(running: Worker, config: Config, valkey: ValkeyServer) -> None:
    awaited = [end - 1 for end in ends(config)]
    running.wait_until(lambda: marks(config, valkey) == awaited)


@contextmanager
def recommending(config: Config, valkey: ValkeyServer) -> Iterator[None]:
    """A recommend worker, until all of ``events`` is applied."""
    with worker(prepared(config), "streams.recommend", ready=False) as running:
        yield
        wait_applied(running, config, valkey)
        assert running.end() == 0


def backfilled(config: Config, out: Path, *arguments: str | Path) -> dict[str, Any]:
    (tmp := out.parent / "backfill").mkdir(exist_ok=True)
    bounds = "".join(f"{name} = {value}\n" for name, value in ROOMY.items())
    file = write(config, tmp, f"[model]\n{bounds}")
    file.write_text(f'generation = "{config.generation}"\n' + file.read_text())
    result = divrec("backfill", *arguments, "--out", out, "--json", "--config", file)
    assert result.exit_code == 0, result.stderr
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def profiles_in(config: Config, out: Path) -> dict[str, Profile]:
    file = ProfileFile(out / "profiles.sqlite", 1)
    partitions = config.kafka.partitions
    try:
        return {w.user_id: decode_profile(w.profile, partition_of(w.user_id, partitions)) for w in file.writes()}
    finally:
        file.close()


def snapshot_in(config: Config, out: Path) -> ModelState:
    state = latest_snapshot(out / "snapshots" / config.generation)
    assert state is not None
    return state


def assert_alike(one: ModelState, two: ModelState) -> None:
    """Equal in everything that does not depend on how the partitions came to be interleaved.

    Which item came first does; so do the last bits of sums, and the time that popularity counts from.
    """
    assert sorted(one.ids) == sorted(two.ids)
    assert (one.interactions, one.now, one.applied) == (two.interactions, two.now, two.applied)
    for name in ("counts", "liked"):
        assert by_item(one, name) == pytest.approx(by_item(two, name), rel=1e-5)
    for kind in range(KINDS):
        assert pairs(one, kind) == pytest.approx(pairs(two, kind), rel=1e-5)
    first, second = by_item(one, "popularity"), by_item(two, "popularity")
    scale = sum(first.values()) / sum(second.values())
    assert first == pytest.approx({item: scale * value for item, value in second.items()}, rel=1e-3)


def by_item(state: ModelState, name: str) -> dict[str, float]:
    return dict(zip(state.ids, state.arrays[name].tolist(), strict=True))


def pairs(state: ModelState, kind: int) -> dict[tuple[str, str], float]:
    ids, weights = state.arrays["pair_ids"], state.arrays["pair_weights"][:, :, kind]
    return {(state.ids[i], state.ids[ids[i, s]]): float(weights[i, s]) for i, s in np.argwhere(ids >= 0).tolist()}


def generation(config: Config, name: str, state: Path) -> Config:
    place = config.worker.model_copy(update={"state_dir": state})
    return config.model_copy(update={"generation": name, "worker": place})


@pytest.mark.parametrize("partitions", [1, 4])
def test_a_dump_of_events_gives_what_the_worker_made_of_them(
    embedded_broker: Broker, valkey: ValkeyServer, tmp_path: Path, partitions: int
) -> None:
    live = prepared(config_for(embedded_broker, valkey, tmp_path, kafka={"partitions": partitions}, model=ROOMY))
    shadow, out = generation(live, "g2", tmp_path / "shadow"), tmp_path / "out"
    crowd = Crowd(live, seed=5)
    send(live, list(catalog(live)))
    send_events(live, crowd, EVENTS)
    with worker(live, "streams.recommend") as running:
        wait_applied(running, live, valkey)
        told = backfilled_dump(live, shadow, out, valkey)
        check_equal(live, shadow, out, told, valkey)
        if partitions > 1:
            return
        # With one partition nothing depends on timing. Workers go on from it as if they had always been there.
        assert told["digest"] == snapshot_in(shadow, out).digest()
        assert untaught(snapshot_in(shadow, out)) == untaught(model_state(live))
        shutil.copytree(out / "snapshots", snapshot_directory(shadow).parent)
        slates = recommendations(live)
        send_events(live, crowd, 300)
        wait_applied(running, live, valkey)
    more = recommendations(live) - slates
    with recommending(shadow, valkey):
        pass
    assert stored_profiles(shadow, USERS) == stored_profiles(live, USERS)
    assert untaught(model_state(shadow)) == untaught(model_state(live))
    assert recommendations(live) - slates == 2 * more > 0, "both answer what came after the dump, once"


def send_events(config: Config, crowd: Crowd, count: int) -> None:
    """What a worker may meet, but for what makes only a worker of the crash tests fail."""
    records = [r for r in crowd.events(count) if f'"{POISON}"'.encode() not in (r.value or b"")]
    send(config, [r._replace(partition=(r.partition or 0) % config.kafka.partitions) for r in records])


def recommendations(config: Config) -> int:
    return len(whole(config, Topics(config).recommendations))


def model_state(config: Config) -> ModelState:
    return replica_of(config).engine.model.state()


def untaught(state: ModelState) -> str:
    """The digest without the blend: a backfill teaches it from a sample."""
    return state._replace(arrays={n: a for n, a in state.arrays.items() if not n.startswith("blend")}).digest()


def backfilled_dump(live: Config, shadow: Config, out: Path, valkey: ValkeyServer) -> dict[str, Any]:
    events, items, file = out.parent / "events.jsonl.gz", out.parent / "catalog.jsonl", write(live, out.parent)
    assert divrec("dump", "events", "--out", events, "--config", file).exit_code == 0
    assert divrec("dump", "catalog", "--out", items, "--config", file).exit_code == 0
    return backfilled(shadow, out, events, "--items", items, "--redis", valkey.url)


def check_equal(live: Config, shadow: Config, out: Path, told: dict[str, Any], valkey: ValkeyServer) -> None:
    assert told["watermarks"] == {str(p): end - 1 for p, end in enumerate(ends(live))}
    assert told["refused"]["invalid"] > 0 and told["kinds"]["repeats"] > 0
    assert marks(shadow, valkey) == marks(live, valkey)
    awaited = stored_profiles(live, USERS)
    assert len(awaited) > 200
    assert any(profile.keywords for profile in awaited.values()) and any(p.slate_ts for p in awaited.values())
    assert profiles_in(shadow, out) == stored_profiles(shadow, USERS) == awaited
    assert_alike(snapshot_in(shadow, out), replica_of(live).engine.model.state())


def test_a_raw_log_gives_the_counts_that_its_replay_gives(
    embedded_broker: Broker, valkey: ValkeyServer, tmp_path: Path
) -> None:
    live = prepared(config_for(embedded_broker, valkey, tmp_path, model=ROOMY))
    random, log, out = np.random.default_rng(3), tmp_path / "log.jsonl", tmp_path / "out"
    clicks = [
        Click(
            user_id=f"u{random.integers(60)}",
            item_id=f"i{random.zipf(1.5) % 150}",
            action=("click", "like", "purchase", "dislike", "view")[random.integers(5)],
            rating=float(random.integers(1, 6)) if n % 3 == 0 else None,
            ts=START + 1_000 * int(random.integers(EVENTS)),
            event_id=f"e{n}" if n % 2 else None,
        )
        for n in range(EVENTS)
    ]
    log.write_bytes(b"\n".join(map(encode, clicks)))
    with worker(live, "streams.ingest") as ingest, recommending(live, valkey):
        assert divrec("replay", log, "--rejects", tmp_path / "bad", "--config", write(live, tmp_path)).exit_code == 0
        ingest.wait_until(lambda: sum(ends(live)) == EVENTS)
    awaited = stored_profiles(live, [f"u{n}" for n in range(60)])
    for profile in awaited.values():
        profile.offset = NOTHING

    shadow = generation(live, "g2", tmp_path / "shadow")
    told = backfilled(shadow, out, log)
    assert told["kinds"] == {"clicks": EVENTS} and told["watermarks"] == {}
    assert profiles_in(shadow, out) == awaited
    made = snapshot_in(shadow, out)
    assert_alike(made, replica_of(live).engine.model.state()._replace(applied={}))
