from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from luytre_agent.__main__ import main
from luytre_agent.commands.replay import Progress
from luytre_common.schema import TABLES

from tests.support.collector_end import Authority, Collector, acknowledge

CAPTURE = Path(__file__).parents[3] / "golden/capture/tcp.pcap"


def test_every_row_is_a_json_object_with_exactly_the_columns_of_its_table(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(CAPTURE), "--json"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert rows
    for row in rows:
        assert list(row) == ["table", *(column.name for column in TABLES[row["table"]].columns)]
    flows = [row["sequence"] for row in rows if row["table"] == "flows"]
    assert flows == list(range(len(flows)))


def test_the_output_is_stable_and_numbered_over_several_files(capfd: pytest.CaptureFixture[str]) -> None:
    main(["replay", str(CAPTURE), str(CAPTURE), "--json"])
    twice = capfd.readouterr().out
    main(["replay", str(CAPTURE), str(CAPTURE), "--json"])
    assert capfd.readouterr().out == twice
    numbers = [row["sequence"] for row in map(json.loads, twice.splitlines()) if row["table"] == "flows"]
    assert numbers == list(range(len(numbers)))


def test_the_summary_counts(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(CAPTURE)]) == 0
    table = dict(line.rsplit(maxsplit=1) for line in capfd.readouterr().out.splitlines())
    assert int(table["packets"]) == 20
    assert int(table["flows"]) > 0
    assert {"dns", "tls", "undecoded"} <= table.keys()


def test_a_truncated_file_gives_what_was_before_and_one_line(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(CAPTURE.read_bytes()[:300])
    assert main(["replay", str(cut), "--json"]) == 2
    shown = capfd.readouterr()
    assert [json.loads(line)["source_packets"] for line in shown.out.splitlines()] == [2]
    assert shown.err.count("\n") == 1
    assert str(cut) in shown.err
    assert "byte" in shown.err


def test_what_cannot_be_read_is_said_and_the_others_are_read(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a capture file at all, only some words")
    odd = tmp_path / "odd.pcap"
    odd.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 250) + bytes(40))
    missing = tmp_path / "missing.pcap"
    assert main(["replay", str(text), str(odd), str(missing), str(CAPTURE), "--json"]) == 2
    shown = capfd.readouterr()
    assert shown.out.count('"table":"flows"') > 0
    lines = shown.err.splitlines()
    assert len(lines) == 3, shown.err
    for path, line in zip((text, odd, missing), lines, strict=True):
        assert line.startswith(f"luytre-agent: {path}: ")
    assert "link" in lines[1]


def test_options_that_do_not_go_together(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["replay", str(CAPTURE), "--deliver"]) == 2
    assert "give --config FILE" in capfd.readouterr().err
    assert main(["replay", str(CAPTURE), "--deliver", "--json", "--config", str(tmp_path)]) == 2
    assert "exclude each other" in capfd.readouterr().err


def write_config(folder: Path, authority: Authority, port: int, more: str = "") -> Path:
    identity = authority.issue("web-01")
    path = folder / "agent.toml"
    path.write_text(
        f'[tls]\nauthority = "{identity.authority}"\ncertificate = "{identity.certificate}"\nkey = "{identity.key}"\n'
        f'[uplink]\ncollector = "127.0.0.1:{port}"\n{more}\n[spool]\ndirectory = "{folder / "spool"}"\n'
        f'[sources]\nstate_directory = "{folder / "state"}"\n'
    )
    return path


