"""The catalogue: items and their vectors, replicated from the compacted topics.

Vectors of one text model sit in a narrow cone, so for comparing them the catalogue keeps them *centred*: minus the
mean over the catalogue, unit length again. Cosines then spread over [-1, 1].
"""

from collections.abc import Mapping
from sys import getsizeof
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from divrec.categories import ItemCategories, Numbers
from divrec.events import Item
from divrec.interest.keywords import TERMS_PER_EVENT
from divrec.interest.lift import packed_words
from divrec.items import ItemIndex, grown, hash64
from divrec.retrieve.cells import Cells
from divrec.retrieve.nearest import Ids, Space, Vectors, encode_code, nearest
from divrec.rules.config import RulesConfig
from divrec.rules.items import ItemRules, RuleArrays
from divrec.rules.room import Room

CENTRED_UNTIL = 65_536
"""The centre is taken anew whenever the number of vectors has doubled, until there are this many."""
NEWEST = 64
"""Items in the list of the newest."""
AT_ONCE = 4_096
"""Vectors that are placed at once: what is needed beside the catalogue stays small."""
WITHDRAWN_PER_ITEM = 4
"""Withdrawals remembered, in multiples of ``max_items``."""
HASH_BYTES = getsizeof(2**63)


class CatalogArrays(NamedTuple):
    """What compiled code reads of the catalogue, by item index."""

    hidden: npt.NDArray[np.bool_]
    ts: npt.NDArray[np.int64]
    vectors: Vectors
    categories: Numbers
    """int32[items, n], -1 behind the last."""
    space: Space
    newest: Ids
    words: npt.NDArray[np.uint32]
    """Hashes of what each item says about interests, [items, TERMS_PER_EVENT], 0 behind the last."""


