"""Replicas agree: equal digests after equal records, whatever their catalogues did, and after a snapshot."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.config import Config
from divrec.deltas import Delta, ModelLogRecord, decode_record, encode_record
from divrec.engine import Engine
from divrec.errors import DeltaError, SnapshotError
from divrec.events import Item
from divrec.state.snapshot import latest_snapshot, write_snapshot

CONFIG = Config(model={"max_items": 40, "neighbours": 6, "history": 10})


def deltas(count: int, seed: int, items: int = 60) -> list[Delta]:
    random = np.random.default_rng(seed)
    ids = [f"item {n}" for n in range(items)]
    times = np.cumsum(random.integers(0, 10**8, count)) + 10**12
    return [
        Delta(n, str(random.choice(ids)), 0.6, int(times[n]), [str(i) for i in random.choice(ids, 5, replace=False)])
        for n in range(count)
    ]


def replayed(found: list[Delta], size: int, catalogue: list[str]) -> Engine:
    """An engine that read ``found`` in records of ``size`` and, between them, a catalogue in its own order."""
    engine = Engine(CONFIG)
    for version, at in enumerate(range(0, len(found), size)):
        if catalogue:
            item_id = catalogue[version % len(catalogue)]
            engine.put_item(Item(item_id=item_id, available=version % 3 != 2))
        engine.apply(decode_record(encode_record(ModelLogRecord(0, found[at : at + size]))), version)
    return engine


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 150), st.integers(0, 99), st.integers(1, 40))
def test_digest_depends_on_the_deltas_alone(count: int, seed: int, size: int) -> None:
    found = deltas(count, seed)
    one = replayed(found, size, [])
    other = replayed(found, size, [f"item {n}" for n in range(59, -1, -2)] + ["never clicked"])
    assert one.model.state().digest() == other.model.state().digest()


def test_repeats_and_what_lies_behind_change_nothing() -> None:
    found = deltas(100, 1)
    engine = replayed(found, 10, [])
    before = engine.model.state().digest()
    assert engine.apply(ModelLogRecord(0, found[50:]), 10) == 0
    assert engine.model.state().digest() == before
    assert engine.apply(ModelLogRecord(1, found[:1]), 11) == 1, "another partition has its own offsets"


def test_counts_equal_a_recount() -> None:
    found = deltas(300, 2, items=20)
    engine = Engine(Config(model={"max_items": 100, "neighbours": 100, "history": 10}))
    engine.apply(ModelLogRecord(0, found), 0)
    pairs: dict[tuple[str, str], float] = {}
    for delta in found:
        for distance, other in enumerate(delta.recent):
            if other != delta.item_id:
                for pair in ((delta.item_id, other), (other, delta.item_id)):
                    pairs[pair] = pairs.get(pair, 0.0) + delta.weight * math.exp(-distance / 30.0)
    ids, table = engine.items.ids, engine.model.pairs
    kept = {
        (str(ids[row]), str(ids[other])): float(weight)
        for row in range(len(ids))
        for other, weight in zip(table.ids[row], table.weights[row, :, 0], strict=True)
        if other >= 0
    }
    assert kept == pytest.approx(pairs, rel=1e-5)


def test_a_snapshot_restores_the_same_model(tmp_path: Path) -> None:
    found = deltas(200, 3)
    engine = replayed(found[:120], 10, ["item 5"])
    write_snapshot(tmp_path, engine.model.state(), keep=2)
    state = latest_snapshot(tmp_path)
    assert state is not None
    restored = Engine(CONFIG)
    for n in range(50, 0, -1):
        restored.put_item(Item(item_id=f"item {n}"))
    restored.model.restore(state)
    for reader in (engine, restored):
        reader.apply(ModelLogRecord(0, found[120:]), 12)
    assert restored.model.state().digest() == engine.model.state().digest()
    with pytest.raises(SnapshotError, match="neighbours"):
        Engine(Config(model={"max_items": 40, "neighbours": 7, "history": 10})).model.restore(state)


def test_a_damaged_snapshot_is_passed_over(tmp_path: Path) -> None:
    engine = replayed(deltas(100, 4), 10, [])
    write_snapshot(tmp_path, engine.model.state(), keep=3)
    engine.apply(ModelLogRecord(1, deltas(50, 5)), 10)
    newest = write_snapshot(tmp_path, engine.model.state(), keep=3)
    array = newest / "counts.npy"
    array.write_bytes(array.read_bytes()[:-4] + b"oops")
    state = latest_snapshot(tmp_path)
    assert state is not None and state.version == 10


@given(st.binary(max_size=300))
def test_any_bytes_are_a_record_or_refused(data: bytes) -> None:
    try:
        decode_record(data)
    except DeltaError as error:
        assert "model-log record" in str(error)


@pytest.mark.parametrize("weight", [0.0, -1.0, 2.0, float("nan")])
def test_an_invalid_delta_is_refused(weight: float) -> None:
    with pytest.raises(DeltaError):
        decode_record(encode_record(ModelLogRecord(0, [Delta(1, "a", weight, 0, [])])))
