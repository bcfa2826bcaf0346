from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from luytre_agent.sources.logs.journal import Journal, entry
from luytre_agent.sources.logs.syslog import Entry
from luytre_common.errors import Unavailable
from luytre_common.telemetry import Counters

JOURNALD = Path("/lib/systemd/systemd-journald")
DEADLINE_S = 15.0

#: As journalctl 252 writes it, without the fields that are not asked for.
RECORDED = {
    "__CURSOR": "s=b2b0fd93d9b247aa820285370e610f7d;i=3;b=6b5c7b1c;m=1858f5786;t=660f90f939fe6;x=f88f4f82ca63cda4",
    "__REALTIME_TIMESTAMP": "1795472684720102",
    "_SOURCE_REALTIME_TIMESTAMP": "1795472684717653",
    "_UID": "0",
    "_PID": "7600",
    "_COMM": "sshd",
    "_EXE": "/usr/sbin/sshd",
    "SYSLOG_IDENTIFIER": "sshd",
    "SYSLOG_PID": "812",
    "MESSAGE": "Failed password for root from 203.0.113.66 port 51514 ssh2",
}


def line(**changes: object) -> bytes:
    return json.dumps({name: value for name, value in {**RECORDED, **changes}.items() if value is not None}).encode()


def test_an_entry() -> None:
    cursor, found, cut, trusted = entry(line()) or pytest.fail("no entry")
    assert cursor == RECORDED["__CURSOR"]
    assert found == Entry(1795472684717653, "sshd", 812, RECORDED["MESSAGE"])
    assert (cut, trusted) == (False, True)


@pytest.mark.parametrize(
    ("changes", "program"),
    [
        ({"_UID": "1000", "_EXE": "/usr/bin/logger"}, "/usr/bin/logger"),
        ({"_UID": "1000", "_EXE": "/home/lan/sshd"}, "/home/lan/sshd"),
        ({"_UID": "1000", "_EXE": None, "_COMM": "sshd"}, "(sshd)"),
        ({"_UID": None, "_EXE": None, "_COMM": None}, "()"),
    ],
)
def test_nobody_but_root_and_the_program_itself_may_use_its_name(changes: dict[str, str], program: str) -> None:
    found = entry(line(**changes))
    assert found
    assert (found[1].program, found[1].pid, found[3]) == (program, 7600, False)


@pytest.mark.parametrize(("name", "executable"), [("sudo", "/usr/bin/sudo"), ("CRON", "/usr/sbin/cron")])
def test_a_program_that_users_start_keeps_its_name(name: str, executable: str) -> None:
    found = entry(line(SYSLOG_IDENTIFIER=name, _EXE=executable, _UID="1000"))
    assert found
    assert (found[1].program, found[3]) == (name, True)


def test_messages_that_are_no_text_or_too_long() -> None:
    found = entry(line(MESSAGE=[70, 255, 1, 10]))
    assert found
    assert found[1].message == "F\ufffd\\x01\\x0a"
    found = entry(line(MESSAGE="x" * 1_000_000))
    assert found
    assert (len(found[1].message), found[2]) == (8192, True)
    for nothing in (None, [], {}, 7, [1000], "\ud800"):
        assert entry(line(MESSAGE=nothing))


@pytest.mark.parametrize(
    "bad", [b"", b"{", b"[]", b"7", b"{}", b"\xff", b"[" * 100_000, line(__CURSOR=7), line(__CURSOR=None),
            line(_SOURCE_REALTIME_TIMESTAMP="soon")],
)  # fmt: skip
def test_what_is_no_entry(bad: bytes) -> None:
    assert entry(bad) is None


def fake(folder: Path, entries: str) -> list[str]:
    """A program that answers as journalctl does, with `entries` (shell that prints lines) when it follows."""
    program = folder / "journalctl"
    last = json.dumps({"__CURSOR": "s=first"})
    program.write_text(f"""#!/bin/sh
echo "$*" >> {folder}/calls
case "$*" in
*--follow*) {entries} ;;
*bad*) exit 1 ;;
*) echo '{last}' ;;
esac
""")
    program.chmod(0o755)
    return [str(program)]


