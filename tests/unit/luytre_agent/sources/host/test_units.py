from __future__ import annotations

import os
from pathlib import Path

import pytest
from luytre_agent.sources.host.units import marks, read_timers, read_units


@pytest.fixture
def root(tmp_path: Path) -> Path:
    etc, lib = tmp_path / "etc/systemd/system", tmp_path / "usr/lib/systemd/system"
    for folder in (etc / "multi-user.target.wants", etc / "web.service.d", lib):
        folder.mkdir(parents=True)
    (lib / "web.service").write_text("[Service]\nExecStart=/usr/bin/web\nUser=www\n")
    (lib / "web.timer").write_text("[Timer]\nOnCalendar=daily\n")
    (lib / "noise.txt").write_text("")
    (etc / "multi-user.target.wants/web.service").symlink_to("/usr/lib/systemd/system/web.service")
    (etc / "off.service").symlink_to("/dev/null")
    return tmp_path


def test_units_and_timers(root: Path) -> None:
    assert read_units(root).keys() == {"web.service", "off.service"}
    web = read_units(root)["web.service"]
    assert (web["path"], web["enabled_by"], web["User"]) == (
        "/usr/lib/systemd/system/web.service",
        "multi-user.target",
        "www",
    )
    assert read_units(root)["off.service"]["masked"] == "yes"
    assert read_timers(root)["web.timer"]["OnCalendar"] == "daily"


def test_another_unit_of_the_name_comes_first(root: Path) -> None:
    (root / "etc/systemd/system/web.service").write_text("[Service]\nExecStart=/tmp/evil\n")
    assert read_units(root)["web.service"]["ExecStart"] == "/tmp/evil"


def test_a_drop_in_changes_it_and_the_mark(root: Path) -> None:
    before, mark = read_units(root)["web.service"], marks(root)
    (root / "etc/systemd/system/web.service.d/x.conf").write_text("[Service]\nExecStart=/tmp/evil\n")
    after = read_units(root)["web.service"]
    assert (after["ExecStart"], after["additions"]) == ("/tmp/evil", "1")
    assert after["sha256"] != before["sha256"]
    assert marks(root) != mark


def test_what_is_no_file_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "etc/systemd/system/pipe.service")
    (root / "etc/systemd/system/loop.service").symlink_to("loop.service")
    (root / "etc/systemd/system/bad.service").write_bytes(b"ExecStart=\xff\0\n=\n" * 9)
    assert read_units(root).keys() == {"web.service", "off.service", "pipe.service", "loop.service", "bad.service"}


def test_no_systemd(tmp_path: Path) -> None:
    assert read_units(tmp_path) == {}
    assert marks(tmp_path) == marks(tmp_path)
