"""Record batches as the broker keeps them, read in spite of what is wrong inside one.

kafka-python and the Java client stop at the first record or batch that they cannot read, for as
long as it is kept. Here such a record, or the batch where no record can be told from the next, is
stepped over: a record without key and value stands for it, whose headers are an `Unread`.

Format: https://kafka.apache.org/documentation/#recordbatch
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import zstandard
from kafka import codec
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint
from lz4.frame import LZ4FrameDecompressor

LARGEST_BATCH_BYTES = 32 << 20
"""Decompressed. A broker limits a batch as it is sent, and 2 MB of zeros take 2 kB."""
_CHUNK = 1 << 20
_FAR = 1_000_000
"""More records are in no batch that a client would write."""


class Unread(list[Any]):
    """Headers, none, of a record that stands for records which cannot be read.

    The record's offset is that of the last of them.
    """

    def __init__(self, reason: str, first: int) -> None:
        super().__init__()
        self.reason = reason
        self.first = first
        """Offset of the first of them."""


class HeaderKey(str):
    """Name of a header that is not UTF-8: `encode` gives its own bytes back."""

    raw: bytes

    def __new__(cls, raw: bytes) -> HeaderKey:
        made = super().__new__(cls, raw.decode("utf-8", "replace"))
        made.raw = raw
        return made

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """The bytes that were read."""
        return self.raw


class Batches:
    """kafka-python's `MemoryRecords`, of which no batch raises.

    Args:
        again: whether a batch at this offset whose checksum is wrong is to be fetched once more
            (it may have been hurt on its way); asked once a fetch.
        report: told of everything that is stepped over: first and last offset, and the reason.
    """

    def __init__(
        self, records: Any, again: Callable[[int], bool], report: Callable[[int, int, str], None]
    ) -> None:
        self._records = records
        self._again = again
        self._report = report

    def next_batch(self) -> Any:
        """The next batch; None after the last, and where it has to be fetched again."""
        batch = self._records.next_batch()
        if batch is None:
            return None
        if batch.validate_crc():
            return _Batch(batch, self._report)
        if self._again(batch.base_offset):
            return None
        return _Damaged(batch, self._records._next_slice, self._report)


class _Batch:
    """A batch whose bytes are as they were written."""

    def __init__(self, batch: Any, report: Callable[[int, int, str], None]) -> None:
        self._batch = batch
        self._report = report

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def validate_crc(self) -> bool:
        """It was looked at already."""
        return True

    def __iter__(self) -> Iterator[Any]:
        if self._batch.magic < 2:
            yield from self._legacy()
            return
        batch, after = self._batch, self._batch.base_offset
        try:
            _decompress(batch)
        except Exception as error:  # noqa: BLE001 (whatever a codec says of foreign bytes)
            yield self._unread(after, batch.last_offset, f"cannot be decompressed: {_said(error)}")
            return
        left = batch.records_count
        # Nothing of it was compacted away, so that offsets follow each other.
        dense = left == batch.last_offset_delta + 1
        while left > 0:
            begin = batch._pos
            try:
                record = batch._read_msg()
            except Exception as error:  # noqa: BLE001 (kafka-python knows what it raises)
                end = _end(batch, begin)
                if end is None:
                    reason = f"cannot be told apart: {_said(error)}"
                    yield self._unread(after, max(after, batch.last_offset), reason)
                    return
                due = after if dense else _offset(batch, begin, after)
                record = self._patiently(begin, end, due, error)
                batch._pos = end
            left -= 1
            if after > batch.last_offset:
                return
            last = after if dense else batch.last_offset
            if not after <= record.offset <= last:
                record = self._unread(after, after, f"says that it is at {record.offset}")
            after = record.offset + 1
            yield record

    def _patiently(self, begin: int, end: int, due: int, error: Exception) -> Any:
        """The record between two places, or what stands for it."""
        try:
            return _record(self._batch, begin, end)
        except (ValueError, IndexError):
            return self._unread(due, due, f"is no record: {_said(error)}")

    def _legacy(self) -> Iterator[Any]:
        """A message set of Kafka before 0.11."""
        try:
            yield from self._batch
        except Exception as error:  # noqa: BLE001 (as above)
            at = self._batch.base_offset
            yield self._unread(at, at, f"cannot be read: {_said(error)}")

    def _unread(self, first: int, last: int, reason: str) -> DefaultRecord:
        self._report(first, last, reason)
        return _stand_in(self._batch, first, last, reason)


class _Damaged:
    """A batch whose checksum is wrong: nothing but its place is believed."""

    magic = 2
    is_control_batch = False
    is_transactional = False

    def __init__(self, batch: Any, following: Any, report: Callable[[int, int, str], None]) -> None:
        self._batch = batch
        self._report = report
        self.leader_epoch = getattr(batch, "leader_epoch", -1)
        self.base_offset = batch.base_offset
        last = batch.last_offset if batch.magic == 2 else batch.base_offset
        if following is not None:
            # What is between two batches was compacted away.
            last = int.from_bytes(following[:8], "big") - 1
        elif not 0 <= last - batch.base_offset < _FAR:
            last = batch.base_offset
        self.last_offset = max(last, batch.base_offset)
        self.next_offset = self.last_offset + 1

    def has_producer_id(self) -> bool:
        """Whether it is of a transaction is not known."""
        return False

    def validate_crc(self) -> bool:
        """It is answered for."""
        return True

    def __iter__(self) -> Iterator[Any]:
        reason = "are damaged: the checksum of their batch is wrong"
        self._report(self.base_offset, self.last_offset, reason)
        yield _stand_in(self._batch, self.base_offset, self.last_offset, reason)


def _stand_in(batch: Any, first: int, last: int, reason: str) -> DefaultRecord:
    timestamp = batch.max_timestamp if isinstance(batch, DefaultRecordBatch) else -1
    return DefaultRecord(0, last, timestamp, 0, None, None, Unread(reason, first))


def _said(error: Exception) -> str:
    """What the reader of a reason needs: our own words as they are, a codec's with its name."""
    if isinstance(error, IndexError):
        return "it ends too early"
    if type(error) is ValueError:
        return str(error)[:300]
    return f"{type(error).__name__}: {error}"[:300]


