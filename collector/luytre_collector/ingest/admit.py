"""Whether the envelope of a batch is sound. Pure: one message in, an `Admitted` batch or a `Refused` out.

The body is not opened here: that is `decode`. What cannot be accepted now cannot be accepted ever, so every `Refused`
becomes a `Refusal` on the wire, and the batch goes into quarantine.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

from luytre_common.schema import WIRE_TABLES, Table
from luytre_common.wire import chain
from luytre_common.wire.limits import MAX_BODY_BYTES, MAX_ROWS
from luytre_common.wire.v1 import ingest_pb2 as pb

MAX_SEQUENCE = 2**63  # what a signed 64-bit integer can number
MAX_TIME_US = 7_258_118_400_000_000  # 2200-01-01, well inside ClickHouse's DateTime64

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_STREAM = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a batch. `agent_id` is the certificate's; `host_name` is what the agent says; `connection` counts
    the streams that this collector has taken in, from 1."""

    agent_id: str
    host_name: str
    connection: int = 1


@dataclass(frozen=True, slots=True)
class Admitted:
    """A batch whose envelope is sound. Rows are numbered `first_sequence` to `last_sequence` inclusive. `chain` is its
    link, empty if its agent makes none."""

    sender: Sender
    table: Table
    boot_id: str
    stream: str
    first_sequence: int
    row_count: int
    agent_time_us: int
    collector_time_us: int
    zstd: bool
    body_size: int
    body: bytes
    chain: bytes = b""

    @property
    def last_sequence(self) -> int:
        """Number of the last row."""
        return self.first_sequence + self.row_count - 1


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a batch will never be accepted."""

    code: pb.RefusalCode
    message: str

    @property
    def cause(self) -> str:
        """The code as a counter's label: `bad_body`."""
        return pb.RefusalCode.Name(self.code).removeprefix("REFUSAL_CODE_").lower()


def admit(batch: pb.Batch, sender: Sender, collector_time_us: int, body: bytes | None = None) -> Admitted | Refused:
    """Check the envelope of `batch`, received from `sender` at `collector_time_us` by the collector's clock.

    `body`: the batch's, if the caller has it already, because protobuf copies it each time that it is asked for.
    """
    body = batch.body if body is None else body
    table = WIRE_TABLES.get(batch.table)
    if table is None:
        return Refused(pb.REFUSAL_CODE_UNKNOWN_TABLE, f"no table {batch.table[:64]!r} for agents; update the collector")
    fault = _envelope_fault(batch, len(body))
    if fault:
        return Refused(pb.REFUSAL_CODE_BAD_ENVELOPE, fault)
    if zlib.crc32(body) != batch.body_crc32:
        return Refused(pb.REFUSAL_CODE_BAD_CHECKSUM, f"CRC-32 of {len(body)} bytes differs from body_crc32")
    return Admitted(
        sender=sender,
        table=table,
        boot_id=batch.boot_id,
        stream=batch.stream,
        first_sequence=batch.first_sequence,
        row_count=batch.row_count,
        agent_time_us=batch.agent_time_us,
        collector_time_us=collector_time_us,
        zstd=batch.compression == pb.COMPRESSION_ZSTD,
        body_size=batch.body_size,
        body=body,
        chain=batch.chain,
    )


def _envelope_fault(batch: pb.Batch, size: int) -> str | None:
    if not _UUID.fullmatch(batch.boot_id):
        return f"boot_id {batch.boot_id[:64]!r} is not a lower-case UUID"
    if not _STREAM.fullmatch(batch.stream):
        return f"stream {batch.stream[:64]!r} is not 1 to 64 letters, digits, '_', '.' or '-'"
    if not 1 <= batch.row_count <= MAX_ROWS:
        return f"row_count {batch.row_count} is not in 1 to {MAX_ROWS}"
    if batch.first_sequence + batch.row_count > MAX_SEQUENCE:
        return f"first_sequence {batch.first_sequence} is too large"
    if not 0 <= batch.agent_time_us < MAX_TIME_US:
        return f"agent_time_us {batch.agent_time_us} is not between 1970 and 2200"
    if batch.compression not in (pb.COMPRESSION_NONE, pb.COMPRESSION_ZSTD):
        return f"compression {batch.compression} is not known"
    if not 1 <= batch.body_size <= MAX_BODY_BYTES:
        return f"body_size {batch.body_size} is not in 1 to {MAX_BODY_BYTES}"
    if not size:
        return "body is empty"
    if len(batch.chain) not in (0, chain.SIZE):
        return f"chain has {len(batch.chain)} bytes, not {chain.SIZE}"
    if batch.compression == pb.COMPRESSION_NONE and size != batch.body_size:
        return f"body has {size} bytes, body_size says {batch.body_size}"
    return None
