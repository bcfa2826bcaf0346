"""What an agent's spool holds, read as its format says."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import zstandard
from luytre_agent.spool import segment
from luytre_common.wire.v1 import ingest_pb2 as pb


def bodies(spool: Path) -> dict[str, bytes]:
    """By table, the Arrow streams of the batches one behind the other, uncompressed."""
    found: dict[str, bytes] = defaultdict(bytes)
    for path in sorted(spool.glob("*.seg")):
        for record in segment.scan(path.read_bytes()).records:
            body = pb.Batch.FromString(record.batch).body
            found[record.table] += zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return found
