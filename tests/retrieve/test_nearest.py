"""Nearest items against an exact search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from divrec.catalog import Catalog
from divrec.events import Item
from divrec.items import ItemIndex
from divrec.retrieve import cells as module
from divrec.retrieve.candidates import NEAREST
from divrec.retrieve.cells import BLOCK, Cells, distance
from divrec.retrieve.nearest import Space, encode_code, hamming, nearest_codes

Vectors = NDArray[np.float32]


def clustered(n: int, dimensions: int, clusters: int, seed: int = 0) -> Catalog:
    """Vectors in a narrow cone, as text models make them, and in it in clusters."""
    random = np.random.default_rng(seed)
    centres = 1.5 * random.normal(size=dimensions) + random.normal(size=(clusters, dimensions))
    vectors = centres[random.integers(0, clusters, n)] + 0.5 * random.normal(size=(n, dimensions))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    catalog = Catalog(ItemIndex(), n)
    for row, vector in enumerate(vectors):
        catalog.put(Item(item_id=f"i{row}"))
        catalog.put_vector(f"i{row}", vector)
    return catalog


def recall(catalog: Catalog, likes: int, queries: int = 100, asked: int = NEAREST, top: int = 10) -> float:
    """Share of the ``top`` nearest found, where the interest is the sum of ``likes`` items."""
    random, n, found = np.random.default_rng(1), len(catalog.items.ids), 0
    for _ in range(queries):
        interest = catalog.vectors[random.integers(0, n, likes)].sum(axis=0)
        interest /= np.linalg.norm(interest)
        exact = np.argsort(-(catalog.vectors[:n] @ interest))[:top]
        rows, cosine = catalog.nearest(interest, asked)
        assert len(rows) == min(asked, n) == len(set(rows.tolist()))
        assert cosine == pytest.approx(catalog.vectors[rows] @ interest, abs=1e-5)
        assert (cosine[:-1] >= cosine[1:]).all()
        found += len(set(exact.tolist()) & set(rows[:top].tolist()))
    return found / (queries * top)


@pytest.mark.parametrize(("items", "dimensions", "clusters"), [(2_000, 128, 40), (6_000, 64, 100), (6_000, 384, 100)])
@pytest.mark.parametrize("likes", [1, 3])
def test_the_nearest_are_found(items: int, dimensions: int, clusters: int, likes: int) -> None:
    assert recall(clustered(items, dimensions, clusters), likes) >= 0.9


def test_the_nearest_to_many_liked_items_are_found() -> None:
    assert recall(clustered(6_000, 384, 100), 20) >= 0.9


def test_what_is_not_listed_is_not_found() -> None:
    catalog = clustered(4_000, 64, 50)
    leaving = [f"i{n}" for n in range(0, 4_000, 3)]
    for item in leaving:
        catalog.put(Item(item_id=item, available=False))
    left = set(range(4_000)) - {int(item[1:]) for item in leaving}
    for row in sorted(left)[:100]:
        rows, _ = catalog.nearest(catalog.vectors[row], 20)
        assert rows[0] == row and set(rows.tolist()) <= left


def test_a_zero_interest_is_near_to_nothing() -> None:
    catalog = clustered(20, 16, 2)
    assert len(catalog.nearest(np.zeros(16, np.float32), 5)[0]) == 0
    empty = Catalog(ItemIndex(), 10)
    assert len(empty.nearest(np.zeros(0, np.float32), 5)[0]) == 0


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(0, 50))
def test_codes_are_signs_and_their_distance_counts_them(dimensions: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(2, dimensions)).astype(np.float32)
    vectors[0, random.integers(0, dimensions)] = 0.0
    codes = np.full((2, (dimensions + 63) // 64), 7, np.uint64)
    for vector, code in zip(vectors, codes, strict=True):
        encode_code(vector, code)
        bits = np.unpackbits(code.astype("<u8").view(np.uint8), bitorder="little")
        assert bits[:dimensions].tolist() == (vector > 0).astype(int).tolist() and not bits[dimensions:].any()
    distances = np.empty(2, np.uint16)
    hamming(np.ascontiguousarray(codes.T), codes[0], distances)
    assert distances.tolist() == [0, int(((vectors[0] > 0) != (vectors[1] > 0)).sum())]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2 * BLOCK + 7), st.integers(0, 300), st.integers(1, 70), st.integers(0, 9), st.booleans())
def test_codes_are_taken_like_by_a_stable_sort(items: int, count: int, dimensions: int, seed: int, few: bool) -> None:
    random = np.random.default_rng(seed)
    cells, usable = Cells(items, dimensions), random.random(items) < 0.7
    words = random.integers(0, 4 if few else 2**63, (items, (dimensions + 63) // 64), np.uint64)
    cells.rebuild(np.arange(items, dtype=np.int32), words)
    wanted = random.integers(0, 2**63, words.shape[1], np.uint64)
    space = Space(np.zeros((0, 0), np.float32), cells.arrays, usable)
    found = nearest_codes(space, wanted, count, items).tolist()
    distances = np.bitwise_count(words ^ wanted).sum(axis=1)
    assert len(found) == len(set(found)) == min(count, int(usable.sum())) and usable[found].all()
    assert sorted(distances[found]) == sorted(distances[usable])[:count]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 399)), max_size=900), st.integers(0, 9))
def test_cells_hold_what_was_put_and_not_removed(steps: list[tuple[bool, int]], seed: int) -> None:
    random = np.random.default_rng(seed)
    cells, expected = Cells(400, 128), dict[int, tuple[int, ...]]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FROM", 100)
        patch.setattr(module, "CELLS", 16)
        for put, item in steps:
            if put:
                code = random.integers(0, 2**63, 2, np.uint64)
                cells.put(item, code)
                expected[item] = tuple(code.tolist())
            else:
                cells.remove(item)
                expected.pop(item, None)
    items, codes = cells._all()
    assert dict(zip(items.tolist(), map(tuple, codes.tolist()), strict=True)) == expected
    arrays = cells.arrays
    assert len(cells) == len(expected) == arrays.held.sum() == (arrays.place >= 0).sum()
    for item in expected:
        block, slot = divmod(int(arrays.place[item]), BLOCK)
        assert arrays.items[block, slot] == item
        assert slot < arrays.held[block]
        near = min(distance(centre, arrays.codes[block, :, slot]) for centre in arrays.centres)
        assert distance(arrays.centres[arrays.cell[block]], arrays.codes[block, :, slot]) == near


def test_many_items_are_searched_in_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FROM", 3_000)
    monkeypatch.setattr(module, "CELLS", 64)
    catalog = clustered(6_000, 128, 60)
    assert len(catalog._cells.arrays.centres) == 64
    assert recall(catalog, 3) >= 0.9
