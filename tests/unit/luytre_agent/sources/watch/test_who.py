from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_agent import _core
from luytre_agent.sources.watch.names import Names
from luytre_agent.sources.watch.who import NO_USER, Processes, Who, entity_id, parse_stat, place, text
from luytre_common.errors import Unavailable

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def processes() -> Processes:
    return Processes(Names(Path("/etc/passwd")), time.monotonic)


def test_the_identity_of_a_process() -> None:
    # printf '6b5c7b1c-bf0c-4402-87f8-00f4797f7c7f 812 4242' | sha1sum | cut -c1-16
    printed = subprocess.run(
        "printf '6b5c7b1c-bf0c-4402-87f8-00f4797f7c7f 812 4242' | sha1sum | cut -c1-16",
        shell=True, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert entity_id("6b5c7b1c-bf0c-4402-87f8-00f4797f7c7f", 812, 4242) == int(printed.stdout, 16)


@pytest.mark.root
def test_it_is_the_one_that_the_core_gives() -> None:
    try:
        events = _core.ProcessEvents("cn_proc", batch_seconds=0.05)
    except OSError as error:
        raise Unavailable(str(error)) from error
    child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    found = processes().find(child.pid)
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
    me = processes().find(os.getpid())
    assert me is not None
    assert me.executable == os.path.realpath(sys.executable)
    assert (me.uid, me.user) == (os.getuid(), pwd.getpwuid(os.getuid()).pw_name)
    arguments = Path("/proc/self/cmdline").read_bytes()[:4096].removesuffix(b"\0").replace(b"\0", b" ")
    assert me.command_line == arguments.decode()


def test_one_that_ended_is_remembered_for_a_moment() -> None:
    now = 100.0
    table = Processes(Names(Path("/etc/passwd")), lambda: now)
    child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    deadline = time.monotonic() + 10
    while (before := table.find(child.pid)) is None or before.name != "cat":
        assert time.monotonic() < deadline
    child.communicate()
    assert table.find(child.pid) == before
    assert table.find(child.pid, alive=False) == before
    now += 3
    assert table.find(child.pid) == Who(child.pid, uid=NO_USER)
    assert table.find(os.getpid(), alive=False) == Who(os.getpid()), "another may have its pid"
    assert table.find(0) is None


def test_it_remembers_a_few_only() -> None:
    table = Processes(Names(Path("/etc/passwd")), time.monotonic, keep=2)
    children = [subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) for _ in range(4)]
    for child in children:
        table.find(child.pid)
    for child in children:
        child.communicate()
    known = [one for child in children if (one := table.find(child.pid)) and one.name]
    assert len(known) == 2


def test_units_and_containers() -> None:
    assert place("0::/system.slice/nginx.service\n") == ("nginx.service", "")
    assert place("0::/user.slice/user-0.slice/session-3.scope") == ("session-3.scope", "")
    docker = "0123456789abcdef" * 4
    assert place(f"0::/system.slice/docker-{docker}.scope\n") == (f"docker-{docker}.scope", "0123456789ab")
    old = f"4:memory:/docker/{docker}\n1:name=systemd:/system.slice/docker.service\n"
    assert place(old) == ("docker.service", "0123456789ab")
    assert place("") == place("nonsense") == ("", "")


@given(st.binary(max_size=200), st.text(max_size=200))
def test_nothing_read_from_proc_raises(stat: bytes, cgroup: str) -> None:
    parse_stat(stat)
    place(cgroup)


def test_a_name_may_hold_brackets() -> None:
    line = b"7 (a) b (c) S 3 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 1234 0 0"
    assert parse_stat(line) == ("a) b (c", 1234)
    assert parse_stat(b"7 (a) S") is None


def test_paths_for_people() -> None:
    assert text(os.fsdecode(b"/tmp/\xff\xc3\xa9")) == "/tmp/\ufffdé"
