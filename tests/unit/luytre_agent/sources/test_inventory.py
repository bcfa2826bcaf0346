from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from luytre_agent import _core
from luytre_agent.sources import inventory
from luytre_agent.sources.inventory import Config, Inventory
from luytre_common.errors import Unavailable

Row = dict[str, Any]
DAY = 86_400.0
OFF = dict.fromkeys(("kernel", "listening_port", "bpf_program", "mount", "clock", "sysctl", "kernel_module"), False)


class Time:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.boot = 1000.0
        self.offset = 1_700_000_000.0

    def sleep(self, seconds: float) -> None:
        self.boot += seconds + 1e-6

    def wall(self) -> float:
        return self.boot + self.offset


class Host:
    """A host's files in a folder, a source that looks at them, and what it says."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.state = folder / "state"
        self.time = Time()
        self.write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nlan:x:1000:1000::/home/lan:/bin/sh\n")
        self.write("etc/group", "root:x:0:\nsudo:x:27:\n")
        self.write("etc/os-release", 'NAME="Debian GNU/Linux"\nVERSION_ID="12"\n')
        self.write("var/lib/dpkg/status", "Package: ssh\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n")
        self.write("etc/systemd/system/web.service", "[Service]\nExecStart=/usr/bin/web\n")
        self.source = self.start()

    def write(self, path: str, content: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(content)

    def start(self, **settings: Any) -> Inventory:
        config = Config(root=self.root, batch_seconds=0.05, **{**OFF, **settings})
        self.source = Inventory(config, self.state, self.time.wall, lambda: self.time.boot, self.time.sleep)
        self.source.open()
        return self.source

    def stop(self) -> list[Row]:
        return rows_of(self.source.close())

    def after(self, seconds: float = 5.0) -> list[Row]:
        """What it says within this time."""
        end = self.time.boot + seconds
        rows: list[Row] = []
        for _ in range(100_000):
            rows += rows_of(self.source.poll(30.0))
            if self.time.boot >= end:
                break
        return rows

    def count(self, name: str, label: str = "") -> int:
        return {(one.name, one.label): one.value for one in self.source.samples()}.get((name, label), 0)


def rows_of(batches: Any) -> list[Row]:
    return [json.loads(line) for batch in batches for line in _core.to_json_lines(batch).splitlines()]


def told(rows: list[Row]) -> list[tuple[str, str, str, str, str]]:
    names = ("event_action", "inventory_kind", "inventory_name", "inventory_before", "inventory_after")
    return [tuple(row[name] for name in names) for row in rows]  # type: ignore[misc]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_first_everything_then_differences(host: Host) -> None:
    first = told(host.after())
    assert {action for action, *_ in first} == {"snapshot"}
    assert {kind for _, kind, *_ in first} == {"os", "user", "group", "unit", "package"}
    assert ("snapshot", "package", "ssh", "", "architecture=all version=1") in first
    host.write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/root:/bin/sh\n")
    host.write("var/lib/dpkg/status", "Package: ssh\nStatus: install ok installed\nVersion: 12\nArchitecture: all\n")
    assert told(host.after(61)) == [
        ("removed", "user", "lan", "gid=1000 home=/home/lan shell=/bin/sh uid=1000", ""),
        ("added", "user", "toor", "", "gid=0 home=/root privileged=root,uid0 shell=/bin/sh uid=0"),
        ("changed", "package", "ssh", "architecture=all version=1", "architecture=all version=12"),
    ]
    assert host.after(600) == []
    assert host.count("unchanged") > 10
    assert host.count("looks", "package") == 2


def test_a_restart_tells_what_changed_meanwhile(host: Host) -> None:
    host.after()
    host.stop()
    host.write("etc/group", "root:x:0:\nsudo:x:27:lan\n")
    host.start()
    assert [row[:3] for row in told(host.after())] == [("changed", "user", "lan"), ("changed", "group", "sudo")]


def test_what_was_not_handed_on_is_told_again(host: Host) -> None:
    host.after()
    host.write("etc/os-release", "NAME=Other\n")
    host.time.boot += 4000
    while host.count("looks", "os") < 2:
        assert rows_of(host.source.poll(0.0)) == []
    host.start()  # the other one crashed before its batch was due
    assert [row[:3] for row in told(host.after())] == [("changed", "os", "operating system")]


def test_everything_anew_every_day(host: Host) -> None:
    assert len(host.after()) == len(host.after(DAY))
    host.stop()
    host.start()
    assert host.after(3600) == [], "a restart is no new day"


def test_the_clock_was_set(host: Host) -> None:
    host.start(clock=True)
    host.after()
    host.time.offset += 3600
    rows = host.after(1)
    assert [row[:3] for row in told(rows)] == [("changed", "clock", "time step")]
    assert "seconds=+3600.000" in rows[0]["inventory_after"]
    assert host.count("clock_steps") == 1
    host.time.offset -= 2 * DAY
    assert {row[0] for row in told(host.after(5))} == {"changed", "snapshot"}, "a day that is not over yet begins anew"


def test_one_kind_that_fails_does_not_stop_the_others(host: Host) -> None:
    (host.root / "etc/passwd").unlink()
    os.mkfifo(host.root / "etc/passwd")
    shutil.rmtree(host.root / "var")
    kinds = {row[1] for row in told(host.after())}
    assert kinds == {"os", "group", "unit"}
    assert host.count("failures", "user") == 1
    assert host.count("absent", "package") == 1
    host.after(300)
    assert host.count("failures", "user") == 6


def test_it_is_bounded(host: Host) -> None:
    host.write("etc/group", "".join(f"g{at}:x:{at}:\n" for at in range(100)))
    host.start(max_things=16)
    assert sum(row["inventory_kind"] == "group" for row in host.after()) == 16
    assert host.count("overflows", "group") == 84


def test_a_kind_can_be_switched_off(host: Host) -> None:
    host.start(user=False, package=False)
    assert {row["inventory_kind"] for row in host.after()} == {"os", "group", "unit"}
    assert host.count("kinds") == 4
    host.stop()
    host.start(package=False)
    assert {row["event_action"] for row in host.after()} == {"snapshot"}, "of the kind that is new"


@pytest.mark.parametrize(
    "saved", ['{"kinds": {"user": [1]}, "snapshot_at": 1}', '{"kinds": 7}', '{"snapshot_at": "x"}']
)
def test_a_state_that_is_not_ours(host: Host, saved: str) -> None:
    host.after()
    host.stop()
    (host.state / "inventory.json").write_text(saved)
    host.start()
    assert {row["event_action"] for row in host.after()} == {"snapshot"}
    assert host.count("states_rejected") == 1


def test_a_disk_that_refuses(host: Host) -> None:
    shutil.rmtree(host.state, ignore_errors=True)
    host.state.write_text("in the way of the folder")
    assert len(host.after()) > 5
    assert host.count("state_failures") > 0


def test_names_of_any_bytes_and_lengths(host: Host) -> None:
    (host.root / "etc/passwd").write_bytes(b"a\xff\0b:x:0:0:::" + b"x" * 100_000 + b"\n" + b"n" * 9000 + b":x:1:1:::\n")
    rows = [row for row in host.after() if row["inventory_kind"] == "user"]
    assert len(rows) == 2
    assert all(len(row["inventory_name"]) <= 1024 and len(row["inventory_after"]) <= 4096 for row in rows)
    assert host.count("rows_refused", "inventory") == 0


def test_command_lines_are_redacted_before_anything_is_kept(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "redacted", lambda text: text.replace("s3cret", "***"))
    host.write("etc/systemd/system/web.service", "[Service]\nExecStart=/usr/bin/web --password s3cret\n")
    (unit,) = [row for row in host.after() if row["inventory_kind"] == "unit"]
    assert 'ExecStart="/usr/bin/web --password ***"' in unit["inventory_after"]
    assert "s3cret" not in (host.state / "inventory.json").read_text()


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"no such folder; correct \[sources.inventory\] root"):
        Inventory(Config(root=tmp_path / "none"), tmp_path).open()


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    assert inventory.build(Config(enabled=False), tmp_path) == {}
    make: Callable[[], Any] = inventory.build(Config(), tmp_path)["inventory"]
    made = make()
    assert (made.name, made.finished, list(made.poll(0.0)), list(made.close())) == ("inventory", False, [], [])
