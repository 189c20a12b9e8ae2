"""The model against plain Python, at its bounds, and on disk. Agreement of replicas is in test_replicas.py."""

import logging
import math
import random
import time
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.config import Config, ModelConfig
from divrec.deltas import MAX_DELTAS, MAX_RECENT, Delta, ModelLogRecord, decode_record, encode_record
from divrec.engine import Engine
from divrec.errors import DeltaError, SnapshotError
from divrec.events import Item
from divrec.interest.lift import packed_words
from divrec.items import ItemIndex
from divrec.model import DAY_MS, Model
from divrec.profile import Profile
from divrec.state.snapshot import latest_snapshot, remove_old_generations, write_snapshot

START = 1_000_000_000_000
LATEST = 253_402_300_799_999


def model_of(**settings: float) -> Model:
    return Model(ModelConfig.model_validate(settings), ItemIndex())


def some_deltas(count: int, items: int, seed: int = 0, recent: int = 12) -> list[Delta]:
    """One user after the other wanders over the items; times rise with jitter."""
    found, chance = [], random.Random(seed)
    histories: dict[int, list[str]] = {}
    for n in range(count):
        history = histories.setdefault(chance.randrange(5), [])
        item = f"item {chance.randrange(items)}"
        before = [past for past in dict.fromkeys(reversed(history)) if past != item]
        ts = START + n * 3_600_000 + chance.randrange(-DAY_MS, DAY_MS)
        unliked = bytes([chance.choice([0, 0, 5, 255])])
        weight = chance.choice([0.3, 0.6, 1.0])
        liked = chance.random() < 0.7
        words = packed_words([item, "any", f"{n % 3}"]) if liked else b""
        found.append(Delta(n, item, weight, ts, before[:recent], liked, unliked, 1 + n % 7, words=words))
        history.append(item)
    return found


def table_of(model: Model, ids: np.ndarray, weights: np.ndarray) -> dict[tuple[str, str], float]:
    names = model.items.ids
    return {
        (str(names[row]), str(names[other])): float(weight)
        for row in range(len(names))
        for other, weight in zip(ids[row], weights[row], strict=True)
        if other >= 0
    }


def test_everything_equals_a_recount() -> None:
    deltas = some_deltas(800, 30)
    model = model_of(history=8, neighbours=100, users=3, popularity_half_life_days=5.0)
    for at in range(0, len(deltas), 37):
        model.apply(ModelLogRecord(0, deltas[at : at + 37]))
    pairs: Counter[tuple[str, str]] = Counter()
    steps: Counter[tuple[str, str]] = Counter()
    counts: Counter[str] = Counter()
    liked: Counter[str] = Counter()
    both: Counter[tuple[str, str]] = Counter()
    contrast: Counter[tuple[str, str]] = Counter()
    trend: Counter[str] = Counter()
    popularity: Counter[str] = Counter()
    for n, delta in enumerate(deltas):
        item = delta.item_id
        counts[item] += delta.weight  # type: ignore[assignment]
        age = (delta.ts - deltas[0].ts) / (5 * DAY_MS)
        if delta.liked:
            liked[item] += delta.weight  # type: ignore[assignment]
            popularity[item] += delta.weight * 2.0**age
            trend[item] += delta.weight * 2.0 ** (n / 1_000)
        unliked = int.from_bytes(delta.unliked, "little")
        for distance, other in enumerate(delta.recent[:8]):
            faded = delta.weight * math.exp(-distance / 30)
            other_liked = not unliked >> distance & 1
            for pair, flags in (
                ((other, item), (other_liked, delta.liked)),
                ((item, other), (delta.liked, other_liked)),
            ):
                pairs[pair] += faded  # type: ignore[assignment]
                both[pair] += faded * (flags == (True, True))  # type: ignore[assignment]
                contrast[pair] += faded * (flags == (False, True))  # type: ignore[assignment]
            steps[other, item] += delta.weight * 0.8**distance  # type: ignore[assignment]
            steps[item, other] += 0
    rows = {item: model.items.get(item) for item in counts}
    for kind, counted in enumerate((pairs, both, contrast, steps)):
        found = table_of(model, model.pairs.ids, model.pairs.weights[:, :, kind])
        assert found == pytest.approx(counted, rel=1e-5, abs=1e-6)
    assert {item: model.counts[row] for item, row in rows.items()} == pytest.approx(counts, rel=1e-5)
    assert {item: model.liked[rows[item]] for item in liked} == pytest.approx(liked, rel=1e-5)
    assert {item: model.trend.values[rows[item]] for item in trend} == pytest.approx(trend, rel=2e-4)
    assert {item: model.popularity.values[rows[item]] for item in popularity} == pytest.approx(popularity, rel=2e-4)
    by_popularity = sorted(popularity, key=lambda item: -popularity[item])
    assert [model.items.id(row) for row in model.popular()][:10] == by_popularity[:10]
    assert model.interactions == 800 and model.now == max(delta.ts for delta in deltas)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(0, 99))
