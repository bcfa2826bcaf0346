"""What the agent itself consists of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from luytre_agent.sources.watch.own import Own

from tests.support.watched import Watch


def test_the_agents_own_files_are_watched_by_default(folder: Path, rung: str) -> None:
    settings_file, programs = folder / "agent.toml", folder / "site"
    programs.mkdir()
    settings_file.write_text("a = 1")
    (programs / "app.py").write_text("pass")
    own = Own((str(settings_file), str(programs)))
    watch = Watch(folder / "elsewhere", rung, own=own, defaults=True)
    settings_file.write_text("a = 2")
    (programs / "app.py").write_text("exit()")
    (folder / "other").write_text("nobody asks")
    for path in (settings_file, programs / "app.py"):
        assert watch.one("modified", path)["file_previous_hash_sha256"]
    assert not [row for row in watch.close() if row["file_path"].endswith("other")]
    assert Watch(folder, rung, own=own, paths=[str(programs)]).source.close() == []


@pytest.mark.root
def test_the_spool_is_watched_for_what_others_do_there(folder: Path) -> None:
    spool = folder / "spool"
    spool.mkdir()
    ours, theirs = spool / "1.seg", spool / "2.seg"
    for path in (ours, theirs):
        path.write_bytes(b"rows" * 1000)
    watch = Watch(folder / "elsewhere", "fanotify", own=Own((), str(spool)), defaults=True)
    ours.write_bytes(b"more rows")
    (spool / "3.seg").write_bytes(b"rows")
    ours.unlink()
    subprocess.run(["dd", "if=/dev/zero", f"of={spool / '3.seg'}", "count=1"], check=True, capture_output=True)
    lingers = "import pathlib, sys; pathlib.Path(sys.argv[1]).unlink(); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", lingers, str(theirs)], stdin=subprocess.PIPE) as other:
        deleted = watch.one("deleted", theirs)
    assert deleted["process_pid"] == other.pid
    assert str(theirs) in deleted["process_command_line"]
    assert deleted["file_previous_hash_sha256"] == ""  # segments are large, and hashing them would cost too much
    rows = [(row["event_action"], row["file_path"]) for row in watch.close()]
    assert ("modified", str(spool / "3.seg")) in rows or ("created", str(spool / "3.seg")) in rows
    assert str(ours) not in {path for _, path in rows}
    assert watch.count("events_ignored") >= 1  # the kernel may tell of several changes of one file at once


def test_without_the_process_the_spool_is_not_watched(folder: Path) -> None:
    spool = folder / "spool"
    spool.mkdir()
    watch = Watch(folder, "inotify", own=Own((), str(spool)), paths=[str(folder / "x")], defaults=True)
    (spool / "1.seg").write_bytes(b"rows")
    (folder / "x").write_bytes(b"")
    watch.one("created", folder / "x")
    assert len(watch.close()) == 1
