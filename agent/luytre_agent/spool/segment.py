"""One file of the spool: how it is laid out, and how it is read after any kind of end.

A segment is an append-only file `NNNNNNNNNNNNNNNN.seg`; the name is its number in hexadecimal, ascending. All
integers are little-endian.

    header, 24 bytes     offset  size
      magic                   0     8   "LUYTRESP"
      version                 8     2   2
      class                  10     2   1 first, 2 second, 3 last (`classes.py`): of all batches in here
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
      appended               46     8   when, microseconds since 1970 by the host's clock
      table, stream          54         UTF-8
      batch                             a serialized `luytre.wire.v1.Batch`, sent as it is

Version 1 had no classes (0 in the header; its segments mix tables and count as first, so that no login in them goes
early) and no `appended`. It is read, and written no more. Agents that know only version 1 say so and do not start.

A record is accepted when all of it was written. What a crash can leave is a *torn tail*: a last record that is shorter
than its length says. Nobody was told that it was accepted, so it is cut off. Anything else that does not check is
*corruption* (a bad disk, a foreign hand): the reader looks for the next mark and goes on there, so that one bad record
costs one record. The mark is random so that no captured payload can pass for a record.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass, replace

from luytre_agent.batch import Key
from luytre_agent.spool.classes import NAMES

MAGIC = b"LUYTRESP"
VERSION = 2
#: Versions that can be read.
KNOWN = (1, 2)
MARK_SIZE = 8
#: Largest length field that is believed: a batch of the largest size, and its envelope.
MAX_LENGTH = 80 * 1024 * 1024

_HEADER = struct.Struct("<8sHH8s")
HEADER_SIZE = _HEADER.size + 4
_PREFIX = struct.Struct("<8sII")
PREFIX_SIZE = _PREFIX.size
_KEY = struct.Struct("<16sQIBBQ")
_KEY_1 = struct.Struct("<16sQIBB")
#: What may be read at the beginning of a record to know everything but the batch.
HEAD_SIZE = PREFIX_SIZE + _KEY.size + 2 * 255


@dataclass(frozen=True, slots=True)
class Record:
    """One batch in a segment. Its rows are numbered `first` to `last`; it fills the bytes `offset` to `end`; it was
    appended at `appended_us`, microseconds since 1970, 0 if that is not known."""

    key: Key
    table: str
    first: int
    rows: int
    batch: bytes
    offset: int = 0
    end: int = 0
    appended_us: int = 0

    @property
    def last(self) -> int:
        """The number of the last row."""
        return self.first + self.rows - 1


def header(mark: bytes, rank: int) -> bytes:
    """The first bytes of a segment of class `rank`."""
    fields = _HEADER.pack(MAGIC, VERSION, rank + 1, mark)
    return fields + zlib.crc32(fields).to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says; `version` is 0 if it is not sound."""

    mark: bytes
    version: int
    rank: int


def read_header(data: bytes) -> Header:
    """The header at the beginning of `data`."""
    fields = data[: _HEADER.size]
    if len(data) < HEADER_SIZE or zlib.crc32(fields) != int.from_bytes(data[_HEADER.size : HEADER_SIZE], "little"):
        return Header(b"", 0, 0)
    magic, version, code, mark = _HEADER.unpack(fields)
    if magic != MAGIC:
        return Header(b"", 0, 0)
    return Header(mark, version, min(max(code - 1, 0), len(NAMES) - 1))


def pack(mark: bytes, record: Record) -> bytes:
    """The record as bytes. ValueError if a name or the batch is too long."""
    table, stream = record.table.encode(), record.key.stream.encode()
    if len(table) > 255 or len(stream) > 255:
        raise ValueError("table or stream name longer than 255 bytes")
    boot = uuid.UUID(record.key.boot_id).bytes
    fields = _KEY.pack(boot, record.first, record.rows, len(table), len(stream), record.appended_us)
    length = len(fields) + len(table) + len(stream) + len(record.batch)
    if length > MAX_LENGTH:
        raise ValueError(f"batch of {length} bytes; the most is {MAX_LENGTH}")
    body = b"".join((fields, table, stream, record.batch))
    crc = zlib.crc32(body, zlib.crc32(length.to_bytes(4, "little")))
    return _PREFIX.pack(mark, length, crc) + body


def packed_size(record: Record) -> int:
    """How many bytes `pack` will make of it."""
    names = len(record.table.encode()) + len(record.key.stream.encode())
    return PREFIX_SIZE + _KEY.size + names + len(record.batch)