class Catalog:
    """Items by index: what they are, whether they may be shown, and their vectors.

    A withdrawn item leaves the catalogue, but its hash is remembered: interactions may still bring it to the model,
    and it must not come back from there. Once there are too many hashes, only listed items are shown.
    """

    def __init__(self, items: ItemIndex, max_items: int, rules: RulesConfig | None = None) -> None:
        self.items = items
        self.rules = ItemRules(rules or RulesConfig(), items)
        self.max_items = max_items
        self.model = ""
        """Name of the text model whose vectors are held."""
        self.dimensions = 0
        self.refused = 0
        """Items not taken because the catalogue was full."""
        self.descriptions: list[Item | None] = []
        """Without the text of the description: it can be long, and only the encoder reads it."""
        self.words: list[tuple[str, ...]] = []
        """What each item says about interests: its categories and its most telling terms."""
        self.word_hashes: npt.NDArray[np.uint32] = np.zeros((0, TERMS_PER_EVENT), np.uint32)
        self.categories = ItemCategories()
        self.hidden: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        """Withdrawn: never in a slate."""
        self.listed: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self.ts: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.near: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        """Listed and with a vector: what a search for nearest items may find."""
        self.has_vector: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self.vectors: Vectors = np.zeros((0, 0), np.float32)
        """Centred unit vectors, float32[capacity, d]; zero where there is none."""
        self.centre: Vectors = np.zeros(0, np.float32)
        self._raw: npt.NDArray[np.float16] = np.zeros((0, 0), np.float16)
        self._cells = Cells()
        self._vectors_held = 0
        self._recentre_at = 2
        self._described_bytes = 0
        self._withdrawn: set[int] = set()
        self._all_remembered = True
        self._count = 0
        self._newest: Ids | None = None
        items.attach(self)

    def __len__(self) -> int:
        return self._count

    def resize(self, capacity: int) -> None:
        self.descriptions.extend([None] * (capacity - len(self.descriptions)))
        self.words.extend([()] * (capacity - len(self.words)))
        self.categories.resize(capacity)
        self.rules.resize(capacity)
        self.near = grown(self.near, capacity)
        self.word_hashes = grown(self.word_hashes, capacity)
        self.hidden = grown(self.hidden, capacity)
        self.listed = grown(self.listed, capacity)
        self.ts = grown(self.ts, capacity)
        self.has_vector = grown(self.has_vector, capacity)
        self.vectors = grown(self.vectors, capacity)
        self._raw = grown(self._raw, capacity)
        self._cells.resize(capacity)

    def clear(self, index: int) -> None:
        self._describe(index, None)
        self.hidden[index] = self.listed[index] = False
        self.ts[index] = 0
        self._drop_vector(index)

    def holds(self, index: int) -> bool:
        return bool(self.listed[index])

    def entered(self, index: int, item_id: str) -> None:
        """Called for each new index: an item known as withdrawn is hidden from the start."""
        if not self._all_remembered or (self._withdrawn and hash64(item_id) in self._withdrawn):
            self.hidden[index] = True

    def put(self, item: Item) -> None:
        """List ``item``, or withdraw it if it is not available."""
        if not item.available:
            self._withdraw(item.item_id)
            return
        known = self.items.get(item.item_id)
        if (known < 0 or not self.listed[known]) and self._count >= self.max_items:
            self.refused += 1
            return
        self._withdrawn.discard(hash64(item.item_id))
        index = self.items.add(item.item_id)
        self._count += not self.listed[index]
        self.listed[index] = True
        self.hidden[index] = False
        self._describe(index, replace(item, description="") if item.description else item)
        self.near[index] = self.has_vector[index]
        self.ts[index] = item.ts
        self._newest = None

    def _withdraw(self, item_id: str) -> None:
        if len(self._withdrawn) < WITHDRAWN_PER_ITEM * self.max_items:
            self._withdrawn.add(hash64(item_id))
        elif hash64(item_id) not in self._withdrawn:
            self._all_remembered = False
        index = self.items.get(item_id)
        if index < 0:
            return
        self._count -= bool(self.listed[index])
        self.listed[index] = False
        self._describe(index, None)
        self.hidden[index] = True
        self._drop_vector(index)
        self._newest = None
        self.items.release_if_unused(index)

    def _describe(self, index: int, item: Item | None) -> None:
        self._described_bytes -= _bytes_of(self.descriptions[index], self.words[index])
        words = words_of(item) if item else ()
        self.descriptions[index], self.words[index] = item, words
        self.word_hashes[index] = 0
        self.word_hashes[index, : len(words)] = np.frombuffer(packed_words(words), "<u4")
        self.categories.put(index, item.categories if item else ())
        self.rules.put(index, item)
        self._described_bytes += _bytes_of(item, words)

    def put_vector(self, item_id: str, vector: Vectors) -> None:
        """Take the unit ``vector[d]`` of an item; vectors of withdrawn items are not kept."""
        index = self._row_for_vector(item_id)
        if index < 0:
            return
        if not self.dimensions:
            self._shape(len(vector))
        self._vectors_held += not self.has_vector[index]
        self.has_vector[index] = True
        self.near[index] = self.listed[index]
        self._raw[index] = vector
        self._place(index)
        if self._vectors_held >= self._recentre_at and self._vectors_held <= CENTRED_UNTIL:
            self._recentre()

    def _row_for_vector(self, item_id: str) -> int:
        """The index of an item whose vector is to be kept, else -1."""
        if hash64(item_id) in self._withdrawn:
            return -1
        index = self.items.get(item_id)
        if index < 0:
            if len(self.items) >= 2 * self.max_items:
                self.refused += 1
                return -1
            index = self.items.add(item_id)
        return index

    def change_over(self, model: str, packed: Mapping[str, bytes]) -> None:
        """Use the vectors of another text model: ``packed`` ones, float16[d] by item id, in place of all others."""
        before = np.flatnonzero(self.has_vector)
        self.has_vector[:] = self.near[:] = False
        for index in before:
            if not self.listed[index] and self.items.id(int(index)) not in packed:
                self.items.release_if_unused(int(index))
        rows = {row: vector for item_id, vector in packed.items() if (row := self._row_for_vector(item_id)) >= 0}
        held = np.fromiter(rows, np.intp, len(rows))
        self.model = model
        self._shape(len(next(iter(rows.values()), b"")) // 2)
        raw = np.frombuffer(b"".join(rows.values()), "<f2").reshape(len(rows), self.dimensions)
        for at in range(0, len(held), AT_ONCE):
            self._raw[held[at : at + AT_ONCE]] = _unit(raw[at : at + AT_ONCE].astype(np.float32))
        self.has_vector[held] = True
        self.near[held] = self.listed[held]
        self._vectors_held = len(held)
        self._recentre()

    def drop_vector(self, item_id: str) -> None:
        index = self.items.get(item_id)
        if index >= 0:
            self._drop_vector(index)
            self.items.release_if_unused(index)

    def _drop_vector(self, index: int) -> None:
        if self.has_vector[index]:
            self._vectors_held -= 1
            self.has_vector[index] = self.near[index] = False
            self.vectors[index] = 0.0
            self._cells.remove(index)

    def _shape(self, dimensions: int) -> None:
        capacity = len(self.hidden)
        self.dimensions = dimensions
        self.vectors = np.zeros((capacity, dimensions), np.float32)
        self._raw = np.zeros((capacity, dimensions), np.float16)
        self._cells.clear(dimensions)
        self.centre = np.zeros(dimensions, np.float32)

    def _place(self, index: int) -> None:
        self.vectors[index] = self.centred(self._raw[index].astype(np.float32))
        code = np.empty((self.dimensions + 63) // 64, np.uint64)
        encode_code(self.vectors[index], code)
        self._cells.put(index, code)

    def _recentre(self) -> None:
        held = np.flatnonzero(self.has_vector)
        total = np.zeros(self.dimensions)
        for at in range(0, len(held), AT_ONCE):
            total += self._raw[held[at : at + AT_ONCE]].sum(axis=0, dtype=np.float32)
        if len(held) > 1:  # one alone would be its own centre, and nothing be left of it
            self.centre = (total / len(held)).astype(np.float32)
        codes = np.empty((len(held), (self.dimensions + 63) // 64), np.uint64)
        for at in range(0, len(held), AT_ONCE):
            rows = held[at : at + AT_ONCE]
            self.vectors[rows] = placed = _unit(self._raw[rows].astype(np.float32) - self.centre)
            signs = np.zeros((len(rows), 64 * codes.shape[1]), np.bool_)
            signs[:, : self.dimensions] = placed > 0
            codes[at : at + AT_ONCE] = np.packbits(signs, axis=1, bitorder="little").view("<u8")
        self._cells.rebuild(held.astype(np.int32), codes)
        self._recentre_at = max(2, 2 * self._vectors_held)

    def centred(self, vector: Vectors) -> Vectors:
        """``vector[d]`` minus the catalogue's mean, unit length (zero stays zero)."""
        moved = vector - self.centre
        norm = np.float32(np.sqrt(moved @ moved))
        return moved / norm if norm > 0 else moved

    def nearest(self, query: Vectors, count: int) -> tuple[Ids, Vectors]:
        """The ``count`` listed items nearest to the centred unit ``query[d]``: indices and cosines, nearest first."""
        return nearest(self._space(), query, count)

    def _space(self) -> Space:
        return Space(self.vectors, self._cells.arrays, self.near[: len(self.items.ids)])

    def arrays(self) -> CatalogArrays:
        return CatalogArrays(
            self.hidden,
            self.ts,
            self.vectors,
            self.categories.numbers,
            self._space(),
            self.newest(),
            self.word_hashes,
        )

    def rule_arrays(self) -> RuleArrays:
        return self.rules.arrays(self.listed, self.ts)

    def room(self, now: int) -> Room | None:
        """What the limits leave room for in a slate at ``now``; None without limits."""
        return self.rules.room(self.ts, self.categories.numbers, now)

    def newest(self) -> Ids:
        """The listed items with the latest ``ts``, newest first."""
        if self._newest is None:
            listed = np.flatnonzero(self.listed[: len(self.items.ids)])
            ts = self.ts[listed]
            if len(listed) > NEWEST:
                top = np.argpartition(-ts, NEWEST)[:NEWEST]
                listed, ts = listed[top], ts[top]
            self._newest = listed[np.argsort(-ts, kind="stable")].astype(np.int32)
        return self._newest

    def sizes(self) -> dict[str, int]:
        arrays = (
            self.hidden,
            self.listed,
            self.near,
            self.ts,
            self.has_vector,
            self.vectors,
            self._raw,
            self.word_hashes,
        )
        return {
            "catalog_items": self._count,
            "catalog_items_bound": self.max_items,
            "catalog_vectors": self._vectors_held,
            "catalog_vectors_bound": 4 * self.max_items,
            "catalog_withdrawn": len(self._withdrawn),
            "catalog_withdrawn_bound": WITHDRAWN_PER_ITEM * self.max_items,
            "catalog_categories": len(self.categories),
            "catalog_categories_bound": self.categories.max_names,
            "catalog_refused": self.refused,
            "catalog_bytes": sum(array.nbytes for array in arrays)
            + self._cells.nbytes
            + self.categories.nbytes
            + self.rules.nbytes
            + self._described_bytes
            + getsizeof(self._withdrawn)
            + HASH_BYTES * len(self._withdrawn),
        }


def words_of(item: Item) -> tuple[str, ...]:
    """Categories, at most half of ``TERMS_PER_EVENT``, and terms."""
    categories = [name.casefold() for name in item.categories[: TERMS_PER_EVENT // 2]]
    return tuple(dict.fromkeys(categories + item.terms))[:TERMS_PER_EVENT]


def _bytes_of(item: Item | None, words: tuple[str, ...]) -> int:
    if item is None:
        return 0
    texts = (item.item_id, item.title, item.brand, item.seller, item.event_id, *item.categories, *words)
    return sum(map(getsizeof, (item, item.categories, item.terms, words, *texts)))


def _unit(vectors: Vectors) -> Vectors:
    """``vectors[n, d]`` at unit length; zero stays zero."""
    norms: Vectors = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    norms[norms == 0] = 1.0
    return vectors / norms[:, None]
