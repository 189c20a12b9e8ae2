"""What the model learns from events, as it travels through the model log (MessagePack arrays).

A Delta holds what ``Model.apply`` needs and nothing of the profile beyond it. Fields are only ever appended, with
defaults, so that older records stay readable.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from divrec.errors import DeltaError
from divrec.events import Id, Ts

MAX_RECENT = 500
MAX_DELTAS = 10_000


class Delta(Struct, array_like=True, frozen=True):
    """One interaction: ``item_id`` after ``recent`` (the user's items before it, newest first, each once)."""

    offset: Annotated[int, Meta(ge=0)]
    """Position in the ``events`` partition: replicas skip what is not ahead of the last one applied."""
    item_id: Id
    weight: Annotated[float, Meta(gt=0, le=1)]
    ts: Ts
    recent: Annotated[list[Id], Meta(max_length=MAX_RECENT)]


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
    return record
