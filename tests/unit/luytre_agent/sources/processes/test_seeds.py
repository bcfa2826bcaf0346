from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.processes import Row, Watch, run


@pytest.mark.root
def test_what_ran_before_is_told_once() -> None:
    process = subprocess.Popen(["/bin/cat", "-"], stdin=subprocess.PIPE)
    while not Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(b"/bin/cat"):
        time.sleep(0.01)
    quiet = Watch(rung="ebpf", seed=False)
    watch = Watch(rung="ebpf")
    row = watch.seed_of(process.pid)
    process.communicate()
    ended = watch.exit_of(process.pid)
    quiet.exit_of(process.pid)
    for one in (watch, quiet):
        one.source.close()
    assert row["process_command_line"] == "/bin/cat -"
    assert row["process_parent_pid"] == os.getpid()
    assert row["process_entity_id"] == ended["process_entity_id"]
    assert not [one for one in quiet.rows if one["event_action"] == "seed"]
    assert watch.counters()["seed"] > 1


@pytest.mark.root
def test_forks_make_rows_if_wanted() -> None:
    watch = Watch(rung="ebpf", forks=True)
    pid, _ = run("/bin/sh", "-c", "(exit 7); exit 8")
    watch.exit_of(pid)

    def forks(rows: list[Row]) -> list[Row]:
        return [row for row in rows if row["process_parent_pid"] == pid and row["event_action"] == "fork"]

    (row,) = forks(watch.until(forks))
    watch.source.close()
    assert row["process_command_line"] == "/bin/sh -c (exit 7); exit 8"
    assert row["process_session_id"] == os.getsid(0)
