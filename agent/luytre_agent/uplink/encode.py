"""A sealed batch and its numbering to the message on the wire, once: what is sent again is the same bytes."""

from __future__ import annotations

import zlib

from luytre_common.wire.v1 import ingest_pb2 as pb

from luytre_agent.batch import Key, SealedBatch


def encode(sealed: SealedBatch, key: Key, first_sequence: int, now: float, chain: bytes) -> bytes:
    """A serialized `Batch`, sealed at `now` (seconds since 1970), with its link of the hash chain.

    ValueError if a field is out of the wire's range.
    """
    body = sealed.body
    return pb.Batch(
        table=sealed.table,
        boot_id=key.boot_id,
        stream=key.stream,
        first_sequence=first_sequence,
        row_count=sealed.rows,
        agent_time_us=int(now * 1_000_000),
        first_event_us=sealed.first_event,
        last_event_us=sealed.last_event,
        compression=pb.COMPRESSION_ZSTD,
        body_size=sealed.raw_size,
        body_crc32=zlib.crc32(body),
        body=body,
        chain=chain,
    ).SerializeToString(deterministic=True)