def test_bounds_hold_after_each_record(sizes: list[int], seed: int) -> None:
    deltas = iter(some_deltas(sum(sizes), 500, seed, recent=6))
    model = model_of(max_items=16, neighbours=4, history=6)
    for size in sizes:
        model.apply(ModelLogRecord(0, [next(deltas) for _ in range(size)]))
        assert len(model) == len(model.items) <= 16
        known, table = set(model.order.tolist()), model.pairs
        assert table.ids.shape[1] == 4
        assert set(table.ids[sorted(known)].ravel().tolist()) <= known | {-1}, "no neighbour that was evicted"
        assert (table.weights >= 0).all()
        unused = sorted(set(range(model.items.capacity)) - known)
        assert (table.ids[unused] == -1).all() and not model.counts[unused].any()
        assert set(model.users.items.ravel().tolist()) <= known | {-1}, "no item that was evicted"
        assert (model.users.visitors[unused] == -1).all()


def test_the_least_popular_are_evicted() -> None:
    model = model_of(max_items=32)
    deltas = [Delta(n, f"item {n}", (n + 1) / 64, START, []) for n in range(33)]
    model.apply(ModelLogRecord(0, deltas))
    assert {f"item {n}" for n in range(33)} - set(model.state().ids) == {"item 0", "item 1"}


def test_a_record_of_10_000_deltas() -> None:
    deltas = some_deltas(MAX_DELTAS, 300)
    record = decode_record(encode_record(ModelLogRecord(0, deltas)))
    whole, parts = model_of(), model_of()
    assert whole.apply(record) == MAX_DELTAS
    for at in range(0, MAX_DELTAS, 1_000):
        parts.apply(ModelLogRecord(0, deltas[at : at + 1_000]))
    assert whole.state().digest() == parts.state().digest()
    with pytest.raises(DeltaError, match="10000"):
        decode_record(encode_record(ModelLogRecord(0, [*deltas, Delta(MAX_DELTAS, "a", 1.0, 0, [])])))


def test_partitions_have_offsets_of_their_own() -> None:
    model = model_of()
    assert model.apply(ModelLogRecord(0, [Delta(5, "a", 1.0, 0, []), Delta(7, "b", 1.0, 0, [])])) == 2
    assert model.apply(ModelLogRecord(1, [Delta(5, "a", 1.0, 0, [])])) == 1
    assert model.apply(ModelLogRecord(0, [Delta(6, "c", 1.0, 0, []), Delta(8, "c", 1.0, 0, [])])) == 1
    assert model.apply(ModelLogRecord(0, [])) == 0
    assert model.applied == {0: 8, 1: 5} and model.interactions == 4


@pytest.mark.parametrize("times", [[0, LATEST, 0, START], [LATEST, 0, START], [START, 0, LATEST], [0] * 4])
@pytest.mark.parametrize("days", [30.0, 1.0, 1e-3])
def test_far_past_and_far_future(times: list[int], days: float) -> None:
    model = model_of(popularity_half_life_days=days)
    for n, ts in enumerate(times):
        model.apply(ModelLogRecord(0, [Delta(n, f"item {n}", 1.0, ts, [])]))
    values = model.popularity.values
    assert np.isfinite(values).all() and (values >= 0).all()
    latest = f"item {times.index(max(times))}"
    assert model.items.id(int(model.popular()[0])) == latest
    assert model.now == max(times)


