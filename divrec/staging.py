"""Which text model is used, and the vectors of one that is not used yet.

An encode worker with a new model encodes the catalogue beside the live one. Its vectors wait here until its marker
stands in every partition of ``item-vectors``; then the catalogue changes over to them in one step.
"""

from divrec.errors import EventError
from divrec.events import ItemVector, ModelReady, unpack_vector


class Markers:
    """The latest marker of each model in each partition."""

    def __init__(self) -> None:
        self._found: dict[str, dict[int, int]] = {}

    def put(self, partition: int, marker: ModelReady) -> None:
        self._found.setdefault(marker.model, {})[partition] = marker.ts

    def drop(self, partition: int, model: str) -> None:
        found = self._found.get(model, {})
        found.pop(partition, None)
        if not found:
            self._found.pop(model, None)

    def newest(self, partitions: int) -> tuple[str, int]:
        """The model with the newest marker that is in all ``partitions``, and its ts; ``("", 0)`` without one.

        A marker counts from when it is in the last partition: until then the model's marker before it does.
        """
        complete = [(min(found.values()), model) for model, found in self._found.items() if len(found) >= partitions]
        ts, model = max(complete, default=(0, ""))
        return model, ts


class Staging:
    """Vectors of the one other model that came by last, by item id, packed; at most ``max_items``.

    A model whose vectors came by and were not kept is ``incomplete``: to change over to it they must be read again.
    """

    def __init__(self, max_items: int) -> None:
        self.max_items = max_items
        self.model = ""
        self.vectors: dict[str, bytes] = {}
        self.ignored = 0
        """Vectors that were not kept."""
        self._incomplete: set[str] = set()
        self._expected = False

    def __len__(self) -> int:
        return len(self.vectors)

    def put(self, value: ItemVector) -> None:
        """Raises EventError for a vector that is none, or of another size than the others of its model."""
        unpack_vector(value.vector, len(value.vector) // 2)
        if value.model != self.model:
            if self._expected or value.model in self._incomplete:
                self.forget(value.model)
                self.ignored += 1
                return
            self._begin(value.model)
        size = len(next(iter(self.vectors.values()), value.vector))
        if len(value.vector) != size:
            raise EventError("bad-vector", f"vector of {value.model}: expected {size} bytes, got {len(value.vector)}")
        if value.item_id not in self.vectors and len(self.vectors) >= self.max_items:
            self.ignored += 1
            return
        self.vectors[value.item_id] = value.vector

    def drop(self, model: str, item_id: str) -> None:
        if model == self.model:
            self.vectors.pop(item_id, None)

    def forget(self, model: str) -> None:
        """Note that vectors of ``model`` are not kept."""
        if model:
            self._incomplete.add(model)

    def expect(self, model: str) -> None:
        """Keep the vectors of ``model`` alone, which now come from the first on, until ``settle``."""
        self._begin(model)
        self._expected = True

    def settle(self) -> None:
        self._expected = False

    def _begin(self, model: str) -> None:
        if self.vectors:
            self.forget(self.model)
        self._incomplete.discard(model)
        self.model, self.vectors = model, {}

    def holds_all(self, model: str) -> bool:
        """Whether no vector of ``model`` is missing here (there may be none)."""
        return model not in self._incomplete

    def take(self, model: str) -> dict[str, bytes]:
        """The vectors of ``model``, which is going to be used: they leave."""
        vectors: dict[str, bytes] = {}
        if model == self.model:
            vectors, self.model, self.vectors = self.vectors, "", {}
        self._expected = False
        return vectors
