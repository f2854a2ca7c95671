"""One frame: the same bytes in the edge's log, on the wire, in the site's log and on a carried stick.

The layout is drawn in docs/formats/frame.md and frozen by golden bytes in tests/formats. A frame
file reads by itself: before the samples of an epoch stands its dictionary, and a dictionary is said
again at the start of each segment.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from enum import IntEnum
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec
import pyarrow as pa

from isthmus.model.errors import StoreDamaged
from isthmus.model.records import Record
from isthmus.model.records import decode as decode_records
from isthmus.model.records import encode as encode_records
from isthmus.model.samples import TagInfo, ValueKind, kind_of

MAGIC: Final = b"ISF1"
HEADER: Final = struct.Struct("<4sIIIQQqIHH")
"""magic, payload length, crc32, source, epoch, seq, first time ns, rows, kind, flags: 48 bytes."""
_LARGEST: Final = (1 << 63) - 1
MAX_PAYLOAD: Final = 64 * 1024 * 1024
_CRC_AT: Final = 8
_ZSTD: Final = pa.Codec("zstd", compression_level=3)


class FrameKind(IntEnum):
    """What a frame's payload is."""

    DICTIONARY = 1
    """msgpack array of [tag number, TagInfo], and the source's name; it has no seq of its own."""
    SAMPLES = 2
    """columns of one value kind"""
    RECORDS = 3
    """msgpack array of records"""
    WAVEFORM = 4
    """bursts of fast signals, see bursts.py"""
    CHAINED = 5
    """records in the site's log, behind the hash of the frame before; see docs/formats/log.md"""


_KINDS: Final = frozenset(int(kind) for kind in FrameKind)


class Frame(NamedTuple):
    """A frame with its payload still packed. (source, epoch, seq) names it for ever."""

    source: int
    epoch: int
    seq: int
    first_ns: int
    rows: int
    kind: FrameKind
    payload: bytes


class Head(NamedTuple):
    """What a frame's header says: all but the payload, and in the same order as in `Frame`."""

    source: int
    epoch: int
    seq: int
    first_ns: int
    rows: int
    kind: FrameKind


class Dictionary(msgspec.Struct, frozen=True, array_like=True):
    """The payload of a dictionary frame: who the source is and what its tags are."""

    source: str
    """Name of the [[source]] in the plant file."""
    plant: str
    """Path of the plant."""
    tags: tuple[tuple[int, TagInfo], ...]
    """Tag number in this epoch, and what it is. A later dictionary of the epoch adds to it."""


def source_id(name: str) -> int:
    """The number of a source on the wire: the first 32 bits of the BLAKE2b of its name.

    The plant file's check refuses two names with one number.
    """
    return int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "little")


def pack(frame: Frame) -> bytes:
    """The frame's bytes: header, checksum over all behind it, payload."""
    head = HEADER.pack(
        MAGIC,
        len(frame.payload),
        0,
        frame.source,
        frame.epoch,
        frame.seq,
        frame.first_ns,
        frame.rows,
        frame.kind,
        0,
    )
    crc = zlib.crc32(frame.payload, zlib.crc32(head[_CRC_AT + 4 :], zlib.crc32(head[:_CRC_AT])))
    return head[:_CRC_AT] + crc.to_bytes(4, "little") + head[_CRC_AT + 4 :] + frame.payload


def head_at(data: bytes | memoryview, offset: int = 0) -> tuple[Head, int]:
    """The head of the frame at `offset`, whose checksum holds, and the offset behind the frame.

    Raises EOFError when the data ends within the frame, StoreDamaged when the bytes are not a frame.
    """
    if len(data) - offset < HEADER.size:
        raise EOFError
    magic, length, crc, source, epoch, seq, first_ns, rows, kind, _flags = HEADER.unpack_from(data, offset)
    if magic != MAGIC or length > MAX_PAYLOAD:
        msg = f"no frame at offset {offset}: it begins with {magic!r}"
        raise StoreDamaged(msg)
    end = offset + HEADER.size + length
    if end > len(data):
        raise EOFError
    view = memoryview(data)
    found = zlib.crc32(view[offset + _CRC_AT + 4 : end], zlib.crc32(view[offset : offset + _CRC_AT]))
    if found != crc or kind not in _KINDS:
        msg = f"the frame at offset {offset} (source {source}, seq {seq}) fails its checksum"
        raise StoreDamaged(msg)
    return Head(source, epoch, seq, first_ns, rows, FrameKind(kind)), end


def unpack_from(data: bytes | memoryview, offset: int = 0) -> tuple[Frame, int]:
    """The frame at `offset` and the offset behind it. Raises as `head_at` does."""
    head, end = head_at(data, offset)
    return Frame(*head, bytes(memoryview(data)[offset + HEADER.size : end])), end


