"""The core's columns: what the collector will find in a batch body, and what rows are refused."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from luytre_agent import _core
from luytre_agent._core import (
    FileReplay,
    LiveCapture,
    Sealed,
    TableBuilder,
    read_only_count,
    to_json_lines,
)
from luytre_common.schema import WIRE_TABLES, Kind, Maker, Table
from luytre_common.wire.limits import MAX_ROWS

CAPTURES = Path(__file__).parents[2] / "golden" / "capture"

#: A value of each kind, as a row may give it and as Arrow gives it back.
VALUES: dict[Kind, tuple[Any, Any]] = {
    Kind.U8: (255, 255),
    Kind.U16: (65_535, 65_535),
    Kind.U32: (2**32 - 1, 2**32 - 1),
    Kind.U64: (2**64 - 1, 2**64 - 1),
    Kind.I32: (-(2**31), -(2**31)),
    Kind.TIME: (1_763_863_863_120_001, 1_763_863_863_120_001),
    Kind.IP: ("10.1.0.7", ipaddress.ip_address("::ffff:10.1.0.7").packed),
    Kind.TEXT: ("đêm \N{HERB}\0", "đêm \N{HERB}\0"),
    Kind.NAME: ("tre", "tre"),
    Kind.TEXTS: (["a", ""], ["a", ""]),
    Kind.U32S: ((300, 60), [300, 60]),
}


def open_body(sealed: Sealed) -> pa.RecordBatch:
    raw = zstandard.ZstdDecompressor().decompress(sealed.body)
    assert len(raw) == sealed.raw_size
    with pa.ipc.open_stream(raw) as reader:
        (batch,) = list(reader)
    batch.validate(full=True)
    return batch


def plain(column: pa.Array[Any]) -> list[Any]:
    """The values; times as the integers that they are."""
    return (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()


def sealed(builder: TableBuilder) -> Sealed:
    batch = builder.seal()
    assert batch is not None
    return batch


@pytest.mark.parametrize("table", WIRE_TABLES.values(), ids=lambda table: table.name)
def test_a_body_has_exactly_the_columns_that_the_agent_makes(table: Table) -> None:
    builder = TableBuilder(table.name)
    builder.append({column.name: VALUES[column.kind][0] for column in table.agent_columns})
    builder.append({})
    batch = open_body(sealed(builder))
    assert batch.schema.names == [column.name for column in table.agent_columns]
    assert [str(field.type) for field in batch.schema] == [column.kind.arrow for column in table.agent_columns]
    assert batch.num_rows == 2
    for column, values in zip(table.agent_columns, batch.columns, strict=True):
        given, absent = plain(values)
        assert given == VALUES[column.kind][1], column.name
        assert values.null_count == 0
        assert absent in (0, "", [], bytes(16)), column.name


@pytest.mark.parametrize("table", WIRE_TABLES.values(), ids=lambda table: table.name)
def test_json_lines_have_exactly_the_columns_of_the_table(table: Table) -> None:
    builder = TableBuilder(table.name)
    builder.append({column.name: VALUES[column.kind][0] for column in table.agent_columns})
    builder.append({})
    first, second = to_json_lines(sealed(builder), 7).splitlines()
    row = json.loads(first)
    assert list(row) == ["table", *(column.name for column in table.columns)]
    assert row["table"] == table.name
    assert (row["sequence"], json.loads(second)["sequence"]) == (7, 8)
    shown = {Kind.TIME: "2025-11-23T02:11:03.120001Z", Kind.IP: "10.1.0.7"}
    for column in table.agent_columns:
        assert row[column.name] == shown.get(column.kind, VALUES[column.kind][1]), column.name
    for column in table.columns:
        if column.maker is Maker.COLLECTOR and column.name != "sequence":
            assert row[column.name] in (0, "", [], "1970-01-01T00:00:00.000000Z"), column.name


def test_the_stub_is_what_the_core_is() -> None:
    root = Path(__file__).parents[3]
    environment = {**os.environ, "MYPYPATH": f"{root / 'agent'}:{root / 'proto'}"}
    command = [sys.executable, "-m", "mypy.stubtest", "luytre_agent._core"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_batch_says_its_rows_and_times() -> None:
    builder = TableBuilder("processes")
    for when in (30, 10, 20):
        builder.append({"event_time": when})
    batch = sealed(builder)
    assert (batch.table, batch.rows, batch.first_event, batch.last_event) == ("processes", 3, 10, 30)
    assert builder.rows == 0
    assert builder.seal() is None
    assert repr(batch) == f"<Sealed processes rows=3 bytes={len(batch.body)}>"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"valu": 1}, "table agent_health: there is no column valu"),
        ({"agent_id": "x"}, "table agent_health: column agent_id is made by the collector, not given"),
        ({"value": -1}, "table agent_health: column value: -1 is out of range, 0 to 18446744073709551615"),
        ({"value": 2**200}, r"table agent_health: column value: \d+ is out of range, 0 to 18446744073709551615"),
        ({"value": "1"}, "table agent_health: column value: wants an integer"),
        ({"value": 1.0}, "table agent_health: column value: wants an integer"),
        ({"value": None}, "table agent_health: column value: wants an integer"),
        ({"label": b"eth0"}, "table agent_health: column label: wants a string"),
        ({"event_time": "now"}, "table agent_health: column event_time: wants an integer: microseconds since 1970 UTC"),
    ],
)
def test_a_refused_row_adds_nothing(row: dict[str, Any], message: str) -> None:
    builder = TableBuilder("agent_health")
    with pytest.raises(ValueError, match=f"^{message}$"):
        builder.append({"component": "left behind", **row})
    assert builder.rows == 0
    builder.append({"value": 5})
    assert open_body(sealed(builder)).column("component").to_pylist() == [""]


@pytest.mark.parametrize("address", ["10.1.0", b"123", 7, ""])
def test_what_is_no_address_is_refused(address: object) -> None:
    with pytest.raises(ValueError, match="column source_ip: wants an IP address"):
        TableBuilder("flows").append({"source_ip": address})


@pytest.mark.parametrize(
    ("address", "packed"),
    [
        ("2001:db8::1", ipaddress.ip_address("2001:db8::1").packed),
        (bytes([10, 1, 0, 7]), ipaddress.ip_address("::ffff:10.1.0.7").packed),
        (bytes(16), bytes(16)),
    ],
)
def test_addresses_come_as_text_or_bytes(address: object, packed: bytes) -> None:
    builder = TableBuilder("flows")
    builder.append({"source_ip": address})
    assert open_body(sealed(builder)).column("source_ip").to_pylist() == [packed]


def test_tables_that_agents_do_not_send_are_refused() -> None:
    for name in ("alerts", "nothing"):
        with pytest.raises(ValueError, match=f"^there is no table {name} that agents send$"):
            TableBuilder(name)


def test_lone_surrogates_become_replacement_characters() -> None:
    builder = TableBuilder("processes")
    builder.append({"process_command_line": "rm \udcff"})
    (text,) = open_body(sealed(builder)).column("process_command_line").to_pylist()
    assert str(text).startswith("rm \ufffd")


def test_lists_take_no_bare_string() -> None:
    for value in ("abc", b"abc", [1], None):
        with pytest.raises(ValueError, match="column dns_answers_data: wants a list of strings"):
            TableBuilder("dns").append({"dns_answers_data": value})


def test_files_that_are_no_captures_are_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pcap"
    with pytest.raises(FileNotFoundError, match=r"missing\.pcap"):
        FileReplay(str(missing))
    text = tmp_path / "notes.txt"
    text.write_text("no capture")
    for use in (FileReplay, read_only_count):
        with pytest.raises(ValueError, match=r"notes\.txt: not a capture file"):
            use(str(text))


def test_a_cut_file_gives_what_came_before_and_says_where(tmp_path: Path) -> None:
    whole = (CAPTURES / "tcp.pcap").read_bytes()
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(whole[:-3])
    replay = FileReplay(str(cut))
    assert replay.read(1000) == []
    assert replay.finished
    assert replay.fault.startswith(f"{cut}: the file ends inside the record at byte ")
    counters = replay.counters()
    assert (counters["packets"], counters["file_faults"]) == (19, 1)
    assert sum(batch.rows for batch in replay.close()) == 5


def test_settings_out_of_range_are_named() -> None:
    capture = str(CAPTURES / "tcp.pcap")
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"^inactive_timeout_s: "):
            FileReplay(capture, inactive_timeout_s=wrong)


def test_reading_in_steps_changes_nothing() -> None:
    def rows(step: int, batch_rows: int) -> list[bytes]:
        replay = FileReplay(str(CAPTURES / "tcp.pcap"), batch_rows=batch_rows)
        batches = []
        while not replay.finished:
            batches += replay.read(step)
        batches += replay.close()
        return sorted(line for batch in batches for line in to_json_lines(batch).splitlines())

    def without_sequence(lines: list[bytes]) -> list[dict[str, Any]]:
        return sorted(({**json.loads(line), "sequence": 0} for line in lines), key=lambda row: str(row["flow_id"]))

    assert without_sequence(rows(1, 2)) == without_sequence(rows(1000, 10_000))


def test_the_floor_counts_packets_and_captured_bytes() -> None:
    path = CAPTURES / "tcp.pcap"
    packets, size = read_only_count(str(path))
    assert (packets, size) == (20, path.stat().st_size - 24 - 20 * 16)


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace of its own with nothing in it but a loopback that is up."""
    name = f"luytre-core-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def send(namespace: str, port: int, packets: int) -> None:
    """Datagrams from inside the namespace to a port of its loopback."""
    program = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 40000));"
        f"[s.sendto(b'tre', ('127.0.0.1', {port})) for _ in range({packets})]"
    )
    subprocess.run(["ip", "netns", "exec", namespace, sys.executable, "-c", program], check=True)


