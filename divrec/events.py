"""The events on the wire: JSON objects, one per Kafka message.

Unknown fields are ignored and new fields have defaults, so that producers and consumers of different versions
understand each other. Every size is bounded. Ids are strings, times (``ts``) are epoch milliseconds UTC, 0 = not given.
What a slate consists of is not tracked by the garbage collector (``gc=False``): it holds no cycles, and thousands are
made a second.
"""

from typing import Annotated, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from divrec.errors import EventError

MAX_MESSAGE_BYTES = 262_144
"""Longest accepted message: anything larger is a dead letter."""

Id = Annotated[str, Meta(min_length=1, max_length=256)]
Ts = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
Word = Annotated[str, Meta(min_length=1, max_length=128)]
Words = Annotated[list[Word], Meta(max_length=64)]
Text = Annotated[str, Meta(max_length=65_536)]
Language = Annotated[str, Meta(max_length=35)]
Diversity = Annotated[float, Meta(ge=0, le=1)]
Ids = Annotated[list[Id], Meta(max_length=1_000)]
VectorBytes = Annotated[bytes, Meta(max_length=8_192)]

Action = Literal["impression", "view", "click", "cart", "purchase", "like", "dislike", "skip", "hide"]


class Item(Struct, tag_field="kind", tag="item", kw_only=True, omit_defaults=True):
    """What can be recommended. ``available: false`` withdraws it."""

    item_id: Id
    title: Text = ""
    description: Text = ""
    categories: Words = msgspec.field(default_factory=list)
    brand: str | None = None
    seller: str | None = None
    price: float | None = None
    language: Language | None = None
    available: bool = True
    ts: Ts = 0
    event_id: Id | None = None
    terms: Words = msgspec.field(default_factory=list)
    """Segmented words of title and description, most telling first; set by the encode worker."""


class Click(Struct, tag_field="kind", tag="click", kw_only=True, omit_defaults=True):
    """A user acted on an item."""

    user_id: Id
    item_id: Id
    action: Action = "click"
    rating: float | None = None
    ts: Ts = 0
    event_id: Id | None = None


class Review(Struct, tag_field="kind", tag="review", kw_only=True, omit_defaults=True):
    """A user wrote about an item. ``vector``, ``model`` and ``terms`` are set by the encode worker."""

    user_id: Id
    item_id: Id
    text: Text
    title: Text = ""
    rating: float | None = None
    language: Language | None = None
    ts: Ts = 0
    event_id: Id | None = None
    terms: Words = msgspec.field(default_factory=list)
    model: str | None = None
    vector: VectorBytes | None = None
    """Unit vector of the text as little-endian float16 (base64 in JSON)."""


class Request(Struct, tag_field="kind", tag="request", kw_only=True, omit_defaults=True):
    """An application asks for a slate."""

    user_id: Id
    request_id: Id | None = None
    k: Annotated[int, Meta(ge=1, le=200)] | None = None
    diversity: Diversity | None = None
    exclude: Ids = msgspec.field(default_factory=list)
    context: Annotated[dict[Word, Annotated[str, Meta(max_length=256)]], Meta(max_length=32)] = msgspec.field(
        default_factory=dict
    )
    ts: Ts = 0
    event_id: Id | None = None


Event = Click | Review | Request
"""What the ``events`` topic carries. The kinds ``forget`` and ``merge`` are reserved."""

ReasonCode = Literal[
    "item_neighbour",
    "transition",
    "similar_user",
    "content",
    "review",
    "keyword",
    "well_rated",
    "popular_now",
    "popular",
    "repeat",
    "fresh",
    "explored",
]


class Reason(Struct, kw_only=True, omit_defaults=True, gc=False):
    """Why an item is in the slate.

    ``share`` in [0, 1] is the part of the item's relevance that this source gave. The referents: ``item_id`` is the
    user's past item, ``keyword`` a word of the user's interests. ``explored`` stands first and has no share: the item
    is there so that something is learned about it, in the place of what relevance would have shown.
    """

    code: ReasonCode
    share: float
    item_id: str | None = None
    keyword: str | None = None


class SlateItem(Struct, kw_only=True, omit_defaults=True, gc=False):
    """One recommended item. Positions and ranks count from 1."""

    item_id: str
    position: int
    relevance: float
    relevance_rank: int
    """Position by relevance alone: what diversification changed is ``relevance_rank`` against ``position``."""
    preferred_to: str | None = None
    """The item that relevance alone would have put into the slate and whose place this one took."""
    impressions: int = 0
    """How often it was among the user's last 30 impressions without an answer, where it gave way for that: not at
    ``diversity`` 0, nor for an explored place."""
    similarity: float = 0.0
    """Largest cosine similarity to the items above it, in [-1, 1]."""
    reasons: list[Reason] = msgspec.field(default_factory=list)
    propensity: float = 1.0
    """Probability, in (0, 1], that this item was shown at this position, given those above it."""
    sponsored: bool = False
    """It stands in a sponsored slot: say so to the user."""
    rules: list[str] = msgspec.field(default_factory=list)
    """Names of the configured rules that put it there or moved it."""


