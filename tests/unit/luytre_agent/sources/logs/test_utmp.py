# ruff: noqa: E501
from __future__ import annotations

import platform
import subprocess
from ipaddress import ip_address

import pytest
from luytre_agent.sources.logs.utmp import layout, row

TIME = 1_795_472_684


def record(kind: int, user: bytes = b"lan", line: bytes = b"pts/0", host: bytes = b"", address: str = "", machine: str = "x86_64") -> bytes:  # fmt: skip
    packed = ip_address(address).packed if address else b""
    return layout(machine).pack(kind, 812, line, b"ts/0", user, host, 0, 0, 7, TIME, 120_001, packed.ljust(16, b"\0"))


def test_both_layouts() -> None:
    assert (layout("x86_64").size, layout("i686").size, layout("aarch64").size) == (384, 384, 400)
    for machine in ("x86_64", "aarch64"):
        found = row(record(7, address="203.0.113.66", host=b"web", machine=machine), layout(machine), failed=False)
        assert found == {
            "event_time": TIME * 1_000_000 + 120_001,
            "event_action": "login", "event_outcome": "success", "event_source": "wtmp",
            "process_pid": 812, "user_name": "lan", "session_id": "pts/0", "process_tty": "pts/0",
            "message": "login success lan pts/0 from web", "source_ip": "203.0.113.66",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "user", "failed", "action", "outcome"),
    [
        (7, b"lan", False, "login", "success"), (8, b"", False, "logout", "success"), (6, b"root", True, "login", "failure"),
        (2, b"reboot", False, "boot", ""), (1, b"shutdown", False, "shutdown", ""),
    ],
)  # fmt: skip
def test_kinds(kind: int, user: bytes, failed: bool, action: str, outcome: str) -> None:
    found = row(record(kind, user), layout("x86_64"), failed)
    assert found
    assert (found["event_action"], found["event_outcome"]) == (action, outcome)
    assert found["event_source"] == ("btmp" if failed else "wtmp")


def test_what_says_nothing() -> None:
    for kind in (0, 1, 3, 4, 5, 6, 9, -1):
        assert row(record(kind, b"LOGIN"), layout("x86_64"), failed=False) is None


def test_hostile_records() -> None:
    found = row(record(6, b"\xff\x1b[2J" + b"x" * 28, address="2001:db8::7"), layout("x86_64"), failed=True)
    assert found
    assert found["user_name"].startswith("\ufffd\\x1b[2Jx")
    assert found["source_ip"] == "2001:db8::7"
    for machine in ("x86_64", "aarch64"):
        shape = layout(machine)
        assert row(b"\xff" * shape.size, shape, failed=True) is None


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the records are of this layout")
def test_utmpdump_reads_the_same() -> None:
    try:
        said = subprocess.run(["utmpdump"], input=record(7, address="203.0.113.66"), capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("no utmpdump here")
    text = said.stdout.decode()
    assert "[7] [00812] [ts/0] [lan" in text
    assert "[203.0.113.66" in text
