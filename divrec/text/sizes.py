"""What there is to know of a network before it is run."""

from typing import NamedTuple


class Sizes(NamedTuple):
    dimensions: int
    positions: int
    """Tokens that a text may have."""
    pieces: int
    """That there are embeddings of."""
    pad: int
    """The piece that fills up a batch."""