def gather(journal: Journal, count: int) -> list[Entry]:
    found: list[Entry] = []
    deadline = time.monotonic() + DEADLINE_S
    while len(found) < count:
        assert time.monotonic() < deadline, found
        found += journal.read(0.1)
    return found


def test_a_child_that_ends_is_started_again_after_the_last_entry(tmp_path: Path) -> None:
    forged = line(_UID="1000", _EXE="/usr/bin/logger")
    (tmp_path / "lines").write_bytes(
        forged + b"\n" + line(__CURSOR="s=second") + b"\nrubbish\n" + b"x" * (5 << 20) + b"\n"
    )
    counters = Counters("x")
    now = iter(range(1000, 100_000, 5))
    journal = Journal(fake(tmp_path, f"cat {tmp_path}/lines"), counters, lambda: float(next(now)))
    journal.open("")
    assert len(gather(journal, 4)) == 4
    journal.close()
    assert journal.cursor == "s=second"
    follows = [one for one in (tmp_path / "calls").read_text().splitlines() if "--follow" in one]
    assert "--after-cursor=s=first" in follows[0]
    assert "--after-cursor=s=second" in follows[1]
    assert counters.get("journal_restarts") >= 1
    assert counters.get("untrusted") >= 2
    assert counters.get("journal_unreadable") >= 2


def test_a_cursor_that_is_none_any_more_is_counted(tmp_path: Path) -> None:
    counters = Counters("x")
    journal = Journal(fake(tmp_path, "exec sleep 60"), counters, time.monotonic)
    journal.open("s=bad")
    assert (journal.cursor, counters.get("cursors_lost")) == ("s=first", 1)
    assert list(journal.read(0.0)) == []
    journal.close()
    journal.close()


def test_absent_or_empty_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"no such program; .*read = files"):
        Journal([str(tmp_path / "none")], Counters("x"), time.monotonic).open("")
    with pytest.raises(Unavailable, match=r"the journal is empty, or not for us; .* systemd-journal"):
        Journal(["true"], Counters("x"), time.monotonic).open("")


@pytest.fixture
def namespace() -> Iterator[str]:
    """A journald of our own, beside the system's."""
    if not JOURNALD.exists() or shutil.which("journalctl") is None:
        pytest.skip("no systemd here")
    name = f"luytre-test-{os.getpid()}"
    folder = Path(f"/run/systemd/journal.{name}")
    process = subprocess.Popen([JOURNALD, name], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + DEADLINE_S
        while not (folder / "dev-log").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.skip("journald does not run here")
            time.sleep(0.02)
        yield name
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
        machine = Path("/etc/machine-id").read_text().strip()
        for place in ("/var/log/journal", "/run/log/journal"):
            shutil.rmtree(f"{place}/{machine}.{name}", ignore_errors=True)


def log(namespace: str, text: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(text, f"/run/systemd/journal.{namespace}/dev-log")


@pytest.mark.root
def test_the_real_journal_goes_on_where_it_was_left(namespace: str) -> None:
    command = ["journalctl", f"--namespace={namespace}"]
    log(namespace, b"<38>Nov 23 22:11:00 sshd[1]: before")
    deadline = time.monotonic() + DEADLINE_S
    while not subprocess.run([*command, "-q", "-o", "cat"], capture_output=True, check=False).stdout:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    journal = Journal(command, Counters("x"), time.monotonic)
    journal.open("")
    log(namespace, b"<38>Nov 23 22:11:00 sshd[812]: one \xff")
    log(namespace, b"<30>Nov 23 22:11:00 nginx[5]: of another facility")
    log(namespace, b"<86>Nov 23 22:11:00 sudo: two")
    found = gather(journal, 2)
    assert [(one.program, one.pid, one.message) for one in found] == [
        ("sshd", 812, "one \ufffd"), ("sudo", os.getpid(), "two"),
    ]  # fmt: skip
    journal.close()
    log(namespace, b"<38>Nov 23 22:11:00 sshd[812]: three")
    again = Journal(command, Counters("x"), time.monotonic)
    again.open(journal.cursor)
    log(namespace, b"<38>Nov 23 22:11:00 sshd[812]: four")
    assert [one.message for one in gather(again, 2)] == ["three", "four"]
    again.close()