def test_popularity_halves_in_a_half_life_also_over_many() -> None:
    model = model_of(popularity_half_life_days=1.0)
    for n in range(2_000):
        model.apply(ModelLogRecord(0, [Delta(n, f"item {n}", 1.0, START + n * DAY_MS, [])]))
    values = model.popularity.values[model.popular()[:200]]
    assert [model.items.id(row) for row in model.popular()[:200]] == [f"item {n}" for n in range(1_999, 1_799, -1)]
    assert values[1:] / values[:-1] == pytest.approx(np.full(199, 0.5), rel=1e-6)


# -- records -----------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_a_record_with_other_bytes_is_a_record_or_refused(seed: int, changes: int) -> None:
    chance = random.Random(seed)
    data = bytearray(encode_record(ModelLogRecord(3, some_deltas(4, 5))))
    for _ in range(changes):
        data[chance.randrange(len(data))] = chance.randrange(256)
    try:
        record = decode_record(bytes(data))
    except DeltaError:
        return
    assert all(0 < delta.weight <= 1 and delta.offset >= 0 for delta in record.deltas)
    model_of(max_items=8, neighbours=2, history=3).apply(record)


GOOD = [1, "item", 0.5, 100, ["past"]]


@pytest.mark.parametrize(
    "bad",
    [
        [0],
        [-1, [GOOD]],
        [0, [[-1, "item", 0.5, 100, []]]],
        [0, [[1, "", 0.5, 100, []]]],
        [0, [[1, "x" * 257, 0.5, 100, []]]],
        [0, [[1, 7, 0.5, 100, []]]],
        [0, [[1, "item", 0.0, 100, []]]],
        [0, [[1, "item", float("nan"), 100, []]]],
        [0, [[1, "item", float("inf"), 100, []]]],
        [0, [[1, "item", 0.5, -1, []]]],
        [0, [[1, "item", 0.5, LATEST + 1, []]]],
        [0, [[1, "item", 0.5, 100, ["a"] * (MAX_RECENT + 1)]]],
        [0, [[1, "item", 0.5, 100, [""]]]],
        [0, [[1, "item", 0.5, 100]]],
        [0, [[*GOOD, 1]]],
        [0, [[*GOOD, True, bytes(64)]]],
        [0, [[*GOOD, True, b"", -1]]],
        [0, [[*GOOD, True, b"", 0, b"no lesson"]]],
        [0, [[*GOOD, True, b"", 0, b"\0" + np.array([np.nan], "<f4").tobytes()]]],
        [0, [[*GOOD, True, b"", 0, b"\0" + np.array([1e9], "<f4").tobytes()]]],
        [0, [[*GOOD, True, b"", 0, bytes(2_001)]]],
        [0, [[*GOOD, True, b"", 0, b"", None, b"odd"]]],
        [0, [[*GOOD, True, b"", 0, b"", None, bytes(100)]]],
        [0, [GOOD, GOOD]],
        [0, [[2, *GOOD[1:]], GOOD]],
        {"partition": 0, "deltas": []},
        None,
    ],
    ids=lambda bad: repr(bad)[:40],
)
def test_what_a_record_must_not_be(bad: object) -> None:
    with pytest.raises(DeltaError, match="model-log record"):
        decode_record(msgspec.msgpack.encode(bad))


def test_a_record_that_is_not_utf_8_and_one_with_more_after_it() -> None:
    data = encode_record(ModelLogRecord(0, [Delta(1, "item", 0.5, 100, [])]))
    for bad in (data.replace(b"item", b"\xff\xfe\xfd\xfc"), data + b"\x00", data[:-1], b""):
        with pytest.raises(DeltaError):
            decode_record(bad)


