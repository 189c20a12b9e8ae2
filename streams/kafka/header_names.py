"""Header names that are not UTF-8, which Kafka's protocol forbids and brokers let pass.

aiokafka raises on them, for ever at the same offset: one producer that writes Latin-1 would stop every reader of its
topic. Here such a name is read with U+FFFD in place of what cannot be decoded. Only a fetch that holds one is decoded
so, which is slow; all others are decoded as ever.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy


class _Bytes(bytearray):
    """Decodes whatever it holds, and so do its slices."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Bytes(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer: bytearray = _Bytes(self._buffer)


class _LenientRecords(_MemoryRecordsPy):  # type: ignore[misc]
    def next_batch(self) -> Any:
        batch = self._next_slice
        if batch is None or batch[self.MAGIC_OFFSET] < 2:  # older formats know no headers
            return super().next_batch()
        self._cache_next()
        return _LenientBatch(batch)


class _Records(MemoryRecords):  # type: ignore[misc]
    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    def _unpack_records(self) -> Iterator[Any]:
        try:
            yield from super()._unpack_records()
        except UnicodeDecodeError:
            self._records: Any = _LenientRecords(self._records.data)
            yield from super()._unpack_records()  # goes on at self.next_fetch_offset


def accept_any() -> None:
    """From now on every consumer of this process reads them."""
    fetcher.MemoryRecords = _Records
    fetcher.PartitionRecords = _PartitionRecords
