"""Who did it."""

from __future__ import annotations

import os
import pwd
import subprocess
import threading
from pathlib import Path

import pytest
from luytre_agent import _core

from tests.support.watched import Watch


@pytest.mark.root
def test_who_did_it(folder: Path) -> None:
    watch = Watch(folder, "fanotify")
    folder.chmod(0o777)
    for above in folder.parents:
        if not above.stat().st_mode & 1:
            above.chmod(0o711)
    script = 'echo x > "$0/file"; read line'
    www = pwd.getpwnam("www-data")
    command = ["/bin/sh", "-c", script, str(folder)]
    process = subprocess.Popen(command, user="www-data", stdin=subprocess.PIPE)
    row = watch.one("created", folder / "file")
    seen = _core.read_process(process.pid)
    process.communicate()
    watch.close()
    assert (row["process_pid"], row["process_name"]) == (process.pid, "sh")
    assert seen
    assert int(row["process_entity_id"]) == seen.entity_id > 1
    assert row["process_executable"] == os.path.realpath("/bin/sh")
    assert row["process_command_line"] == " ".join(command)
    assert (row["user_id"], row["user_name"], row["file_owner"]) == (www.pw_uid, "www-data", "www-data")
    assert row["file_oddities"] == ""


@pytest.mark.root
def test_of_a_process_that_is_gone_the_pid_is_left(folder: Path) -> None:
    watch = Watch(folder, "fanotify")
    process = subprocess.Popen(["/bin/touch", str(folder / "x")])
    process.wait()
    row = watch.one("created", folder / "x")
    watch.close()
    assert (row["process_pid"], row["process_entity_id"], row["process_name"]) == (process.pid, 0, "")
    assert (row["user_id"], row["file_oddities"]) == (4294967295, "process_unknown")
    assert watch.counters()["process_unknown", "fanotify"] == 1


@pytest.mark.root
def test_of_tools_that_are_gone_the_process_events_tell(folder: Path) -> None:
    owners, stop = _core.Owners(), threading.Event()
    events = _core.ProcessEvents("ebpf", owners=owners, hashes=False)

    def take_in() -> None:
        while not stop.is_set():
            events.poll(0.1)

    thread = threading.Thread(target=take_in)
    thread.start()
    watch = Watch(folder, "fanotify", owners)
    wanted: dict[str, tuple[int, str]] = {}
    for number in range(40):
        file = folder / str(number)
        command = ["/bin/sh", "-c", f"echo x > {file}"] if number % 2 else ["/bin/mkdir", str(file)]
        tool = subprocess.Popen(command)
        tool.wait()
        wanted[str(file)] = (tool.pid, " ".join(command))
    rows = watch.until(lambda rows: len({row["file_path"] for row in rows} & set(wanted)) == len(wanted))
    found = {row["file_path"]: (row["process_pid"], row["process_command_line"]) for row in rows}
    stop.set()
    thread.join()
    watch.close()
    events.close()
    assert found == wanted
    assert watch.count("process_unknown") == 0
    assert {row["user_name"] for row in rows} == {"root"}
