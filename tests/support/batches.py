"""Batches as an agent sends them, made with pyarrow instead of the agent's core."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import zstandard
from luytre_collector.columns import arrow_type
from luytre_collector.ingest.admit import Admitted, Refused, Sender, admit
from luytre_common.schema import TABLES, Kind, Table
from luytre_common.wire.v1 import ingest_pb2 as pb

BOOT = "0d4f6c0e-3f0b-4a5e-9d0e-0f5a1d2b3c4d"
NOW_US = 1_795_400_000_000_000  # 2026-11-22
SENDER = Sender("web-01", "web-01.hue.example")


def ip(text: str) -> bytes:
    """An IPv4 address as a column holds it."""
    return bytes(10) + b"\xff\xff" + bytes(map(int, text.split(".")))


def rows(table: str, count: int, given: Mapping[str, Sequence[Any]] | None = None, first: int = 0) -> pa.RecordBatch:
    """Rows of the agent's columns, every one different; `given` replaces columns."""
    columns = TABLES[table].agent_columns
    arrays = [
        pa.array((given or {}).get(column.name) or [_value(column.kind, first + i) for i in range(count)],
                 arrow_type(column.kind))
        for column in columns
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


def _value(kind: Kind, number: int) -> Any:
    match kind:
        case Kind.TIME:
            return NOW_US + number
        case Kind.IP:
            return ip(f"10.0.{number // 250 % 250}.{number % 250 + 1}")
        case Kind.TEXT:
            return f"văn bản {number}"
        case Kind.NAME:
            return f"name {number % 7}"
        case Kind.TEXTS:
            return [f"{number}", "b"][: number % 3]
        case Kind.U32S:
            return [number, 7][: number % 3]
        case Kind.U8:
            return number % 256
        case _:
            return number


def ipc(record: pa.RecordBatch, options: pa.ipc.IpcWriteOptions | None = None) -> bytes:
    """One Arrow IPC stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, record.schema, options=options) as writer:
        writer.write_batch(record)
    return sink.getvalue()


def message(
    table: str = "flows",
    count: int = 3,
    first: int = 0,
    *,
    record: pa.RecordBatch | None = None,
    raw: bytes | None = None,
    zstd: bool = True,
    boot: str = BOOT,
    stream: str = "",
    row_count: int | None = None,
) -> pb.Batch:
    """A batch with a right envelope around `record`, or around `raw` bytes."""
    stream_bytes = raw if raw is not None else ipc(record if record is not None else rows(table, count, first=first))
    body = zstandard.ZstdCompressor().compress(stream_bytes) if zstd else stream_bytes
    return pb.Batch(
        table=table,
        boot_id=boot,
        stream=stream or table,
        first_sequence=first,
        row_count=count if row_count is None else row_count,
        agent_time_us=NOW_US,
        first_event_us=NOW_US,
        last_event_us=NOW_US + count,
        compression=pb.COMPRESSION_ZSTD if zstd else pb.COMPRESSION_NONE,
        body_size=len(stream_bytes),
        body_crc32=zlib.crc32(body),
        body=body,
    )


def admitted(batch: pb.Batch, sender: Sender = SENDER, now_us: int = NOW_US) -> Admitted:
    """The batch, through admission, which must succeed."""
    made = admit(batch, sender, now_us)
    assert not isinstance(made, Refused), made
    return made


def table_of(name: str) -> Table:
    """The table called so."""
    return TABLES[name]
