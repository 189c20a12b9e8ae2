"""The catalogue: what is listed, what stays hidden, and vectors."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from divrec.catalog import NEWEST, WITHDRAWN_PER_ITEM, Catalog
from divrec.config import ModelConfig
from divrec.deltas import Delta, ModelLogRecord
from divrec.events import Item
from divrec.items import ItemIndex
from divrec.model import Model

Vector = NDArray[np.float32]


def catalog_of(max_items: int = 1_000) -> Catalog:
    return Catalog(ItemIndex(), max_items)


def unit(random_: np.random.Generator, dimensions: int = 32) -> Vector:
    found = random_.normal(size=dimensions).astype(np.float32)
    return found / np.linalg.norm(found)


def hidden(catalog: Catalog, item_id: str) -> bool:
    return bool(catalog.hidden[catalog.items.get(item_id)])


def test_put_withdraw_put_again() -> None:
    catalog = catalog_of()
    catalog.put(Item(item_id="a", title="first"))
    catalog.put_vector("a", np.ones(4, np.float32) / 2)
    catalog.put(Item(item_id="a", title="second", categories=["News"], terms=["word"]))
    row = catalog.items.get("a")
    described = catalog.descriptions[row]
    assert described is not None and described.title == "second"
    assert set(catalog.words[row]) == {"news", "word"} and len(catalog) == 1
    catalog.put(Item(item_id="a", available=False))
    assert catalog.items.get("a") == -1 and len(catalog) == 0 and catalog.sizes()["catalog_vectors"] == 0
    catalog.put_vector("a", np.ones(4, np.float32) / 2)
    assert catalog.items.get("a") == -1, "the vector of a withdrawn item is not kept"
    catalog.put(Item(item_id="a"))
    assert not hidden(catalog, "a") and len(catalog) == 1 and catalog.sizes()["catalog_withdrawn"] == 0


def test_a_withdrawn_item_that_the_model_knows_or_learns_later_stays_hidden() -> None:
    items = ItemIndex()
    model, catalog = Model(ModelConfig(), items), Catalog(items, 100)
    model.apply(ModelLogRecord(0, [Delta(0, "known", 1.0, 0, [])]))
    for item in ("known", "later"):
        catalog.put(Item(item_id=item, available=False))
    model.apply(ModelLogRecord(0, [Delta(1, "later", 1.0, 0, ["known"])]))
    assert hidden(catalog, "known") and hidden(catalog, "later")
    catalog.put(Item(item_id="known"))
    assert not hidden(catalog, "known")


def test_more_withdrawals_than_are_remembered() -> None:
    """Then an item is shown only if it is listed: the safe side."""
    items = ItemIndex()
    model, catalog = Model(ModelConfig(), items), Catalog(items, 4)
    catalog.put(Item(item_id="listed"))
    withdrawn = [f"item {n}" for n in range(WITHDRAWN_PER_ITEM * 4 + 5)]
    for item in withdrawn:
        catalog.put(Item(item_id=item, available=False))
    assert catalog.sizes()["catalog_withdrawn"] == catalog.sizes()["catalog_withdrawn_bound"] == 16
    model.apply(ModelLogRecord(0, [Delta(n, item, 1.0, 0, []) for n, item in enumerate(withdrawn)]))
    assert all(hidden(catalog, item) for item in withdrawn) and not hidden(catalog, "listed")
    catalog.put(Item(item_id=withdrawn[-1]))
    assert not hidden(catalog, withdrawn[-1])


def test_a_full_catalogue_refuses_and_says_so() -> None:
    catalog = catalog_of(3)
    for n in range(5):
        catalog.put(Item(item_id=f"i{n}"))
    catalog.put(Item(item_id="i1", title="changed"))
    assert len(catalog) == 3 and catalog.refused == 2
    assert catalog.items.get("i4") == -1
    catalog.put(Item(item_id="i0", available=False))
    catalog.put(Item(item_id="i4"))
    assert len(catalog) == 3 and catalog.items.get("i4") >= 0


def test_vectors_that_come_before_their_items_are_bounded_and_found_once_listed() -> None:
    catalog = catalog_of(8)
    draws = np.random.default_rng(0)
    vectors = {f"i{n}": unit(draws) for n in range(40)}
    for item, vector in vectors.items():
        catalog.put_vector(item, vector)
    assert len(catalog.items) == 16 and catalog.refused == 24
    query = catalog.vectors[catalog.items.get("i3")]
    assert len(catalog.nearest(query, 5)[0]) == 0, "nothing is listed"
    catalog.put(Item(item_id="i3"))
    found, cosine = catalog.nearest(query, 5)
    assert [catalog.items.id(row) for row in found] == ["i3"] and cosine[0] == pytest.approx(1.0, abs=1e-5)


def test_newest() -> None:
    catalog = catalog_of()
    order = random.Random(0).sample(range(300), 300)
    for n in order:
        catalog.put(Item(item_id=f"i{n}", ts=n))
    assert [catalog.items.id(row) for row in catalog.newest()] == [f"i{n}" for n in range(299, 299 - NEWEST, -1)]
    catalog.put(Item(item_id="i299", available=False))
    catalog.put(Item(item_id="i298", ts=1))
    assert catalog.items.id(int(catalog.newest()[0])) == "i297" and len(catalog.newest()) == NEWEST
    assert len(catalog_of().newest()) == 0


def exact(catalog: Catalog, query: Vector) -> list[tuple[str, float]]:
    """What ``nearest`` must find, by the arrays alone."""
    cosine = catalog.vectors @ query if catalog.dimensions else np.zeros(len(catalog.vectors))
    listed = [row for row in range(len(catalog.items.ids)) if catalog.listed[row] and catalog.has_vector[row]]
    return [(catalog.items.id(row), float(cosine[row])) for row in sorted(listed, key=lambda row: -cosine[row])]


STEPS = st.tuples(
    st.sampled_from(["put", "withdraw", "vector", "drop", "learn"]), st.integers(0, 25), st.integers(0, 9)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=80))
def test_any_order_of_items_vectors_and_interactions(steps: list[tuple[str, int, int]]) -> None:
    items = ItemIndex()
    model, catalog = Model(ModelConfig(max_items=12), items), Catalog(items, 20)
    listed: set[str] = set()
    withdrawn: set[str] = set()
    vectors: dict[str, Vector] = {}
    for n, (what, item, seed) in enumerate(steps):
        item_id = f"i{item}"
        match what:
            case "put" if item_id in listed or len(listed) < 20:
                catalog.put(Item(item_id=item_id))
                listed.add(item_id)
                withdrawn.discard(item_id)
            case "withdraw":
                catalog.put(Item(item_id=item_id, available=False))
                listed.discard(item_id)
                withdrawn.add(item_id)
                vectors.pop(item_id, None)
            case "vector" if item_id not in withdrawn and (item_id in items._index or len(items) < 40):
                vectors[item_id] = unit(np.random.default_rng(seed))
                catalog.put_vector(item_id, vectors[item_id])
            case "drop":
                catalog.drop_vector(item_id)
                vectors.pop(item_id, None)
            case "learn":
                model.apply(ModelLogRecord(0, [Delta(n, item_id, 1.0, n, [])]))
                for other in set(vectors) - {str(name) for name in items.ids}:
                    del vectors[other]  # the model let an item go that nobody listed
        assert len(catalog) == len(listed) == catalog.sizes()["catalog_items"]
        assert catalog.sizes()["catalog_vectors"] == len(vectors) == int(catalog.has_vector.sum())
        for row in items._index.values():
            assert catalog.listed[row] or catalog.has_vector[row] or model.known[row], "a number that nothing needs"
        for item_id in listed:
            assert not hidden(catalog, item_id)
        for item_id in withdrawn & set(items._index):
            assert hidden(catalog, item_id)
    for item_id, vector in vectors.items():
        row = catalog.items.get(item_id)
        norm = float(np.linalg.norm(catalog.vectors[row]))
        assert norm == pytest.approx(1.0, abs=1e-3) or norm == 0.0
        moved = vector.astype(np.float16).astype(np.float32) - catalog.centre
        assert np.allclose(catalog.vectors[row] * np.linalg.norm(moved), moved, atol=2e-3)
    found, cosine = catalog.nearest(unit(np.random.default_rng(99)), 10)
    expected = exact(catalog, unit(np.random.default_rng(99)))
    assert len(found) == min(10, len(expected))
    assert cosine.tolist() == sorted(cosine.tolist(), reverse=True)
    assert {catalog.items.id(row) for row in found} <= {item_id for item_id, _ in expected}


def test_recentering_spreads_a_narrow_cone() -> None:
    catalog, draws = catalog_of(), np.random.default_rng(1)
    cone = unit(draws)
    for n in range(256):
        vector = cone + 0.2 * unit(draws)
        catalog.put(Item(item_id=f"i{n}"))
        catalog.put_vector(f"i{n}", vector / np.linalg.norm(vector))
    raw = np.linalg.norm(catalog.centre)
    cosines = catalog.vectors[:256] @ catalog.vectors[:256].T
    assert raw > 0.9, "before, all are alike"
    assert abs((cosines.sum() - 256) / (256 * 255)) < 0.02, "after, they are spread evenly"
    assert np.allclose(np.linalg.norm(catalog.vectors[:256], axis=1), 1.0, atol=1e-3)
    for n in range(256):  # codes and cells were made anew with the centre
        found, cosine = catalog.nearest(catalog.vectors[n], 1)
        assert found.tolist() == [n] and cosine[0] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_equal_vectors(count: int) -> None:
    """Nothing is left of them beside their centre, and no noise is blown up to unit length."""
    catalog, vector = catalog_of(), unit(np.random.default_rng(2))
    for n in range(count):
        catalog.put(Item(item_id=f"i{n}"))
        catalog.put_vector(f"i{n}", vector)
    lengths = np.linalg.norm(catalog.vectors[:count], axis=1)
    cosines: Any = catalog.vectors[:count] @ catalog.vectors[:count].T
    assert ((lengths < 1e-6) | (np.abs(lengths - 1) < 1e-3)).all()
    assert np.allclose(cosines, cosines[0, 0], atol=1e-3), "equal vectors have equal cosines"


def test_descriptions_are_counted_and_their_text_is_not_kept() -> None:
    catalog = catalog_of()
    before = catalog.sizes()["catalog_bytes"]
    item = Item(item_id="a", title="t" * 1_000, description="d" * 50_000, categories=["Kind"], terms=["w" * 30] * 5)
    catalog.put(item)
    once = catalog.sizes()["catalog_bytes"]
    assert before + 1_000 < once < before + 3_000 and item.description
    catalog.put(item)
    assert catalog.sizes()["catalog_bytes"] == once
    for n in range(10):
        catalog.put(Item(item_id="a", available=n % 2 == 1, title="short"))
    catalog.put(Item(item_id="a", available=False))
    assert catalog.sizes()["catalog_bytes"] - before < 500, "what is left is the hash of the withdrawn one"
