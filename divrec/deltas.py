"""What the model learns from events, as it travels through the model log (MessagePack arrays).

A Delta holds what ``Model.apply`` needs and nothing of the profile beyond it. Fields are only ever appended, with
defaults, so that older records stay readable.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from divrec.errors import DeltaError
from divrec.events import Id, Ts
from divrec.interest.keywords import WORDS_PER_EVENT
from divrec.rank.weights import is_lesson
from divrec.text.review_head import ReviewSample

MAX_RECENT = 500
MAX_DELTAS = 10_000
MAX_LESSON = 1_025
MAX_VERDICT = 16


class RatedReview(Struct, array_like=True, frozen=True):
    """What the review head learns."""

    sample: ReviewSample
    feedback: Annotated[float, Meta(ge=-1, le=1)]
    """Of the rating: where it stands on the configured scale."""


class Delta(Struct, array_like=True, frozen=True):
    """One interaction: ``item_id`` after ``recent`` (the user's items before it, newest first, each once)."""

    offset: Annotated[int, Meta(ge=0)]
    """Position in the ``events`` partition: replicas skip what is not ahead of the last one applied."""
    item_id: Id
    weight: Annotated[float, Meta(gt=0, le=1)]
    ts: Ts
    recent: Annotated[list[Id], Meta(max_length=MAX_RECENT)]
    liked: bool = True
    """False for what was rated low: it is an interaction all the same."""
    unliked: Annotated[bytes, Meta(max_length=(MAX_RECENT + 7) // 8)] = b""
    """Which of ``recent`` were not liked: bit n mod 8 of byte n div 8, zeros at the end left out."""
    user: Annotated[int, Meta(ge=0)] = 0
    """A hash of the user's id, 0 if not told: similar users are looked for among the latest."""
    lesson: Annotated[bytes, Meta(max_length=MAX_LESSON)] = b""
    """What the blend learns from it (``rank.weights``): a context and a gradient, empty if nothing."""
    review: RatedReview | None = None
    """A review that came with a rating: at most 13 kB."""
    words: Annotated[bytes, Meta(max_length=4 * WORDS_PER_EVENT)] = b""
    """Hashes of the words that became keywords of the user, uint32 little-endian: catalogues may differ in time."""
    verdict: Annotated[bytes, Meta(max_length=MAX_VERDICT)] = b""
    """What it says about diversity (``rank.strength``): a context and two places, empty if nothing."""


class ModelLogRecord(Struct, array_like=True, frozen=True):
    """The deltas of one batch and ``events`` partition, in the order of their offsets."""

    partition: Annotated[int, Meta(ge=0)]
    deltas: Annotated[list[Delta], Meta(max_length=MAX_DELTAS)]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ModelLogRecord)


def encode_record(record: ModelLogRecord) -> bytes:
    return _encoder.encode(record)


def decode_record(data: bytes) -> ModelLogRecord:
    """Raises DeltaError if the record breaks its bounds or its deltas are not in order."""
    try:
        record = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DeltaError(f"model-log record: expected a ModelLogRecord, got {len(data)} bytes: {error}") from None
    last = -1
    for delta in record.deltas:
        if delta.offset <= last:
            raise DeltaError(f"model-log record: expected rising offsets, got {delta.offset} after {last}")
        last = delta.offset
        if not is_lesson(delta.lesson):
            raise DeltaError(f"model-log record: expected a lesson, got {len(delta.lesson)} bytes that are none")
        if len(delta.words) % 4 or (delta.review is not None and len(delta.review.sample.words) % 4):
            raise DeltaError("model-log record: expected hashes of words, of 4 bytes each")
    return record
