"""The hash chain of a numbering: each batch vouches for all before it, so that one taken out or altered is noticed.

    start(boot_id, stream) = SHA-256("luytre chain 1" 0x00 boot_id 0x00 stream)
    link                   = SHA-256(previous, first_sequence, row_count, SHA-256(body))

`first_sequence` is 8 bytes and `row_count` 4, little-endian; `body` is the field as sent. Who can read the spool can
recompute the chain, but not that of what the collector has already taken or the agent holds in memory.
"""

from __future__ import annotations

import hashlib
import struct

#: Bytes of a link.
SIZE = 32

_COUNTS = struct.Struct("<QI")


def start(boot_id: str, stream: str) -> bytes:
    """What the first batch of a numbering follows."""
    return hashlib.sha256(b"\0".join((b"luytre chain 1", boot_id.encode(), stream.encode()))).digest()


def link(previous: bytes, first_sequence: int, row_count: int, body: bytes) -> bytes:
    """The chain up to and including a batch that follows `previous`."""
    counts = _COUNTS.pack(first_sequence, row_count)
    return hashlib.sha256(previous + counts + hashlib.sha256(body).digest()).digest()