def _end(batch: Any, begin: int) -> int | None:
    """Where the record that begins here ends; None where that is not in the batch."""
    try:
        length, pos = decode_varint(batch._buffer, begin)
    except (ValueError, IndexError):
        return None
    end: int = pos + length
    return end if length > 0 and end <= len(batch._buffer) else None


def _offset(batch: Any, begin: int, after: int) -> int:
    """The offset of a record that cannot be read: its own word, else the one that is due."""
    try:
        _, pos = decode_varint(batch._buffer, begin)
        _, pos = decode_varint(batch._buffer, pos + 1)
        delta, _ = decode_varint(batch._buffer, pos)
    except (ValueError, IndexError):
        return after
    offset: int = batch.base_offset + delta
    return offset if after <= offset <= batch.last_offset else after


def _record(batch: Any, begin: int, end: int) -> DefaultRecord:
    """The record between two places of a batch, with the names of its headers as they are.

    Raises:
        ValueError, IndexError: it is none.
    """
    buffer = batch._buffer
    _, pos = decode_varint(buffer, begin)
    delta_ms, pos = decode_varint(buffer, pos + 1)
    delta, pos = decode_varint(buffer, pos)
    key, pos = _bytes(buffer, pos, end)
    value, pos = _bytes(buffer, pos, end)
    count, pos = decode_varint(buffer, pos)
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        name, pos = _bytes(buffer, pos, end)
        held, pos = _bytes(buffer, pos, end)
        if name is None:
            raise ValueError("a header has no name")
        headers.append((_name(name), held))
    if pos != end or not 0 <= delta <= batch.last_offset_delta:
        raise ValueError("the parts of the record are not as long as the record")
    by_broker = batch.timestamp_type == batch.LOG_APPEND_TIME
    timestamp = batch.max_timestamp if by_broker else batch.first_timestamp + delta_ms
    offset = batch.base_offset + delta
    return DefaultRecord(end - begin, offset, timestamp, batch.timestamp_type, key, value, headers)


