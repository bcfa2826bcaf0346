"""What an Arrow IPC stream would make the reader allocate, read from its headers alone.

Arrow can compress single buffers inside a message, with the uncompressed length written in front of each. The reader
believes that length, so 64 MiB of body could ask for terabytes. The wire compresses whole bodies only, so a message
with compressed buffers is refused before the reader sees it.

Format: https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format. Each message is the mark
0xFFFFFFFF, a 32-bit little-endian length, a flatbuffer `Message` of that length, and a body of `bodyLength` bytes.
"""

from __future__ import annotations

import struct

_CONTINUATION = 0xFFFFFFFF
_DICTIONARY_BATCH = 2  # the union MessageHeader in Message.fbs
_RECORD_BATCH = 3
_MAX_MESSAGES = 4096


class BadStreamError(ValueError):
    """Not an Arrow IPC stream, or one that the wire does not allow."""


def check(stream: memoryview) -> None:
    """Raise BadStreamError unless `stream` is a run of whole, uncompressed messages with exactly one record batch."""
    position = 0
    batches = 0
    try:
        for _ in range(_MAX_MESSAGES):
            if position == len(stream):
                break
            mark, length = struct.unpack_from("<II", stream, position)
            if mark != _CONTINUATION:
                raise BadStreamError(f"no Arrow message at byte {position}")
            position += 8
            if length == 0:
                break
            kind, body, compressed = _message(stream[position : position + length])
            if compressed:
                raise BadStreamError("Arrow buffers are compressed; compress the whole body instead")
            batches += kind == _RECORD_BATCH
            position += length + body
            if body < 0 or position > len(stream):
                raise BadStreamError("an Arrow message goes past the end of the body")
        else:
            raise BadStreamError(f"more than {_MAX_MESSAGES} Arrow messages")
    except struct.error:
        raise BadStreamError("an Arrow message header is cut short") from None
    if batches != 1:
        raise BadStreamError(f"{batches} record batches where one is due")


def _message(data: memoryview) -> tuple[int, int, bool]:
    """Header kind, body length, and whether buffers are compressed. Slots as in Message.fbs."""
    root = struct.unpack_from("<I", data)[0]
    kind_at = _slot(data, root, 1)
    header_at = _slot(data, root, 2)
    body_at = _slot(data, root, 3)
    kind = data[kind_at] if kind_at and kind_at < len(data) else 0
    body = struct.unpack_from("<q", data, body_at)[0] if body_at else 0
    if kind not in (_RECORD_BATCH, _DICTIONARY_BATCH) or not header_at:
        return kind, body, False
    table = header_at + struct.unpack_from("<I", data, header_at)[0]
    if kind == _DICTIONARY_BATCH:
        data_at = _slot(data, table, 1)
        if not data_at:
            return kind, body, False
        table = data_at + struct.unpack_from("<I", data, data_at)[0]
    return kind, body, bool(_slot(data, table, 3))


def _slot(data: memoryview, table: int, number: int) -> int:
    """Where field `number` of the flatbuffer table at `table` is; 0 if it is absent."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    if vtable < 0:
        raise BadStreamError("a flatbuffer points outside its message")
    size = struct.unpack_from("<H", data, vtable)[0]
    if 4 + 2 * number + 2 > size:
        return 0
    offset = struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0]
    return table + offset if offset else 0
