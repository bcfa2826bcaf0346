"""Bodies with bytes changed, cut, inserted: always refused, or decoded into columns that are sound to the last byte."""

from __future__ import annotations

import zlib

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from luytre_collector.columns import schema_of
from luytre_collector.ingest.admit import Refused
from luytre_collector.ingest.decode import decode
from luytre_common.schema import TABLES
from luytre_common.wire.limits import MAX_BODY_BYTES
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.batches import admitted, ipc, message, rows

RAW = {table: ipc(rows(table, 5)) for table in ("agent_health", "dns", "processes")}

#: Where to change, what to do there, with which byte.
CHANGES = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(["set", "flip", "cut", "insert", "drop"]),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=6,
)


def mutate(raw: bytes, changes: list[tuple[float, str, bytes]]) -> bytes:
    data = bytearray(raw)
    for place, how, given_bytes in changes:
        at = int(place * len(data))
        match how:
            case "set":
                data[at : at + len(given_bytes)] = given_bytes
            case "flip" if data:
                data[at] ^= given_bytes[0] or 1
            case "cut":
                del data[max(at, 1) :]
            case "insert":
                data[at:at] = given_bytes
            case "drop":
                del data[at : at + len(given_bytes)]
    return bytes(data) or b"\0"


def judge(table: str, batch: pb.Batch) -> None:
    made = decode(admitted(batch))
    if isinstance(made, Refused):
        assert made.code == pb.REFUSAL_CODE_BAD_BODY
        assert made.message
        assert "\n" not in made.message
        return
    assert made.rows.schema == schema_of(TABLES[table].agent_columns)
    assert made.rows.num_rows == batch.row_count
    made.rows.validate(full=True)
    assert all(column.null_count == 0 for column in made.rows.columns)
    assert made.rows.nbytes <= MAX_BODY_BYTES
    made.rows.to_pylist()


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(RAW)), CHANGES)
def test_mutated_streams(table: str, changes: list[tuple[float, str, bytes]]) -> None:
    judge(table, message(table, 5, raw=mutate(RAW[table], changes)))


@settings(max_examples=100, deadline=None)
@given(CHANGES)
def test_mutated_frames(changes: list[tuple[float, str, bytes]]) -> None:
    """The same, under the compression."""
    batch = message("dns", 5, raw=RAW["dns"])
    batch.body = mutate(batch.body, changes)
    batch.body_crc32 = zlib.crc32(batch.body)
    judge("dns", batch)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(RAW)), st.floats(0, 1, exclude_max=True), st.binary(min_size=8, max_size=8))
def test_one_word_overwritten(table: str, place: float, word: bytes) -> None:
    """Lengths and offsets live in aligned words."""
    raw = bytearray(RAW[table])
    at = int(place * len(raw)) & ~7
    raw[at : at + 8] = word
    judge(table, message(table, 5, raw=bytes(raw)))


def test_unchanged_is_identical() -> None:
    for table, raw in RAW.items():
        made = decode(admitted(message(table, 5, raw=raw)))
        assert not isinstance(made, Refused)
        assert made.rows.to_pylist() == pa.ipc.open_stream(raw).read_all().to_pylist()
