"""Record batches with something wrong in them, without a broker."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import codec
from kafka.record import MemoryRecords, MemoryRecordsBuilder
from kafka.record.util import calc_crc32c

from pipeline.batches import Batches, HeaderKey, Unread, decompressed

Header = tuple[str, bytes | None]
CODECS = {0: None, 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}


def batch(
    values: Sequence[bytes | None], kind: int = 0, base: int = 100, headers: Sequence[Header] = ()
) -> bytearray:
    """A batch as a broker keeps it, with offsets from `base`."""
    builder = MemoryRecordsBuilder(magic=2, compression_type=kind, batch_size=1 << 30)
    for value in values:
        builder.append(1000, b"k", value, [(n, v) for n, v in headers])
    builder.close()
    made = bytearray(builder.buffer())
    made[:8] = base.to_bytes(8, "big")
    return made


def resealed(made: bytearray) -> bytearray:
    """The batch with a checksum that fits its bytes."""
    made[17:21] = calc_crc32c(memoryview(made)[21:]).to_bytes(4, "big")
    return made


def read(data: bytes | bytearray, again: bool = False) -> tuple[list[Any], list[Any]]:
    """The records, and what was reported."""
    reports: list[tuple[int, int, str]] = []
    found: list[Any] = []
    batches = Batches(
        MemoryRecords(bytes(data)), lambda at: again, lambda *what: reports.append(what)
    )
    while (each := batches.next_batch()) is not None:
        assert each.validate_crc()
        found += each
    return found, reports


def unread(records: Sequence[Any]) -> list[tuple[int, int]]:
    """First and last offset of what could not be read."""
    return [(r.headers.first, r.offset) for r in records if isinstance(r.headers, Unread)]


@pytest.mark.parametrize("kind", CODECS)
def test_every_codec_is_read(kind: int) -> None:
    values = [os.urandom(50) * 40 for _ in range(20)]
    found, reports = read(batch(values, kind) + batch([b"x"], kind, base=120))
    assert [record.value for record in found] == [*values, b"x"]
    assert [record.offset for record in found] == [*range(100, 121)]
    assert not reports


def test_the_name_of_a_header_need_not_be_text() -> None:
    headers: list[Header] = [(HeaderKey(b"\xff\x00"), b"x"), ("good", None), ("good", b"")]
    found, reports = read(batch([b"1", None], headers=headers))
    for record in found:
        assert [(n.encode(), v) for n, v in record.headers] == [
            (b"\xff\x00", b"x"),
            (b"good", None),
            (b"good", b""),
        ]
    assert [record.value for record in found] == [b"1", None]
    assert not reports


def test_a_wrong_checksum_is_fetched_again_and_then_stepped_over() -> None:
    hurt = batch([b"a" * 100, b"b"])
    hurt[-20] ^= 1
    data = batch([b"z"], base=99) + hurt + batch([b"c"], base=110)
    found, reports = read(data, again=True)
    assert [record.value for record in found] == [b"z"]
    found, reports = read(data)
    assert [record.value for record in found] == [b"z", None, b"c"]
    # What is between two batches was compacted away.
    assert unread(found) == [(100, 109)]
    assert reports[0][:2] == (100, 109)
    assert "checksum" in reports[0][2]


def test_a_number_of_records_that_is_damaged_itself_skips_nothing() -> None:
    hurt = batch([b"a", b"b"])
    hurt[23:27] = (1 << 30).to_bytes(4, "big")
    found, _ = read(hurt)
    assert unread(found) == [(100, 100)]


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_what_cannot_be_decompressed_is_stepped_over_as_a_batch(kind: int) -> None:
    hurt = batch([os.urandom(40) * 30 for _ in range(5)], kind)
    hurt[80:120] = bytes(40)
    found, reports = read(resealed(hurt) + batch([b"c"], base=105))
    assert found[-1].value == b"c"
    assert unread(found)[0][0] == 100
    assert unread(found)[-1][1] == 104
    assert reports


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_a_batch_that_would_take_all_memory_is_not_unpacked(kind: int) -> None:
    found, [report] = read(batch([bytes(70 << 20)], kind))
    assert unread(found) == [(100, 100)]
    assert report[2] == "cannot be decompressed: it is larger than 32 MiB"


def test_an_unknown_codec_is_said() -> None:
    made = batch([b"x"])
    made[22] |= 6
    _, [report] = read(resealed(made))
    assert report[2] == "cannot be decompressed: the codec 6 is unknown"


def test_a_record_with_nonsense_inside_costs_that_record() -> None:
    made = batch([b"a" * 30, b"b" * 30, b"c" * 30])
    at = made.index(b"b" * 30)
    made[at - 1] = 0x7F  # the length of the value
    found, reports = read(resealed(made))
    assert [record.value for record in found] == [b"a" * 30, None, b"c" * 30]
    assert unread(found) == [(101, 101)]
    assert len(reports) == 1


def test_where_no_record_can_be_told_from_the_next_the_rest_is_stepped_over() -> None:
    made = batch([b"a" * 30, b"b" * 30, b"c" * 30])
    at = made.index(b"b" * 30)
    made[at - 6 - 1] = 0xFF  # the length of the record
    found, _ = read(resealed(made))
    assert found[0].value == b"a" * 30
    assert unread(found)[-1][1] == 102


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(sorted(CODECS)),
    at=st.integers(61, 400),
    junk=st.binary(min_size=1, max_size=40),
    sealed=st.booleans(),
)
def test_whatever_is_in_a_batch_its_offsets_are_answered_and_what_follows_is_read(
    kind: int, at: int, junk: bytes, sealed: bool
) -> None:
    made = batch([b"value %d" % n * 9 for n in range(8)], kind, headers=[("h", b"v"), ("n", None)])
    size = len(made)
    at = min(at, size - 1)
    made[at : at + len(junk)] = junk[: size - at]
    if sealed:
        resealed(made)
    found, _ = read(made + batch([b"next"], base=108))
    assert found[-1].value == b"next"
    offsets = [record.offset for record in found]
    assert offsets == sorted(offsets)
    answered = {o for first, last in unread(found) for o in range(first, last + 1)}
    assert set(range(100, 109)) <= answered | set(offsets)


@settings(max_examples=300, deadline=None)
@given(kind=st.integers(0, 7), data=st.binary(max_size=300))
def test_a_codec_takes_any_bytes(kind: int, data: bytes) -> None:
    try:
        decompressed(kind, data)
    except Exception as error:  # noqa: BLE001 (any that is caught where it is called)
        assert str(error) or repr(error)


@pytest.mark.parametrize("kind", [1, 3, 4])
def test_more_than_one_frame_is_read(kind: int) -> None:
    encode = {1: codec.gzip_encode, 3: codec.lz4_encode, 4: codec.zstd_encode}[kind]
    assert decompressed(kind, encode(b"a" * 99) + encode(b"b" * 99)) == b"a" * 99 + b"b" * 99
