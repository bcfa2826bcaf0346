"""Bodies to columns, and everything that is not one."""

from __future__ import annotations

import io
import zlib
from dataclasses import replace

import pyarrow as pa
import pytest
import zstandard
from luytre_collector.columns import schema_of
from luytre_collector.ingest.admit import MAX_TIME_US, Refused
from luytre_collector.ingest.decode import Decoded, decode
from luytre_common.schema import TABLES, WIRE_TABLES
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.batches import admitted, ipc, message, rows


def good(batch: pb.Batch) -> Decoded:
    made = decode(admitted(batch))
    assert isinstance(made, Decoded), made
    return made


def bad(batch: pb.Batch) -> str:
    made = decode(admitted(batch))
    assert isinstance(made, Refused), made
    assert made.code == pb.REFUSAL_CODE_BAD_BODY
    assert "\n" not in made.message
    return made.message


@pytest.mark.parametrize("table", WIRE_TABLES)
@pytest.mark.parametrize("zstd", [True, False])
def test_round_trip(table: str, zstd: bool) -> None:
    record = rows(table, 20)
    made = good(message(table, 20, record=record, zstd=zstd))
    assert made.rows.schema == schema_of(TABLES[table].agent_columns)
    assert made.rows.to_pylist() == record.to_pylist()
    assert made.unknown_columns == ()


def test_columns_that_an_older_agent_lacks_are_zero() -> None:
    record = rows("dns", 3)
    made = good(message("dns", 3, record=record.drop_columns(["dns_answers_data", "dns_latency", "source_ip"])))
    assert made.rows.column("dns_answers_data").to_pylist() == [[], [], []]
    assert made.rows.column("dns_latency").to_pylist() == [0, 0, 0]
    assert made.rows.column("source_ip").to_pylist() == [bytes(16)] * 3
    assert made.rows.column("dns_question_name").to_pylist() == record.column("dns_question_name").to_pylist()


def test_columns_of_a_newer_agent_are_dropped_and_named() -> None:
    record = rows("tls", 2).append_column("tls_client_ja5", pa.array(["a", "b"]))
    made = good(message("tls", 2, record=record))
    assert made.unknown_columns == ("tls_client_ja5",)
    assert "tls_client_ja5" not in made.rows.schema.names


def test_columns_that_the_collector_makes_are_not_believed() -> None:
    record = rows("flows", 2).append_column("agent_id", pa.array(["other", "other"]))
    made = good(message("flows", 2, record=record))
    assert made.unknown_columns == ("agent_id",)


def test_list_items_may_have_another_name() -> None:
    record = rows("tls", 2)
    at = record.schema.get_field_index("tls_client_alpn")
    kind = pa.list_(pa.field("element", pa.string(), nullable=False))
    record = record.set_column(at, pa.field("tls_client_alpn", kind), pa.array([["h2"], []], kind))
    assert good(message("tls", 2, record=record)).rows.column("tls_client_alpn").to_pylist() == [["h2"], []]


def changed(name: str, array: pa.Array) -> pb.Batch:
    record = rows("flows", 3)
    at = record.schema.get_field_index(name)
    return message("flows", 3, record=record.set_column(at, pa.field(name, array.type), array))


def test_times_that_no_calendar_has_are_moved() -> None:
    kind = pa.timestamp("us", tz="UTC")
    made = good(changed("flow_start", pa.array([-1, 2**62, 5], pa.int64()).view(kind)))
    assert made.rows.column("flow_start").cast(pa.int64()).to_pylist() == [0, MAX_TIME_US, 5]
    assert made.moved_times == 2


def test_wrong_type() -> None:
    assert "column source_port is int64, not uint16" in bad(changed("source_port", pa.array([1, 2, 3])))
    assert "column source_ip" in bad(changed("source_ip", pa.array([b"1234"] * 3, pa.binary(4))))
    assert "column process_name" in bad(changed("process_name", pa.array(["a", "b", "c"])))


def test_nulls() -> None:
    assert "column source_port holds nulls" in bad(changed("source_port", pa.array([1, None, 3], pa.uint16())))
    words = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.int32()), pa.array(["a", None]))
    assert "column process_name holds nulls" in bad(changed("process_name", words))


def test_a_dictionary_index_out_of_range() -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0, 9, 0], pa.int32()), pa.array(["a"]), safe=False)
    assert "not a sound Arrow stream" in bad(changed("process_name", words))


def test_invalid_utf8() -> None:
    text = pa.array([b"\xff\xfe", b"ok", b"ok"]).view(pa.string())
    assert "not a sound Arrow stream" in bad(changed("process_command_line", text))


def test_unequal_column_lengths() -> None:
    """A record batch that says 3 rows, with one column of 2: the node's length is written over."""
    raw = bytearray(ipc(rows("agent_health", 3)))
    node = (3).to_bytes(8, "little") + (0).to_bytes(8, "little")  # FieldNode: length, null_count
    at = raw.rindex(node)
    raw[at : at + 8] = (2).to_bytes(8, "little")
    assert "not a sound Arrow stream" in bad(message("agent_health", 3, raw=bytes(raw)))


def test_row_count_differs() -> None:
    assert bad(message("flows", 3, row_count=4)) == "3 rows in the body, row_count says 4"


def test_same_name_twice() -> None:
    record = rows("flows", 1)
    record = record.append_column("source_port", record.column("source_port"))
    assert "same name" in bad(message("flows", 1, record=record))


def test_not_zstd() -> None:
    batch = admitted(message(zstd=False))
    made = decode(replace(batch, zstd=True))
    assert isinstance(made, Refused)
    assert "not a zstd frame" in made.message


def test_a_frame_may_say_how_long_it_is_or_not() -> None:
    raw = ipc(rows("dns", 5))
    plain = message("dns", 5, raw=raw)
    frames = [
        zstandard.ZstdCompressor(write_content_size=False).compress(raw),
        zstandard.ZstdCompressor(level=19, write_checksum=True).compress(raw),
        plain.body + b"what follows a frame is not read",
    ]
    for body in frames:
        batch = pb.Batch()
        batch.CopyFrom(plain)
        batch.body, batch.body_crc32 = body, zlib.crc32(body)
        assert good(batch).rows.to_pylist() == good(plain).rows.to_pylist()


def test_a_zstd_bomb_opens_no_further_than_it_said() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 30))
    batch = message()
    batch.body, batch.body_size = bomb, 1000
    batch.body_crc32 = zlib.crc32(bomb)
    assert "more than 1000 bytes" in bad(batch)


def test_compressed_arrow_buffers_are_refused_unread() -> None:
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    message_ = bad(message("flows", 3, raw=ipc(rows("flows", 3), options)))
    assert "compressed" in message_


def test_a_dictionary_with_compressed_buffers_is_refused_too() -> None:
    record = rows("flows", 200, {"process_name": ["x" * 50 + str(i) for i in range(200)]})
    raw = ipc(record.select(["process_name"]), pa.ipc.IpcWriteOptions(compression="lz4"))
    assert "compressed" in bad(message("flows", 200, raw=raw))


def test_two_record_batches() -> None:
    record = rows("flows", 3)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, record.schema) as writer:
        writer.write_batch(record)
        writer.write_batch(record)
    assert "2 record batches" in bad(message("flows", 3, raw=sink.getvalue()))


def test_no_arrow_at_all() -> None:
    assert "no Arrow message" in bad(message(raw=b"GET / HTTP/1.1\r\n\r\n"))
    assert "cut short" in bad(message(raw=b"\xff\xff\xff"))
