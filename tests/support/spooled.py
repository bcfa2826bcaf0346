"""What an agent's spool holds, read as its format says."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import zstandard
from luytre_agent.spool import segment
from luytre_common.wire.v1 import ingest_pb2 as pb


def gaps(body: bytes) -> list[tuple[str, str, str, int, int]]:
    """The gaps in the body of a batch of `ledger`: numbering, stream, cause, first and last number."""
    with pa.ipc.open_stream(zstandard.ZstdDecompressor().decompressobj().decompress(body)) as stream:
        rows = stream.read_all().to_pylist()
    for row in rows:
        assert row["ledger_count"] == row["ledger_last_sequence"] - row["ledger_first_sequence"] + 1
        assert row["ledger_entry"] == "gap"
    names = ("boot_id", "stream", "cause", "first_sequence", "last_sequence")
    return [tuple(row[f"ledger_{name}"] for name in names) for row in rows]


def bodies(spool: Path) -> dict[str, bytes]:
    """By table, the Arrow streams of the batches one behind the other, uncompressed."""
    found: dict[str, bytes] = defaultdict(bytes)
    for path in sorted(spool.glob("*.seg")):
        for record in segment.scan(path.read_bytes()).records:
            body = pb.Batch.FromString(record.batch).body
            found[record.table] += zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return found


def batches(spool: Path) -> list[pb.Batch]:
    """Every batch, in the order in which they were spooled."""
    return [
        pb.Batch.FromString(record.batch)
        for path in sorted(spool.glob("*.seg"))
        for record in segment.scan(path.read_bytes()).records
    ]
