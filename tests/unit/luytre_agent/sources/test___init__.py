from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from luytre_agent import sources
from luytre_agent.sources import Config, Context, changed, kinds, packets, sockets

BEFORE = Config()


def test_names_begin_with_their_kind(tmp_path: Path) -> None:
    config = replace(
        BEFORE,
        state_directory=tmp_path,
        packets=packets.Config(interfaces=["lo", "auto"]),
        replay=sources.replay.Config(files=[tmp_path / "a.pcap"]),
    )
    for kind, build in sources.SOURCES.items():
        names = list(build(config, Context()))
        assert names, kind
        assert {name.partition(":")[0] for name in names} == {kind}


def test_kinds_that_run() -> None:
    assert kinds(BEFORE) == set(sources.SOURCES)
    assert kinds(replace(BEFORE, packets=packets.Config(enabled=False))) == set(sources.SOURCES) - {"packets"}


def test_nothing_changes_by_itself() -> None:
    assert changed(BEFORE, Config()) == set()
    assert changed(BEFORE, replace(BEFORE, refresh_seconds=1.0)) == set()


def test_other_interfaces_leave_those_that_stay_alone() -> None:
    assert changed(BEFORE, replace(BEFORE, packets=packets.Config(interfaces=["eth0"]))) == set()
    assert changed(BEFORE, replace(BEFORE, packets=packets.Config(snap_length=96))) == {"packets"}


def test_who_asks_another_source_is_made_anew_with_its_switch() -> None:
    off = replace(BEFORE, sockets=sockets.Config(enabled=False))
    assert changed(BEFORE, off) == {"sockets", "packets"}
    slower = replace(BEFORE, sockets=sockets.Config(poll_seconds=5.0))
    assert changed(BEFORE, slower) == {"sockets"}
    quiet = replace(BEFORE, processes=sources.processes.Config(enabled=False))
    assert changed(BEFORE, quiet) == {"processes", "files"}


def test_processes_take_a_redaction_when_they_are_opened() -> None:
    assert changed(BEFORE, BEFORE, redaction_too=True) == {"processes"}