def test_deliver_goes_through_the_spool_and_waits_for_every_answer(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    authority, collector = Authority(tmp_path / "pki"), Collector()
    collector.start(authority.issue("collector"))
    try:
        config = write_config(tmp_path, authority, collector.port)
        assert main(["replay", str(CAPTURE), "--config", str(config), "--deliver"]) == 0
    finally:
        collector.stop()
    rows = sum(batch.row_count for batch in collector.batches if batch.table == "flows")
    assert f"flows: {rows} rows delivered" in capfd.readouterr().out
    assert collector.hellos[0].host_name == os.uname().nodename
    assert collector.hellos[0].boot_id == collector.batches[0].boot_id
    assert {batch.table for batch in collector.batches} >= {"flows", "agent_health"}
    assert not list((tmp_path / "spool").glob("*.seg"))


def test_deliver_without_a_collector_keeps_the_rows_for_the_next_run(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    authority, collector = Authority(tmp_path / "pki"), Collector(answer=lambda collector, batch: iter(()))
    collector.start(authority.issue("collector"))
    try:
        config = write_config(tmp_path, authority, collector.port, "drain_seconds = 0.5")
        assert main(["replay", str(CAPTURE), "--config", str(config), "--deliver"]) == 1
        assert "not acknowledged by 127.0.0.1" in capfd.readouterr().err
        collector.answer = acknowledge
        collector.batches.clear()
        config.write_text(config.read_text().replace("drain_seconds = 0.5", "drain_seconds = 30"))
        assert main(["replay", str(CAPTURE), "--config", str(config), "--deliver"]) == 0
    finally:
        collector.stop()
    firsts = [batch.first_sequence for batch in collector.batches if batch.table == "flows"]
    assert firsts == sorted(firsts)
    assert firsts[0] == 0
    assert len(firsts) >= 2


def test_progress_is_for_terminals_only(capsys: pytest.CaptureFixture[str]) -> None:
    Progress(False).show(1)
    assert capsys.readouterr().err == ""
    shown = Progress(True)
    shown.show(1234)
    shown.show(5678)  # too soon after the first
    shown.clear()
    assert capsys.readouterr().err == "\r1,234 packets\r\x1b[K"


def test_standard_input_is_a_capture_like_any(capfd: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "luytre_agent", "replay", "--json"]
    with subprocess.Popen(["cat", str(CAPTURE)], stdout=subprocess.PIPE) as cat:
        piped = subprocess.run([*command, "-"], stdin=cat.stdout, capture_output=True, check=True, timeout=60)
    named = subprocess.run([*command, str(CAPTURE)], capture_output=True, check=True, timeout=60)
    assert piped.stdout.count(b"\n") == named.stdout.count(b"\n") > 0
    empty = subprocess.run([*command, "-"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    assert (empty.returncode, empty.stdout, empty.stderr.count(b"\n")) == (2, b"", 1)
    assert main(["replay", "-", "--deliver", "--config", "x.toml"]) == 2
    assert "-: --deliver looks at every file" in capfd.readouterr().err


@pytest.mark.parametrize("sent", [None, CAPTURE.read_bytes()[:100]], ids=["no writer", "a writer that says no more"])
def test_waiting_for_a_fifo_is_interrupted(tmp_path: Path, sent: bytes | None) -> None:
    fifo = tmp_path / "fifo.pcap"
    os.mkfifo(fifo)
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from luytre_agent.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    with subprocess.Popen([sys.executable, "-c", code, "replay", str(fifo)], stderr=subprocess.PIPE) as command:
        writer = None
        try:
            if sent:
                writer = os.open(fifo, os.O_WRONLY)
                os.write(writer, sent)
            while not _has_open(command.pid, fifo):
                assert command.poll() is None
            command.send_signal(signal.SIGINT)
            _, said = command.communicate(timeout=30)
        finally:
            command.kill()
            if writer is not None:
                os.close(writer)
    assert (command.returncode, said) == (1, b"luytre-agent: interrupted\n")


def _has_open(pid: int, path: Path) -> bool:
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if one.readlink() == path:
                return True
    return False


def test_a_fifo_cannot_be_delivered(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.pcap"
    os.mkfifo(fifo)
    assert main(["replay", str(fifo), "--deliver", "--config", "none.toml"]) == 2
    assert f"{fifo}: --deliver looks at every file before it begins" in capfd.readouterr().err