def poll_until(capture: LiveCapture, name: str, value: int) -> list[Sealed]:
    batches: list[Sealed] = []
    deadline = time.monotonic() + 20
    while capture.counters()[name] < value and time.monotonic() < deadline:
        batches += capture.poll(0.2)
    return batches


@pytest.mark.root
def test_a_live_capture_gives_the_flows_of_its_interface(namespace: str) -> None:
    capture = LiveCapture("lo", network_namespace=namespace, ring_bytes=1 << 20)
    try:
        send(namespace, 40001, 5)
        early = poll_until(capture, "packets", 10)
    finally:
        batches = capture.close()
    rows = [json.loads(line) for batch in early + batches for line in to_json_lines(batch).splitlines()]
    (row,) = [row for row in rows if row["network_transport"] == "udp"]
    assert (row["source_ip"], row["source_port"], row["destination_port"]) == ("127.0.0.1", 40000, 40001)
    assert (row["source_packets"], row["source_payload_bytes"], row["flow_end_reason"]) == (5, 15, "stop")
    assert row["observer_ingress_interface_name"] == "lo"
    counters = capture.counters()
    assert counters["kernel_dropped"] == 0
    assert counters["kernel_packets"] >= counters["packets"] >= 10  # five datagrams, five "port unreachable"
    assert counters["flows_cut/stop"] == counters["flows"] == counters["rows/flows"]
    assert capture.poll(0.0) == []
    assert capture.close() == []


