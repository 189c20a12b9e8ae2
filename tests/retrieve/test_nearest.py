"""Nearest items against an exact search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from divrec.catalog import Catalog
from divrec.events import Item
from divrec.items import ItemIndex
from divrec.retrieve.candidates import NEAREST
from divrec.retrieve.cells import FROM, Cells
from divrec.retrieve.nearest import encode_code
from divrec.retrieve.popcount import distance

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


@pytest.mark.parametrize("likes", [1, 3])
def test_few_items_are_all_scanned(likes: int) -> None:
    catalog = clustered(FROM - 1, 128, 40)
    assert len(catalog.arrays().space.centres) == 0
    assert recall(catalog, likes) >= 0.9


def test_through_cells_by_one_liked_item() -> None:
    catalog = clustered(6_000, 64, 100)
    assert len(catalog.arrays().space.centres) > 0
    assert recall(catalog, 1) >= 0.9


@pytest.mark.xfail(strict=True, reason="the cells nearest to a mixed interest hold too few of its nearest items: 0.84")
def test_through_cells_by_three_liked_items() -> None:
    assert recall(clustered(6_000, 64, 100), 3) >= 0.9


def test_what_is_not_listed_is_not_found_also_through_cells() -> None:
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
    one, other = random.normal(size=(2, dimensions)).astype(np.float32)
    one[random.integers(0, dimensions)] = 0.0
    codes = np.full((2, (dimensions + 63) // 64), 7, np.uint64)
    for vector, code in zip((one, other), codes, strict=True):
        encode_code(vector, code)
        bits = np.unpackbits(code.astype("<u8").view(np.uint8), bitorder="little")
        assert bits[:dimensions].tolist() == (vector > 0).astype(int).tolist() and not bits[dimensions:].any()
    assert distance(codes[0], codes[1]) == int(((one > 0) != (other > 0)).sum())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 39)), max_size=150))
def test_cells_hold_each_item_once(steps: list[tuple[bool, int]]) -> None:
    random = np.random.default_rng(0)
    codes = random.integers(0, 2**63, (40, 1)).astype(np.uint64)
    cells = Cells()
    cells.resize(64)
    cells.centres, cells.heads = codes[:5], np.full(5, -1, np.int32)
    held: set[int] = set()
    for add, row in steps:
        if add:
            cells.add(row, codes[row])
            held.add(row)
        else:
            cells.remove(row)
            held.discard(row)
        found: list[int] = []
        for cell, head in enumerate(cells.heads.tolist()):
            previous, at = -1, head
            while at >= 0:
                assert cells.previous[at] == previous and cells.cell[at] == cell
                nearest = min(distance(centre, codes[at]) for centre in cells.centres)
                assert distance(cells.centres[cell], codes[at]) == nearest
                found.append(at)
                previous, at = at, int(cells.next[at])
        assert len(found) == len(set(found)) and set(found) == held
