from __future__ import annotations

import os
import subprocess

from tests.support.processes import Watch, is_row, opened_by, run


def test_it_needs_no_rights() -> None:
    as_somebody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
    told = opened_by(as_somebody, "proc")
    assert (told["error"], told["rung"]) == ("", "proc")
    assert told["notes"] == ["what lives shorter than 1.0 s is not seen"]


def test_what_lives_long_enough_is_seen_to_begin_to_change_and_to_end() -> None:
    watch = Watch(rung="proc")
    shell = "read line; exec /bin/cat - now"
    with subprocess.Popen(["/bin/sh", "-c", shell], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        began = watch.exec_of(process.pid)
        assert process.stdin
        process.stdin.write(b"\n")
        process.stdin.flush()
        rows = watch.until(lambda rows: [row for row in rows if row["process_command_line"] == "/bin/cat - now"])
        process.communicate()
    ended = watch.exit_of(process.pid)
    watch.source.close()
    execs = [row for row in rows if is_row(row, "exec", process.pid)]
    assert [row["process_command_line"] for row in execs] == [f"/bin/sh -c {shell}", "/bin/cat - now"]
    assert began["event_source"] == "proc"
    assert began["process_start"] == began["event_time"], "it was there when it was first seen"
    assert {row["process_entity_id"] for row in (*execs, ended)} == {began["process_entity_id"]}
    assert ended["process_oddities"] == "usage_unknown exit_unknown"
    assert ended["process_exit_code"] == 0
    assert watch.counters()["exit_unknown"] >= 1
    assert watch.counters()["looks"] >= 2


def test_a_zombie_still_has_its_exit_code() -> None:
    watch = Watch(rung="proc")
    process = subprocess.Popen(["/bin/sh", "-c", "read line; exit 7"], stdin=subprocess.PIPE)
    watch.exec_of(process.pid)
    assert process.stdin
    process.stdin.write(b"\n")
    process.stdin.close()
    ended = watch.exit_of(process.pid)  # nobody has waited for it
    process.wait()
    watch.source.close()
    assert (ended["process_exit_code"], ended["process_oddities"]) == (7, "")
    assert len([row for row in watch.rows if is_row(row, "exit", process.pid)]) == 1


def test_what_is_too_short_is_counted() -> None:
    watch = Watch(rung="proc")
    pids = {run("/bin/true")[0] for _ in range(50)}
    watch.take(watch.source.poll(0.3))
    watch.source.close()
    seen = {row["process_pid"] for row in watch.rows if row["event_action"] in ("exec", "fork")} & pids
    assert watch.counters()["forks_unseen"] >= 50 - len(seen)


def test_a_fork_that_goes_on_as_its_parent_is_no_exec() -> None:
    watch = Watch(rung="proc", forks=True)
    with subprocess.Popen(["/bin/sh", "-c", "(read line); true"], stdin=subprocess.PIPE) as process:
        rows = watch.until(lambda rows: [row for row in rows if row["process_parent_pid"] == process.pid])
        process.communicate(b"\n")
    watch.source.close()
    (inner,) = [row for row in rows if row["process_parent_pid"] == process.pid]
    assert (inner["event_action"], inner["process_command_line"]) == ("fork", "/bin/sh -c (read line); true")