def test_a_later_version_may_append_fields() -> None:
    record = decode_record(
        msgspec.msgpack.encode([0, [[*GOOD, True, b"", 0, b"", None, b"", b"", "added later"]], "added later"])
    )
    assert record.deltas == [Delta(1, "item", 0.5, 100, ["past"])]


# -- snapshots ---------------------------------------------------------------------------------------------------

CONFIG = Config(model={"max_items": 60, "neighbours": 8, "history": 10})


def learned(count: int) -> Engine:
    engine = Engine(CONFIG)
    for version, at in enumerate(range(0, count, 20)):
        engine.apply(ModelLogRecord(version % 3, some_deltas(count, 50)[at : at + 20]), version)
    return engine


def test_counts_grow_for_ever() -> None:
    """A float32 takes no more ones at 2²⁴, and rounds 0.3 long before: cosines would drift upwards."""
    model = model_of()
    model.learn_all([Delta(0, "a", 1.0, START, []), Delta(1, "b", 1.0, START, ["a"])])
    b = model.items.get("b")
    model.counts[b] = model.liked[b] = 2.0**24
    model.learn_all([Delta(n, "b", 0.3, START, ["a"]) for n in range(100)])
    assert model.counts[b] == pytest.approx(2.0**24 + 30, rel=1e-12)
    assert model.liked[b] == pytest.approx(2.0**24 + 30, rel=1e-12)


def test_what_is_derived_of_counts_is_restored_to_the_last_bit() -> None:
    engine, restored = learned(400), Engine(CONFIG)
    restored.model.restore(engine.model.state())
    names = [name for name in engine.items.ids if name is not None]
    for name in names:
        assert engine.model.damped[engine.items.get(name)] == restored.model.damped[restored.items.get(name)]


@pytest.mark.parametrize("count", [0, 1, 400])
def test_a_snapshot_brings_equal_behaviour(tmp_path: Path, count: int) -> None:
    engine = learned(count)
    write_snapshot(tmp_path, engine.model.state(), keep=1)
    state = latest_snapshot(tmp_path)
    assert state is not None
    restored = Engine(CONFIG)
    for n in range(49, -1, -3):
        restored.put_item(Item(item_id=f"item {n}"))
    restored.model.restore(state)
    for n in range(1, 50, 2):
        restored.put_item(Item(item_id=f"item {n}", available=n % 5 != 0))
    for n in range(50):  # the same catalogue in the end, by other ways
        for one in (engine, restored):
            one.put_item(Item(item_id=f"item {n}"))
    profile = Profile("u", 0, items=["item 3", "item 9"], actions=["view"] * 2, feedback=[0.3] * 2, ts=[START] * 2)
    later = ModelLogRecord(5, some_deltas(100, 60, seed=9))
    for _ in range(2):
        assert restored.model.state().digest() == engine.model.state().digest()
        assert restored.model.version == engine.model.version and restored.model.applied == engine.model.applied
        slates = [{item.item_id: item for item in one.recommend(profile, START, k=80)} for one in (engine, restored)]
        assert slates[0].keys() == slates[1].keys()
        for item_id, item in slates[0].items():
            assert slates[1][item_id].relevance == pytest.approx(item.relevance, abs=2e-5)
        version = engine.model.version
        for one in (engine, restored):
            one.apply(later, version)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    engine = Engine(CONFIG)
    assert latest_snapshot(tmp_path) is None and latest_snapshot(tmp_path / "not there") is None
    for version in range(5):
        engine.apply(ModelLogRecord(0, [Delta(version, "a", 1.0, START, [])]), version)
        write_snapshot(tmp_path, engine.model.state(), keep=2)
    assert sorted(place.name for place in tmp_path.iterdir()) == [f"{n:020d}" for n in (4, 5)]
    write_snapshot(tmp_path, engine.model.state(), keep=2)
    state = latest_snapshot(tmp_path)
    assert state is not None and state.version == 5