@pytest.mark.root
def test_a_live_flow_ends_by_the_clock(namespace: str) -> None:
    capture = LiveCapture("lo", network_namespace=namespace, inactive_timeout_s=0.3, batch_seconds=0.1)
    try:
        send(namespace, 40001, 1)
        batches = poll_until(capture, "flows_cut/idle", 2)
        batches += capture.poll(0.3)
    finally:
        capture.close()
    rows = [json.loads(line) for batch in batches for line in to_json_lines(batch).splitlines()]
    assert sorted((row["network_transport"], row["flow_end_reason"]) for row in rows) == [
        ("icmp", "idle"),
        ("udp", "idle"),
    ]


@pytest.mark.root
def test_an_interface_that_is_not_there_is_an_oserror() -> None:
    with pytest.raises(OSError, match="nosuch0"):
        LiveCapture("nosuch0")


def test_options_of_a_live_capture_are_checked_first() -> None:
    with pytest.raises(ValueError, match=r"^exclude: collector is not an IP address$"):
        LiveCapture("lo", exclude=[("collector", 7443)])
    with pytest.raises(ValueError, match=r"^batch_seconds: 0 is not above 0"):
        LiveCapture("lo", batch_seconds=0.0)
    with pytest.raises(ValueError, match="snap length"):
        LiveCapture("lo", snap_length=1)


def test_a_batch_takes_as_many_rows_as_the_wire() -> None:
    builder = TableBuilder("agent_health")
    for _ in range(MAX_ROWS):
        builder.append({})
    with pytest.raises(ValueError, match="the builder is full"):
        builder.append({})
    assert builder.rows == MAX_ROWS


def test_a_signature_is_good_for_one_key_and_one_message() -> None:
    private = Ed25519PrivateKey.generate()
    key = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    for message in (b"", b"luytre policy 1\nversion = 1\n", bytes(100_000)):
        signature = private.sign(message)
        assert _core.verify_ed25519(key, message, signature)
        assert not _core.verify_ed25519(key, message + b" ", signature)
        assert not _core.verify_ed25519(bytes(32), message, signature)
        assert not _core.verify_ed25519(key, message, signature[:-1])
        assert not _core.verify_ed25519(key[:-1], message, signature)
        assert not _core.verify_ed25519(b"", message, b"")
        for bit in (0, 100, 255, 256, 400, 511):
            other = bytearray(signature)
            other[bit // 8] ^= 1 << bit % 8
            assert not _core.verify_ed25519(key, message, bytes(other))
