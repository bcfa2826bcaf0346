"""ClickHouse's own compressed blocks, which `compress=1` asks for (the default of its JDBC driver).

16 bytes  CityHash128 (version 1.0.2) of what follows     1  0x82, LZ4     4  size from 0x82 on     4  size of the data
(`CompressedWriteBuffer` and `ICompressionCodec` of ClickHouse; numbers in little endian)
"""

from __future__ import annotations

import importlib
import struct

from luytre_collector.httpd.replies import NOT_IMPLEMENTED
from luytre_collector.store.guest import AnswerError

_BLOCK = 1 << 20
_HALF = (1 << 64) - 1
_HEAD = struct.Struct("<BII")
_HASH = struct.Struct("<QQ")


def framed(body: bytes) -> bytes:
    """The body in blocks. AnswerError if the packages for it are not installed."""
    try:
        city = importlib.import_module("clickhouse_cityhash.cityhash")
        lz4 = importlib.import_module("lz4.block")
    except ImportError:
        raise AnswerError(
            "compress=1 needs luytre-collector[compression]; install it, or turn compression off in the client."
            " (NOT_IMPLEMENTED)",
            NOT_IMPLEMENTED,
        ) from None
    pieces = []
    for start in range(0, len(body), _BLOCK):
        data = body[start : start + _BLOCK]
        packed = lz4.compress(data, store_size=False)
        block = _HEAD.pack(0x82, _HEAD.size + len(packed), len(data)) + packed
        hashed = city.CityHash128(block)
        pieces += [_HASH.pack(hashed >> 64, hashed & _HALF), block]
    return b"".join(pieces)
