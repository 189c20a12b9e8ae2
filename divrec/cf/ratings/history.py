"""What one user rated: small enough to live in the Profile."""

from msgspec import Struct, field


class RatedHistory(Struct, array_like=True):
    """Items and their ratings, newest first; each item once, with its latest rating."""

    items: list[str] = field(default_factory=list)
    ratings: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.items)

    def add(self, item_id: str, rating: float, bound: int) -> None:
        """``item_id`` was rated; the oldest goes when there are more than ``bound``."""
        if item_id in self.items:
            at = self.items.index(item_id)
            del self.items[at], self.ratings[at]
        self.items.insert(0, item_id)
        self.ratings.insert(0, rating)
        del self.items[bound:], self.ratings[bound:]