class Trigger(Struct, kw_only=True, omit_defaults=True, gc=False):
    """The event in the ``events`` topic that made this slate."""

    partition: int
    offset: int
    event_id: str | None = None
    request_id: str | None = None


class Recommendation(Struct, tag_field="kind", tag="recommendation", kw_only=True, omit_defaults=True):
    """A slate for a user. ``recommendation_id`` is a function of the trigger: drop repeats by it."""

    recommendation_id: str
    user_id: str
    trigger: Trigger
    ts: int
    """Event time of the trigger."""
    made_at: int
    """When the slate was computed, by the worker's clock."""
    generation: str
    version: int
    """The model-log offset at which the slate was computed: every delta below it was applied."""
    model: str = ""
    """Name of the text model whose vectors were used."""
    diversity: float
    items: list[SlateItem]
    removed: dict[str, int] = msgspec.field(default_factory=dict)
    """How many candidates each rule took out, by its name; ``hidden``, ``own-items``, ``cap`` and ``cool-down`` are
    those that have none of their own."""
    text_pending: bool = False
    """Some text is not taken into account yet: the user's latest review came without a vector, or the catalogue is
    being encoded by another text model than ``model``."""


class ItemVector(Struct, tag_field="kind", tag="item_vector", kw_only=True, omit_defaults=True):
    """Value of the ``item-vectors`` topic (key ``model|item_id``)."""

    item_id: Id
    model: str
    vector: VectorBytes


class ModelReady(Struct, tag_field="kind", tag="model_ready", kw_only=True, omit_defaults=True):
    """Marker in every partition of ``item-vectors`` (key ``model|``): the model has encoded the whole catalogue.

    The model with the newest marker that is in all partitions is the one that replicas use.
    """

    model: str
    items: int
    """Items that have a vector of it."""
    ts: Ts
    """When it was written; greater than that of every earlier marker."""


class ListQuality(Struct, kw_only=True, omit_defaults=True, gc=False):
    """What lists of ``k`` items are like: means over the lists, or of all lists together; absent where not known.

    The figures are those of ``divrec evaluate`` (docs/evaluation.md), by model and catalogue as they are now.
    """

    category_coverage: float | None = None
    """Different categories in a list, of all in the catalogue."""
    ild: float | None = None
    """Distance of the items' vectors, in [0, 2]."""
    ild_categories: float | None = None
    """The same of their categories, in [0, 1]."""
    novelty: float | None = None
    """Self-information of the items, in bits."""
    popularity: float | None = None
    """Percentile of the items' popularity."""
    freshness: float | None = None
    """Share of the items that appeared within ``slate.fresh_days``."""
    inter_list: float | None = None
    """How much was not in the same user's list before (Jaccard distance)."""
    catalog_coverage: float | None = None
    """Share of the catalogue that is in any of the lists: it grows with their number."""
    gini: float | None = None
    """How unevenly the lists fall on the catalogue: 0 is even, near 1 the same items always."""


class Quality(Struct, tag_field="kind", tag="quality", kw_only=True, omit_defaults=True):
    """How one worker's slates did, over its latest tests (value of the ``metrics`` topic).

    A test is a user's first positive act on an item after a slate: was the item among the first ``k``, and how far up?
    Beside it what the most popular items would have got. Shares and means in [0, 1], higher is better. And what its
    latest ``lists`` were like, tested or not.
    """

    generation: str
    worker: str
    """Host and process."""
    ts: Ts
    k: int
    tests: int
    """Tests in the window: at most the latest 10,000."""
    hr: float
    ndcg: float
    popularity_hr: float
    popularity_ndcg: float
    lists: int = 0
    """Slates that ``slates`` is about: at most the latest 500."""
    slates: ListQuality | None = None
    popularity: ListQuality | None = None
    """Of the ``k`` most popular items as a list, the same for everybody."""


def pack_vector(vector: npt.NDArray[np.float32]) -> bytes:
    """``float32[d]`` to little-endian float16 bytes."""
    return vector.astype("<f2").tobytes()


def unpack_vector(data: bytes, dimensions: int) -> npt.NDArray[np.float32]:
    """The unit vector ``float32[d]`` in ``data``.

    Raises EventError if it has another dimension, is not finite or is zero.
    """
    if len(data) != 2 * dimensions:
        raise EventError(
            "bad-vector",
            f"vector: expected {dimensions} float16 values ({2 * dimensions} bytes), got {len(data)} bytes",
        )
    vector = np.frombuffer(data, "<f2").astype(np.float32)
    norm = float(np.linalg.norm(vector))
    if not 0.0 < norm < float("inf"):
        raise EventError("bad-vector", f"vector: expected finite and not zero, got norm {norm}")
    return vector / np.float32(norm)
