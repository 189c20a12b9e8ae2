"""What the items of a log are: descriptions, and vectors where a text model was asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from divrec.evaluate.stream import Ids, Stream
from divrec.events import Item, unpack_vector
from divrec.interest.topics import Topics

TOPICS = 64
"""That the items' vectors are told apart by."""

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


class Space(NamedTuple):
    """Where the items are, by the stream's numbers; the last row is that of the empty place -1."""

    vectors: Vectors
    """float32[items + 1, d], minus the mean; zero without a vector."""
    topics: Ids
    """int32[items + 1], -1 without a vector."""
    topics_there: int


def space_of(content: Content, stream: Stream) -> Space:
    """The vectors, and the topics that one pass over them learns (``divrec/interest/topics.py``)."""
    vectors = centred_vectors(content, stream)
    topics = Topics(TOPICS, vectors.shape[1])
    if vectors.shape[1]:
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        topics.learn(np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0))
    return Space(vectors, topics.of(vectors), int(np.count_nonzero(topics.sizes)))
