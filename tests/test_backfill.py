"""Backfill without servers: what it learns, what a kill leaves, what it refuses."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from divrec.backfill import Backfill, Place, RawLog, load
from divrec.config import Config
from divrec.data.log import open_log
from divrec.data.naming import named
from divrec.engine import Engine
from divrec.errors import ConfigError, EventError, StoreError
from divrec.events import Click, Event, Review, pack_vector
from divrec.model import ModelState
from divrec.profile import Profile, decode_profile
from divrec.state.memory import MemoryStore
from divrec.state.profile_file import ProfileFile
from divrec.state.snapshot import latest_snapshot
from divrec.state.store import NOTHING, Advance, Write
from divrec.text.segment import terms
from tests.text.counting_encoder import CountingEncoder

DEMO = Path(__file__).parents[1] / "divrec" / "data" / "demo"
EVENTS = 3_000


def partition_of(user: str) -> int:
    return len(user) % 4


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Some events and all items of the bundled log, as our own JSON lines."""
    directory = tmp_path_factory.mktemp("log")
    with open_log([DEMO], preset="movielens") as log:
        events, items = list(islice(log.events(), EVENTS)), list(log.items())
    log_file, items_file = directory / "log.jsonl", directory / "items.jsonl"
    log_file.write_bytes(b"\n".join(map(msgspec.json.encode, [*events[1_000:], *events[:1_000], events[7]])))
    items_file.write_bytes(b"\n".join(map(msgspec.json.encode, items)))
    return log_file, items_file


def history(files: tuple[Path, Path], **options: Any) -> RawLog:
    return RawLog(open_log(files[:1], items=files[1:]), partition_of, **options)


def config(**worker: Any) -> Config:
    return Config(worker=worker, kafka={"partitions": 4})


def rows(directory: Path) -> list[Write]:
    file = ProfileFile(directory / "profiles.sqlite", 10)
    try:
        return list(file.writes())
    finally:
        file.close()


def done(files: tuple[Path, Path], directory: Path, settings: Config | None = None) -> tuple[Place, list[Write]]:
    with Backfill(settings or config(), directory, history(files)) as work:
        place = work.run()
    return place, rows(directory)


def test_it_learns_what_an_engine_learns_event_by_event(files: tuple[Path, Path], tmp_path: Path) -> None:
    engine, profiles = Engine(config()), {}
    for item in open_log([], items=files[1:]).items():
        engine.put_item(msgspec.structs.replace(item, terms=terms(f"{item.title} {item.description}")))
    for event in named(open_log(files[:1]).events()):
        if isinstance(event, Review):
            event.terms = terms(f"{event.title} {event.text}")
        before = profiles.get(event.user_id) or Profile(event.user_id, partition_of(event.user_id))
        observed = engine.observe(before, event, event.event_id or "", NOTHING)
        profiles[event.user_id] = observed.profile
        if observed.delta is not None:
            engine.model.learn_all([observed.delta])
    place, found = done(files, tmp_path)
    assert {w.user_id: decode_profile(w.profile, partition_of(w.user_id)) for w in found} == profiles
    found_state, state = learned(tmp_path), engine.model.state()
    assert (found_state.ids, found_state.interactions, found_state.now) == (state.ids, state.interactions, state.now)
    assert found_state.arrays.keys() == state.arrays.keys()
    for name, array in state.arrays.items():
        if not name.startswith(("blend", "strength")):  # they learn from a sample
            assert (found_state.arrays[name] == array).all(), name
    assert any(profile.keywords for profile in profiles.values())
    assert sum(place.kinds.values()) == EVENTS + 1 and place.taken == EVENTS + 1


def test_the_snapshot_begins_a_generation(files: tuple[Path, Path], tmp_path: Path) -> None:
    place, found = done(files, tmp_path, Config(generation="g7", kafka={"partitions": 4}))
    state = latest_snapshot(tmp_path / "snapshots" / "g7")
    assert state is not None
    assert (state.version, state.applied, state.digest()) == (0, {}, place.digest)
    assert {write.offset for write in found} == {NOTHING}
    assert msgspec.json.decode((tmp_path / "backfill.json").read_bytes(), type=Place) == place
    assert not (tmp_path / "checkpoints").exists()