def length_of(prefix: bytes, mark: bytes) -> int | None:
    """Bytes that follow a record's prefix; None if this is not the beginning of a record."""
    if len(prefix) < PREFIX_SIZE:
        return None
    found, length, _ = _PREFIX.unpack_from(prefix)
    return length if found == mark and _KEY_1.size <= length <= MAX_LENGTH else None


def unpack(data: bytes | memoryview, offset: int, mark: bytes, version: int = VERSION) -> Record | None:
    """The record at `offset` of `data`; None if there is no whole and sound one."""
    view = memoryview(data)
    length = length_of(bytes(view[offset : offset + PREFIX_SIZE]), mark)
    if length is None or offset + PREFIX_SIZE + length > len(view):
        return None
    start, end = offset + PREFIX_SIZE, offset + PREFIX_SIZE + length
    crc = _PREFIX.unpack_from(view, offset)[2]
    if zlib.crc32(view[start:end], zlib.crc32(view[offset + MARK_SIZE : offset + MARK_SIZE + 4])) != crc:
        return None
    found = _unpack_key(view[start:end], version)
    if found is None:
        return None
    record, names = found
    return replace(record, batch=bytes(view[start + names : end]), offset=offset, end=end)


def peek(head: bytes, mark: bytes, version: int, offset: int) -> Record | None:
    """The record that begins with `head` (`HEAD_SIZE` bytes of it, if there are so many), without its batch and
    unchecked; None if no record begins so."""
    length = length_of(head[:PREFIX_SIZE], mark)
    found = _unpack_key(memoryview(head)[PREFIX_SIZE:], version) if length is not None else None
    if length is None or found is None:
        return None
    return replace(found[0], offset=offset, end=offset + PREFIX_SIZE + length)


def _unpack_key(view: memoryview, version: int) -> tuple[Record, int] | None:
    """A record without its batch, and the size of what describes it."""
    key = _KEY_1 if version == 1 else _KEY
    if len(view) < key.size:
        return None
    boot, first, rows, table_size, stream_size, *appended = key.unpack_from(view)
    names = key.size + table_size + stream_size
    if rows == 0 or names > len(view):
        return None
    try:
        table = bytes(view[key.size : key.size + table_size]).decode()
        stream = bytes(view[key.size + table_size : names]).decode()
    except UnicodeDecodeError:
        return None
    named = Key(str(uuid.UUID(bytes=boot)), stream)
    return Record(named, table, first, rows, b"", appended_us=appended[0] if appended else 0), names


@dataclass(frozen=True, slots=True)
class Scan:
    """What a segment holds.

    end: the byte after the last sound record.
    torn: bytes of a torn tail, to be cut off.
    corrupt: bytes that are neither a sound record nor a torn tail.
    version: of the header; 0 if the header itself is not sound.
    rank: the class.
    damage: where the corrupt bytes are: offsets and sizes.
    """

    mark: bytes
    records: tuple[Record, ...]
    end: int
    torn: int
    corrupt: int
    version: int = VERSION
    rank: int = 0
    damage: tuple[tuple[int, int], ...] = ()


def scan(data: bytes) -> Scan:
    """Read a whole segment, whatever it holds."""
    if len(data) < HEADER_SIZE:
        return _scan_stump(data)
    head = read_header(data)
    if head.version == 0:
        return Scan(b"", (), 0, 0, len(data), version=0, damage=((0, len(data)),))
    if head.version not in KNOWN:
        return Scan(head.mark, (), HEADER_SIZE, 0, 0, version=head.version)
    mark, version = head.mark, head.version
    records: list[Record] = []
    damage: list[tuple[int, int]] = []
    position = HEADER_SIZE
    while position < len(data):
        record = unpack(data, position, mark, version)
        if record is not None:
            records.append(record)
            position = record.end
            continue
        resume = _next_sound(data, position + 1, mark, version)
        if resume is None:
            break
        damage.append((position, resume - position))
        position = resume
    tail = len(data) - position
    torn = tail if _is_torn(data, position, mark) else 0
    if tail > torn:
        damage.append((position, tail))
    corrupt = sum(size for _, size in damage)
    return Scan(mark, tuple(records), position, torn, corrupt, version, head.rank, tuple(damage))


def _scan_stump(data: bytes) -> Scan:
    """A file that is shorter than a header: the beginning of one, or something else."""
    begun = any(data[:10] == _HEADER.pack(MAGIC, version, 0, b"")[:10][: len(data)] for version in KNOWN)
    return Scan(b"", (), 0, len(data), 0) if begun else Scan(b"", (), 0, 0, len(data), damage=((0, len(data)),))


def _next_sound(data: bytes, start: int, mark: bytes, version: int) -> int | None:
    while (start := data.find(mark, start)) >= 0:
        if unpack(data, start, mark, version) is not None:
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