@pytest.mark.parametrize("file", ["model.json", "counts.npy", "pair_ids.npy"])
@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "a byte", "all zero", "another's"])
def test_a_damaged_snapshot_is_said_and_passed_over(
    tmp_path: Path, file: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = learned(100)
    write_snapshot(tmp_path, engine.model.state(), keep=2)
    older = tmp_path / f"{engine.model.version:020d}"
    engine.apply(ModelLogRecord(7, some_deltas(50, 50)), engine.model.version)
    place = write_snapshot(tmp_path, engine.model.state(), keep=2) / file
    data = place.read_bytes()
    match damage:
        case "gone":
            place.unlink()
        case "empty":
            place.write_bytes(b"")
        case "cut":
            place.write_bytes(data[: len(data) // 2])
        case "a byte":
            place.write_bytes(data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])
        case "all zero":
            place.write_bytes(bytes(len(data)))
        case "another's":
            place.write_bytes((older / file).read_bytes())
    with caplog.at_level(logging.WARNING):
        state = latest_snapshot(tmp_path)
    assert state is not None and state.version == int(older.name)
    assert "trying an older one" in caplog.text


@pytest.mark.parametrize("file", ["model.json", "counts.npy"])
def test_a_damaged_snapshot_is_written_again(tmp_path: Path, file: str) -> None:
    engine = learned(100)
    place = write_snapshot(tmp_path, engine.model.state(), keep=2)
    (place / file).write_bytes(b"damaged")
    assert latest_snapshot(tmp_path) is None
    assert write_snapshot(tmp_path, engine.model.state(), keep=2) == place
    state = latest_snapshot(tmp_path)
    assert state is not None and state.digest() == engine.model.state().digest()
    assert [left.name for left in tmp_path.iterdir()] == [place.name]
    written = place.stat().st_ino
    assert write_snapshot(tmp_path, engine.model.state(), keep=2).stat().st_ino == written, "a good one stays"


def test_what_a_crash_left_is_removed(tmp_path: Path) -> None:
    """Once the snapshots kept are newer: before, another worker may still be writing it."""
    engine = Engine(CONFIG)
    left = tmp_path / f".{2:020d}.elsewhere.1"
    left.mkdir()
    (left / "counts.npy").touch()
    for version in range(5):
        engine.apply(ModelLogRecord(0, [Delta(version, "a", 1.0, START, [])]), version)
        write_snapshot(tmp_path, engine.model.state(), keep=2)
        assert left.exists() == (version < 3)


def test_snapshots_of_generations_that_nothing_follows_are_removed(tmp_path: Path) -> None:
    state, now = learned(20).model.state(), time.time()
    for generation in ("old", "current", "next"):
        write_snapshot(tmp_path / generation, state, keep=2)
    (tmp_path / "no generation").mkdir()
    assert remove_old_generations(tmp_path / "current", now - 60) == []
    assert {place.name for place in remove_old_generations(tmp_path / "current", now + 60)} == {"old", "next"}
    assert sorted(place.name for place in tmp_path.iterdir()) == ["current", "no generation"]


def test_any_byte_of_a_snapshot_changed_is_noticed(tmp_path: Path) -> None:
    engine = Engine(CONFIG)
    engine.apply(ModelLogRecord(0, some_deltas(6, 4)), 0)
    place = write_snapshot(tmp_path, engine.model.state(), keep=1)
    kept = engine.model.state()
    chance = random.Random(0)
    for file in sorted(place.iterdir()):
        data = file.read_bytes()
        for at in [chance.randrange(len(data)) for _ in range(25)]:
            file.write_bytes(data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :])
            found = latest_snapshot(tmp_path)
            if found is not None:  # then it was one that nothing depends on, or the settings, which are compared
                assert (found.version, found.digest()) == (kept.version, kept.digest()), (file.name, at)
        file.write_bytes(data)


def test_settings_of_another_model_are_refused(tmp_path: Path) -> None:
    write_snapshot(tmp_path, learned(40).model.state(), keep=1)
    state = latest_snapshot(tmp_path)
    assert state is not None
    other = Config(model={"max_items": 60, "neighbours": 8, "history": 11, "users": 7})
    with pytest.raises(SnapshotError, match=r"model\.history, model\.users"):
        Engine(other).model.restore(state)