def _bytes(buffer: bytearray, pos: int, end: int) -> tuple[bytes | None, int]:
    length, pos = decode_varint(buffer, pos)
    if length < 0:
        return None, pos
    if pos + length > end:
        raise ValueError("a part of the record is longer than the record")
    return bytes(buffer[pos : pos + length]), pos + length


def _name(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return HeaderKey(raw)


def _decompress(batch: Any) -> None:
    """Decompress in place.

    Raises:
        Exception: of the codec's own kind, or ValueError.
    """
    if not batch._decompressed and batch.compression_type:
        data = bytes(memoryview(batch._buffer)[batch._pos :])
        batch._buffer = bytearray(decompressed(batch.compression_type, data))
        batch._pos = 0
    batch._decompressed = True


def decompressed(kind: int, data: bytes) -> bytes | bytearray:
    """The content of a batch, by the number of its codec.

    Raises:
        ValueError: it is larger than LARGEST_BATCH_BYTES, it is cut off, or of an unknown codec.
        Exception: what else a codec says of bytes that are not its own.
    """
    match kind:
        case DefaultRecordBatch.CODEC_GZIP:
            # What the end says of the size spares the work, and is not relied on.
            _refuse_large(int.from_bytes(data[-4:], "little"))
            return _in_frames(data, lambda: zlib.decompressobj(wbits=31))
        case DefaultRecordBatch.CODEC_SNAPPY:
            _refuse_large(_snappy_bytes(data))
            return codec.snappy_decode(data)  # type: ignore[no-any-return]
        case DefaultRecordBatch.CODEC_LZ4:
            return _in_frames(data, LZ4FrameDecompressor)
        case DefaultRecordBatch.CODEC_ZSTD:
            return _zstd(data)
    raise ValueError(f"the codec {kind} is unknown")


def _in_frames(data: bytes, make: Callable[[], Any]) -> bytearray:
    """All frames of a codec with the interface of `zlib.decompressobj`."""
    out = bytearray()
    while data:
        frame = make()
        while not frame.eof:
            chunk = frame.decompress(data, _CHUNK)
            data = getattr(frame, "unconsumed_tail", b"")
            if not chunk and not frame.eof and not data:
                raise ValueError("it is cut off")
            out += chunk
            _refuse_large(len(out))
        data = (frame.unused_data or b"").lstrip(b"\0")
    return out


def _zstd(data: bytes) -> bytearray:
    _refuse_large(zstandard.frame_content_size(data))
    out = bytearray()
    with zstandard.ZstdDecompressor().stream_reader(
        BytesIO(data), read_across_frames=True
    ) as reader:
        while chunk := reader.read(_CHUNK):
            out += chunk
            _refuse_large(len(out))
    return out


def _snappy_bytes(data: bytes) -> int:
    """How large it says that it is: raw, or in blocks as Java's library writes them."""
    if not codec._detect_xerial_stream(data):
        return _preamble(data, 0)
    size, pos = 0, 16
    while pos < len(data):
        size += _preamble(data, pos + 4)
        pos += 4 + int.from_bytes(data[pos : pos + 4], "big")
    return size


def _preamble(data: bytes, pos: int) -> int:
    size = shift = 0
    for byte in data[pos : pos + 5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return size
    raise ValueError("it is cut off")


def _refuse_large(size: int) -> None:
    if size > LARGEST_BATCH_BYTES:
        raise ValueError(f"it is larger than {LARGEST_BATCH_BYTES >> 20} MiB")
