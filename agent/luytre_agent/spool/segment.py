"""One file of the spool: how it is laid out, and how it is read after any kind of end.

A segment is an append-only file `NNNNNNNNNNNNNNNN.seg`; the name is its number in hexadecimal, ascending. All
integers are little-endian.

    header, 24 bytes     offset  size
      magic                   0     8   "LUYTRESP"
      version                 8     2   1
      reserved               10     2   0
      mark                   12     8   random, one per segment
      crc                    20     4   CRC-32 (IEEE 802.3) of the 20 bytes before

    record, 16 bytes + length
      mark                    0     8   the segment's
      length                  8     4   bytes that follow the crc
      crc                    12     4   CRC-32 of the length field and of the bytes that follow
      boot_id                16    16   UUID of the numbering
      first_sequence         32     8
      rows                   40     4
      table length           44     1
      stream length          45     1
      table, stream          46         UTF-8
      batch                             a serialized `luytre.wire.v1.Batch`, sent as it is

A record is accepted when all of it was written. What a crash can leave is a *torn tail*: a last record that is shorter
than its length says. Nobody was told that it was accepted, so it is cut off. Anything else that does not check is
*corruption* (a bad disk, a foreign hand): the reader looks for the next mark and goes on there, so that one bad record
costs one record. The mark is random so that no captured payload can pass for a record.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass

from luytre_agent.batch import Key

MAGIC = b"LUYTRESP"
VERSION = 1
MARK_SIZE = 8
#: Largest length field that is believed: a batch of the largest size, and its envelope.
MAX_LENGTH = 80 * 1024 * 1024

_HEADER = struct.Struct("<8sHH8s")
HEADER_SIZE = _HEADER.size + 4
_PREFIX = struct.Struct("<8sII")
PREFIX_SIZE = _PREFIX.size
_KEY = struct.Struct("<16sQIBB")


@dataclass(frozen=True, slots=True)
class Record:
    """One batch in a segment. Its rows are numbered `first` to `last`; it fills the bytes `offset` to `end`."""

    key: Key
    table: str
    first: int
    rows: int
    batch: bytes
    offset: int = 0
    end: int = 0

    @property
    def last(self) -> int:
        """The number of the last row."""
        return self.first + self.rows - 1


def header(mark: bytes) -> bytes:
    """The first bytes of a segment."""
    fields = _HEADER.pack(MAGIC, VERSION, 0, mark)
    return fields + zlib.crc32(fields).to_bytes(4, "little")


def pack(mark: bytes, record: Record) -> bytes:
    """The record as bytes. ValueError if a name or the batch is too long."""
    table, stream = record.table.encode(), record.key.stream.encode()
    if len(table) > 255 or len(stream) > 255:
        raise ValueError("table or stream name longer than 255 bytes")
    boot = uuid.UUID(record.key.boot_id).bytes
    fields = _KEY.pack(boot, record.first, record.rows, len(table), len(stream))
    length = len(fields) + len(table) + len(stream) + len(record.batch)
    if length > MAX_LENGTH:
        raise ValueError(f"batch of {length} bytes; the most is {MAX_LENGTH}")
    body = b"".join((fields, table, stream, record.batch))
    crc = zlib.crc32(body, zlib.crc32(length.to_bytes(4, "little")))
    return _PREFIX.pack(mark, length, crc) + body


def length_of(prefix: bytes, mark: bytes) -> int | None:
    """Bytes that follow a record's prefix; None if this is not the beginning of a record."""
    if len(prefix) < PREFIX_SIZE:
        return None
    found, length, _ = _PREFIX.unpack_from(prefix)
    return length if found == mark and _KEY.size <= length <= MAX_LENGTH else None


def unpack(data: bytes | memoryview, offset: int, mark: bytes) -> Record | None:
    """The record at `offset` of `data`; None if there is no whole and sound one."""
    view = memoryview(data)
    length = length_of(bytes(view[offset : offset + PREFIX_SIZE]), mark)
    if length is None or offset + PREFIX_SIZE + length > len(view):
        return None
    start, end = offset + PREFIX_SIZE, offset + PREFIX_SIZE + length
    crc = _PREFIX.unpack_from(view, offset)[2]
    if zlib.crc32(view[start:end], zlib.crc32(view[offset + MARK_SIZE : offset + MARK_SIZE + 4])) != crc:
        return None
    boot, first, rows, table_size, stream_size = _KEY.unpack_from(view, start)
    names = start + _KEY.size
    if rows == 0 or names + table_size + stream_size > end:
        return None
    try:
        table = bytes(view[names : names + table_size]).decode()
        stream = bytes(view[names + table_size : names + table_size + stream_size]).decode()
    except UnicodeDecodeError:
        return None
    batch = bytes(view[names + table_size + stream_size : end])
    return Record(Key(str(uuid.UUID(bytes=boot)), stream), table, first, rows, batch, offset, end)


@dataclass(frozen=True, slots=True)
class Scan:
    """What a segment holds.

    end: the byte after the last sound record.
    torn: bytes of a torn tail, to be cut off.
    corrupt: bytes that are neither a sound record nor a torn tail.
    version: of the header; 0 if the header itself is not sound.
    """

    mark: bytes
    records: tuple[Record, ...]
    end: int
    torn: int
    corrupt: int
    version: int = VERSION


def scan(data: bytes) -> Scan:
    """Read a whole segment, whatever it holds."""
    if len(data) < HEADER_SIZE:
        whole = header(b"\0" * MARK_SIZE)[:12]
        foreign = data[:12] != whole[: len(data)]
        return Scan(b"", (), 0, 0 if foreign else len(data), len(data) if foreign else 0)
    fields, crc = data[: _HEADER.size], int.from_bytes(data[_HEADER.size : HEADER_SIZE], "little")
    magic, version, _, mark = _HEADER.unpack(fields)
    if magic != MAGIC or zlib.crc32(fields) != crc:
        return Scan(b"", (), 0, 0, len(data), version=0)
    if version != VERSION:
        return Scan(mark, (), HEADER_SIZE, 0, 0, version=version)
    records: list[Record] = []
    position, corrupt = HEADER_SIZE, 0
    while position < len(data):
        record = unpack(data, position, mark)
        if record is not None:
            records.append(record)
            position = record.end
            continue
        resume = _next_sound(data, position + 1, mark)
        if resume is None:
            break
        corrupt += resume - position
        position = resume
    tail = len(data) - position
    torn = tail if _is_torn(data, position, mark) else 0
    return Scan(mark, tuple(records), position, torn, corrupt + tail - torn)


def _next_sound(data: bytes, start: int, mark: bytes) -> int | None:
    while (start := data.find(mark, start)) >= 0:
        if unpack(data, start, mark) is not None:
            return start
        start += 1
    return None


def _is_torn(data: bytes, position: int, mark: bytes) -> bool:
    """Whether the tail is the beginning of a record that goes on behind the end of the file."""
    tail = data[position : position + PREFIX_SIZE]
    if len(tail) < PREFIX_SIZE:
        return tail[:MARK_SIZE] == mark[: len(tail[:MARK_SIZE])]
    length = length_of(tail, mark)
    return length is not None and position + PREFIX_SIZE + length > len(data)
