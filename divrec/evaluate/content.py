"""What the items of a log are: descriptions, and vectors where a text model was asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from divrec.evaluate.stream import Stream
from divrec.events import Item, unpack_vector

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Content:
    items: Mapping[str, Item] = field(default_factory=dict)
    """By item id."""
    model: str = ""
    """Name of the text model."""
    vectors: Mapping[str, bytes] = field(default_factory=dict)
    """Its unit vectors by item id, packed."""


def centred_vectors(content: Content, stream: Stream) -> Vectors:
    """float32[items + 1, d] by the stream's numbers, minus the mean of all that have one; zero for the others and for
    the last row, which is that of the empty place -1. Vectors of one text model sit in a narrow cone: without this
    nothing would be unlike anything else."""
    dimensions = len(next(iter(content.vectors.values()), b"")) // 2
    vectors = np.zeros((len(stream.items) + 1, dimensions), np.float32)
    for number, item_id in enumerate(stream.items):
        if (packed := content.vectors.get(item_id)) is not None:
            vectors[number] = unpack_vector(packed, dimensions)
    known = vectors.any(axis=1)
    if known.any():
        vectors[known] -= vectors[known].mean(axis=0)
    return vectors
