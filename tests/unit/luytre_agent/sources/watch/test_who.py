from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import time
from pathlib import Path

import pytest
from luytre_agent import _core
from luytre_agent.sources.watch.names import Names
from luytre_agent.sources.watch.who import NO_USER, Processes, Who, text
from luytre_common.errors import Unavailable

USERS = Names(Path("/etc/passwd"))


def now() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@pytest.mark.root
def test_the_identity_is_the_one_of_table_processes() -> None:
    try:
        events = _core.ProcessEvents("cn_proc", batch_seconds=0.05)
    except OSError as error:
        raise Unavailable(str(error)) from error
    child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    found = Processes(USERS).find(child.pid, 0, now())
    rows: list[dict[str, object]] = []
    deadline = time.monotonic() + 15
    while not rows and time.monotonic() < deadline:
        for batch in events.poll(0.1):
            read = map(json.loads, _core.to_json_lines(batch).splitlines())
            rows += [row for row in read if row["process_pid"] == child.pid and row["event_action"] == "exec"]
    child.communicate()
    events.close()
    assert found is not None
    assert int(str(rows[0]["process_entity_id"])) == found.entity_id > 1


def test_this_process() -> None:
    me = Processes(USERS).find(os.getpid(), 1, 2)
    assert me is not None
    assert me.executable == os.path.realpath(sys.executable)
    assert (me.uid, me.user) == (os.getuid(), pwd.getpwuid(os.getuid()).pw_name)
    arguments = Path("/proc/self/cmdline").read_bytes()[:4096].removesuffix(b"\0").replace(b"\0", b" ")
    assert me.command_line == _core.redact(arguments.decode())
    assert (me.since, me.until) == (1, 2)


def test_without_process_events_one_that_ended_is_remembered_for_a_moment() -> None:
    table = Processes(USERS, keep_s=2.0)
    child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    deadline = time.monotonic() + 10
    while (before := table.find(child.pid, 0, 100)) is None or before.name != "cat":
        assert time.monotonic() < deadline
    child.communicate()

    def later(seconds: float) -> Who | None:
        until = 100 + int(seconds * 1e9)
        who = table.find(child.pid, until, until, alive=False)
        assert who == Who(child.pid, since=until, until=until)
        return table.complete(who, patient=True)

    assert later(1) == before
    gone = later(3)
    assert gone is not None
    assert (gone.name, gone.uid) == ("", NO_USER)
    other = table.find(os.getpid(), 0, 100, alive=False)
    assert other == Who(os.getpid(), until=100), "another may have its pid"
    assert table.find(0, 0, 100) is None


def test_it_remembers_a_few_only() -> None:
    table = Processes(USERS, keep=2)
    children = [subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) for _ in range(4)]
    for child in children:
        table.find(child.pid, 0, 100)
    for child in children:
        child.communicate()
    known = [table.complete(Who(child.pid, until=100), patient=True) for child in children]
    assert len([one for one in known if one and one.name]) == 2


class Told:
    """What process events might have told so far."""

    def __init__(self, process: _core.Process | None, until: int) -> None:
        self.known, self.until = process, until

    def process(self, pid: int, since_ns: int, until_ns: int) -> _core.Process | None:
        assert since_ns <= until_ns
        return self.known

    def knows_processes(self, time_ns: int) -> bool:
        return time_ns <= self.until


def test_it_waits_until_the_process_events_have_come_so_far() -> None:
    me = _core.read_process(os.getpid())
    assert me is not None
    gone = Who(os.getpid(), since=5, until=10)
    told = Told(me, until=9)
    table = Processes(USERS, told)
    assert table.complete(gone, patient=True) is None, "what it ran then may still be told"
    assert table.complete(gone, patient=False) == gone
    told.until = 10
    found = table.complete(gone, patient=True)
    assert found is not None
    assert (found.entity_id, found.executable, found.until) == (me.entity_id, me.executable, 10)
    zombie = Who(os.getpid(), entity_id=me.entity_id + 1, name="other", until=10)
    assert table.complete(zombie, patient=True) == zombie, "not the process that was seen"
    told.known = None
    assert table.complete(gone, patient=True) == gone
    assert table.complete(found, patient=True) is found


@pytest.mark.root
def test_of_a_process_that_has_ended_the_events_tell_and_of_no_other_time() -> None:
    owners = _core.Owners()
    assert owners.knows_processes(now()), "nobody tells"
    before = now()
    events = _core.ProcessEvents("ebpf", owners=owners, hashes=False)
    child = subprocess.Popen(["/bin/sh", "-c", "exit 3", "--password=hunter22secret"])
    child.wait()
    after = now()
    deadline = time.monotonic() + 15
    while not owners.knows_processes(after):
        assert time.monotonic() < deadline
        events.poll(0.05)
    found = owners.process(child.pid, before, after)
    assert found is not None
    assert (found.pid, found.name, found.executable) == (child.pid, "sh", os.path.realpath("/bin/sh"))
    assert found.command_line.startswith("/bin/sh -c exit 3 --password=")
    assert "hunter22secret" not in found.command_line
    assert found.user_id == 0
    assert owners.process(child.pid, 0, before - 10**9) is None, "before it began"
    assert owners.process(child.pid, after + 2 * 10**9, after + 3 * 10**9) is None, "long after its end"
    events.close()
    assert owners.knows_processes(now()), "nobody tells any more"


def test_paths_for_people() -> None:
    assert text(os.fsdecode(b"/tmp/\xff\xc3\xa9")) == "/tmp/\ufffdé"
