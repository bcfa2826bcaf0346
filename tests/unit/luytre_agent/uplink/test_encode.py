from __future__ import annotations

import zlib
from typing import Any

from luytre_agent.batch import Key
from luytre_agent.uplink import encode
from luytre_common.wire.v1 import ingest_pb2 as pb


def test_the_envelope_says_what_is_inside(sealed: Any) -> None:
    data = encode(sealed(), Key("boot", "flows"), 40, 1_700_000_000.25, b"link" * 8)
    assert pb.Batch.FromString(data) == pb.Batch(
        table="flows", boot_id="boot", stream="flows", first_sequence=40, row_count=10,
        agent_time_us=1_700_000_000_250_000, first_event_us=1, last_event_us=2, compression=pb.COMPRESSION_ZSTD,
        body_size=400, body_crc32=zlib.crc32(b"rows" * 10), body=b"rows" * 10, chain=b"link" * 8,
    )  # fmt: skip
    assert pb.Batch.FromString(data).SerializeToString() == data