def test_profiles_beyond_the_bound_are_on_disk_and_the_result_is_the_same(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    assert done(files, tmp_path / "few", config(cached_profiles=3)) == done(files, tmp_path / "all")


class Killed(Exception):
    pass


@settings(max_examples=3, deadline=None)
@given(stops=st.lists(st.integers(0, EVENTS), min_size=1, max_size=3), every=st.integers(800, 2_000))
def test_stopped_anywhere_it_goes_on(
    files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory, stops: list[int], every: int
) -> None:
    directory = tmp_path_factory.mktemp("stopped")
    for stop in stops:

        def told(taken: int, stop: int = stop) -> None:
            if taken >= stop:
                raise Killed

        with Backfill(config(cached_profiles=5), directory, history(files), every) as work, suppress(Killed):
            work.run(told)
    with Backfill(config(), directory, history(files), every) as work:
        place = work.run()
    expected, profiles, at_once = whole(files, tmp_path_factory, every)
    assert rows(directory) == profiles
    gone_on, found = learned(at_once).arrays, learned(directory).arrays
    assert [name for name, array in gone_on.items() if not np.array_equal(array, found[name])] == []
    assert place == expected


def whole(files: tuple[Path, Path], factory: pytest.TempPathFactory, every: int) -> tuple[Place, list[Write], Path]:
    """Without a stop, with the same checkpoints: at them what is derived of the model is made anew."""
    directory = factory.mktemp("whole")
    with Backfill(config(), directory, history(files), every) as work:
        place = work.run()
    return place, rows(directory), directory


def learned(directory: Path) -> ModelState:
    state = latest_snapshot(directory / "snapshots" / config().generation)
    assert state is not None
    return state


RUN = """
import sys
from pathlib import Path
from tests.test_backfill import *
log, items, out = map(Path, sys.argv[1:])
with Backfill(config(cached_profiles=5), out, history((log, items)), 1_000) as work:
    work.run(lambda taken: time.sleep(0.05))
"""


def test_killed_it_goes_on_from_its_checkpoint(
    files: tuple[Path, Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for kill in (1, 2, None):
        running = subprocess.Popen([sys.executable, "-c", RUN, *map(str, files), str(tmp_path)])
        deadline = time.monotonic() + 120  # it may have to compile first
        while kill is not None and not list((tmp_path / "checkpoints").glob(f"*{kill}00[0-9]")):
            assert running.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        if kill is not None:
            os.kill(running.pid, signal.SIGKILL)
        assert running.wait(120) == (0 if kill is None else -signal.SIGKILL)
    with Backfill(config(), tmp_path, history(files)) as work:
        assert work.place.done
        place = work.run()
    expected, profiles, directory = whole(files, tmp_path_factory, 1_000)
    assert (replace(place, digest=""), rows(tmp_path)) == (replace(expected, digest=""), profiles)
    gone_on, at_once = learned(tmp_path), learned(directory)
    assert gone_on.ids == at_once.ids
    for name, array in at_once.arrays.items():
        if name.startswith("blend"):  # another process may have compiled other sums: lessons are data, made once
            assert gone_on.arrays[name] == pytest.approx(array, rel=1e-3, abs=1e-5), name
        else:
            assert (gone_on.arrays[name] == array).all(), name


def test_another_log_or_other_settings_or_another_process_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    with Backfill(config(), tmp_path, history(files)) as work:
        work.run()
        with pytest.raises(ConfigError, match="no other process"):
            Backfill(config(), tmp_path, history(files))
    other = (files[1], files[0])
    for settings_, log in ((config(), other), (Config(slate={"consumed_actions": ["view"]}), files)):
        with pytest.raises(ConfigError, match="something else"):
            Backfill(settings_, tmp_path, history(log))
    with Backfill(config(cached_profiles=7), tmp_path, history(files)) as work:
        assert work.place.done, "what does not change the result may differ"


def test_what_cannot_be_observed_is_counted_and_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def observe(
        engine: Engine,
        profile: Profile,
        event: Event,
        event_id: str,
        offset: int,
        given: Any = Engine.observe,
        **how: bool,
    ) -> Any:
        if event.ts % 100 == 7:
            raise EventError("bad-vector", "") if event.ts % 200 == 7 else ZeroDivisionError
        return given(engine, profile, event, event_id, offset, **how)

    monkeypatch.setattr(Engine, "observe", observe)
    log = tmp_path / "log.jsonl"
    clicks = [Click(user_id=f"u{n % 3}", item_id=f"i{n % 50}", ts=n + 1, event_id=f"e{n % 600}") for n in range(1_000)]
    log.write_bytes(b"\n".join(map(msgspec.json.encode, clicks)) + b"\nnot an event\n")
    with RawLog(open_log([log]), partition_of) as raw, Backfill(config(), tmp_path / "out", raw) as work:
        place = work.run()
        assert raw.rejected == {"not-json": 1}
    assert place.refused == {"bad-vector": 5, "poisoned": 5}
    assert place.kinds == {"clicks": 594, "repeats": 396}


def test_reviews_get_their_vectors_from_an_encoder(tmp_path: Path) -> None:
    log, encoder = tmp_path / "log.jsonl", CountingEncoder("m")
    review = Review(user_id="u", item_id="i", text="A fine thing", ts=5)
    log.write_bytes(
        msgspec.json.encode(review) + b"\n" + msgspec.json.encode(msgspec.structs.replace(review, text=" "))
    )
    with Backfill(config(), tmp_path / "out", RawLog(open_log([log]), partition_of, encoder)) as work:
        work.run()
        profile = work.profiles.get("u", 1)
    assert (profile.review_model, profile.events) == ("m", 2)
    assert profile.review_vector == pack_vector(encoder.encode(["A fine thing"])[0])
    assert "fine" in profile.keywords


def test_ratings_of_reviews_are_predicted_the_same_however_it_is_stopped(tmp_path: Path) -> None:
    log, found = tmp_path / "log.jsonl", []
    reviews = [
        Review(
            user_id=f"u{n % 30}",
            item_id=f"i{n % 70}",
            text="a joy" if n % 3 else "broken",
            rating=None if n % 2 else 5.0 if n % 3 else 1.0,
            ts=n + 1,
        )
        for n in range(2_500)
    ]
    log.write_bytes(b"\n".join(map(msgspec.json.encode, reviews)))
    for stops in ([], [1_000, 2_000]):
        directory = tmp_path / f"{len(stops)}"

        def told(taken: int, stops: list[int] = stops) -> None:
            if taken in stops:
                stops.remove(taken)
                raise Killed

        for _ in range(len(stops) + 1):
            with Backfill(config(), directory, RawLog(open_log([log]), partition_of), 1_000) as work, suppress(Killed):
                work.run(told)
        found.append((learned(directory).digest(), rows(directory)))
    assert found[0] == found[1]
    feedback = {told for w in found[0][1] for told in decode_profile(w.profile, partition_of(w.user_id)).feedback}
    assert len(feedback) > 3 and 0.6 in feedback, "at first as configured, then as it reads"


def test_loading_can_be_repeated_until_a_worker_begins(files: tuple[Path, Path], tmp_path: Path) -> None:
    with Backfill(config(), tmp_path, history(files)) as work:
        place, store = work.run(), MemoryStore()
        for _ in range(2):
            assert asyncio.run(load(work.profiles, place, store)) == len(work.profiles) > 10
        assert store.profiles == {write.user_id: (NOTHING, write.profile) for write in work.profiles.writes()}
        assert store.watermarks == {}
        user, (_, data) = next(iter(store.profiles.items()))
        store.profiles[user] = (4, data)
        with pytest.raises(StoreError, match="another generation"):
            asyncio.run(load(work.profiles, place, store))
        asyncio.run(store.save([], {0: Advance(NOTHING, 4)}))
        with pytest.raises(StoreError, match="watermark 4 of partition 0"):
            asyncio.run(load(work.profiles, place, store))


@settings(max_examples=50, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from("abcdefg"), st.sampled_from(("put", "commit"))), max_size=40),
    cached=st.integers(1, 4),
)
def test_a_profile_file_holds_what_was_put(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]], cached: int
) -> None:
    path = tmp_path_factory.mktemp("file") / "profiles.sqlite"
    file, truth, committed = ProfileFile(path, cached), {}, {}
    for n, (user, step) in enumerate(steps):
        profile = file.get(user, 0).copy()
        assert profile == truth.get(user, Profile(user, 0))
        if step == "put":
            profile.offset = n
            file.put(profile)
            truth[user] = profile
            assert len(file._profiles) <= cached
        else:
            file.commit(str(n).encode())
            committed = dict(truth)
    file.close()
    file = ProfileFile(path, cached)
    assert {w.user_id: decode_profile(w.profile, 0) for w in file.writes()} == committed
    assert len(file) == len(committed)
    file.close()