def unpack_all(data: bytes | memoryview) -> Iterator[Frame]:
    """Every frame of a run of frames. Raises StoreDamaged, also when the last one is not whole."""
    offset = 0
    while offset < len(data):
        try:
            frame, offset = unpack_from(data, offset)
        except EOFError:
            msg = f"the run of frames ends within the frame at offset {offset}"
            raise StoreDamaged(msg) from None
        yield frame


def of_samples(source: int, epoch: int, seq: int, batch: pa.RecordBatch) -> Frame:
    """A frame of samples, or of bursts; `batch` as made by model.samples.columns or waveforms.bursts."""
    from isthmus.wire import bursts, columns  # noqa: PLC0415  pyarrow's compute, which a store of records never needs

    time_ns = batch.column("time_ns")
    first_ns = time_ns[0].as_py() if batch.num_rows else 0
    if kind_of(batch) is ValueKind.WAVEFORM:
        kind, raw = FrameKind.WAVEFORM, bursts.encode(batch)
    else:
        kind, raw = FrameKind.SAMPLES, columns.encode(batch)
    return Frame(source, epoch, seq, first_ns, batch.num_rows, kind, _deflate(raw))


def of_records(source: int, epoch: int, seq: int, records: Sequence[Record]) -> Frame:
    """A frame of records."""
    first_ns = records[0].time_ns if records else 0
    payload = _deflate(encode_records(records))
    return Frame(source, epoch, seq, first_ns, len(records), FrameKind.RECORDS, payload)


def of_dictionary(source: int, epoch: int, seq: int, dictionary: Dictionary) -> Frame:
    """A frame of a dictionary; `seq` is that of the frame that follows it."""
    payload = _deflate(msgspec.msgpack.encode(dictionary))
    return Frame(source, epoch, seq, 0, len(dictionary.tags), FrameKind.DICTIONARY, payload)


def samples(frame: Frame) -> pa.RecordBatch:
    """The columns of a frame of samples or of bursts. Raises StoreDamaged when its payload does not decode."""
    from isthmus.wire import bursts, columns  # noqa: PLC0415  as above

    decode = bursts.decode if frame.kind is FrameKind.WAVEFORM else columns.decode
    try:
        return decode(_inflate(frame), frame.rows)
    except (ValueError, struct.error, pa.ArrowException) as error:
        msg = f"the samples of source {frame.source}, seq {frame.seq} do not decode: {error}"
        raise StoreDamaged(msg) from error


def records(frame: Frame) -> list[Record]:
    """The records of a frame of records. Raises StoreDamaged when its payload does not decode.

    Numbers are of 64 bits with a sign, as stores keep them; msgpack could carry larger ones.
    """
    try:
        found = decode_records(_inflate(frame))
    except (msgspec.MsgspecError, pa.ArrowException, ValueError) as error:
        msg = f"the records of source {frame.source}, seq {frame.seq} do not decode: {error}"
        raise StoreDamaged(msg) from error
    if _too_large(msgspec.to_builtins(found)):
        msg = f"the records of source {frame.source}, seq {frame.seq} have a number beyond 64 bits with a sign"
        raise StoreDamaged(msg)
    return found


def unpacked(frame: Frame) -> bytes:
    """The msgpack of a frame of records, for whoever keeps kinds that it does not know. Raises StoreDamaged."""
    try:
        return _inflate(frame)
    except ValueError as error:
        msg = f"the records of source {frame.source}, seq {frame.seq} do not unpack: {error}"
        raise StoreDamaged(msg) from error


def dictionary(frame: Frame) -> Dictionary:
    """The dictionary of a dictionary frame. Raises StoreDamaged when its payload does not decode."""
    try:
        return msgspec.msgpack.decode(_inflate(frame), type=Dictionary)
    except (msgspec.MsgspecError, pa.ArrowException, ValueError) as error:
        msg = f"the dictionary of source {frame.source} does not decode: {error}"
        raise StoreDamaged(msg) from error


def _deflate(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "little") + _ZSTD.compress(raw, asbytes=True)


def _too_large(what: object) -> bool:
    """Whether a whole number beyond 64 bits with a sign stands anywhere in what was decoded."""
    if isinstance(what, dict):
        return any(_too_large(value) for value in what.values())
    if isinstance(what, list):
        return any(_too_large(value) for value in what)
    return isinstance(what, int) and what > _LARGEST


def _inflate(frame: Frame) -> bytes:
    size = int.from_bytes(frame.payload[:4], "little")
    if size > MAX_PAYLOAD:
        msg = f"a payload of {size} bytes is more than a frame may hold"
        raise ValueError(msg)
    try:
        return _ZSTD.decompress(memoryview(frame.payload)[4:], decompressed_size=size, asbytes=True)
    except OSError as error:
        # Arrow says OSError for bytes that are no zstd; a caller would take that for a fault of the disk.
        raise ValueError(str(error)) from error
