from __future__ import annotations

import os
import pty
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import Row, Watch, every_rung, is_row, kernel_rungs, run, whole_rungs


@pytest.mark.root
@whole_rungs
def test_every_short_lived_process_is_seen_with_all_its_arguments(watch: Watch) -> None:
    before = watch.counters()
    wanted = {f"/bin/true luytre-{os.getpid()}-{number} two  words" for number in range(500)}
    pids = {run(*line.split(" ", 2))[0] for line in sorted(wanted)}

    def mine(rows: list[Row]) -> list[Row]:
        return [row for row in rows if row["process_pid"] in pids and row["process_executable"].endswith("/true")]

    rows = mine(watch.until(lambda rows: len(mine(rows)) >= 1000))
    execs = [row for row in rows if row["event_action"] == "exec"]
    exits = [row for row in rows if row["event_action"] == "exit"]

    assert {row["process_command_line"] for row in execs} == wanted
    assert {row["process_command_line"] for row in exits} == wanted
    assert [len(execs), len(exits)] == [500, 500]
    assert {row["process_entity_id"] for row in execs} == {row["process_entity_id"] for row in exits}
    assert len({row["process_entity_id"] for row in execs}) == 500
    # What a process used can only be read below eBPF while its parent has not heard of its end.
    assert {row["process_oddities"] for row in rows} <= ({""} if watch.source.rung == "ebpf" else {"", "usage_unknown"})
    after = watch.counters()
    assert min(after[name] - before[name] for name in ("fork", "exec", "exit")) >= 500
    assert after["lost"] == 0


@pytest.mark.root
@every_rung
def test_what_a_row_says(watch: Watch, held: subprocess.Popen[bytes]) -> None:
    row = watch.exec_of(held.pid)
    www = pwd.getpwnam("www-data")
    parent = Path(f"/proc/{os.getpid()}")
    arguments = parent.joinpath("cmdline").read_bytes()[:-1].replace(b"\0", b" ").decode()

    assert row["event_source"] == watch.source.rung
    assert row["process_name"] == "sh"
    assert row["process_executable"] == os.path.realpath("/bin/sh")
    assert row["process_command_line"] == "/bin/sh -c read line; exit 3 held an argument"
    assert row["process_working_directory"] == "/usr"
    assert row["process_parent_pid"] == os.getpid()
    assert row["process_parent_name"] == parent.joinpath("comm").read_text().strip()
    assert row["process_parent_executable"] == os.path.realpath(sys.executable)
    assert row["process_parent_command_line"] == arguments
    assert (row["user_id"], row["user_name"], row["user_effective_id"]) == (www.pw_uid, "www-data", www.pw_uid)
    assert row["group_id"] == os.getgid()
    assert row["user_audit_id"] == int(parent.joinpath("loginuid").read_text())
    assert row["process_cgroup_id"] == _cgroup_of(parent)
    assert (row["process_exit_code"], row["process_lifetime"], row["process_oddities"]) == (0, 0, "")

    me = Path("/proc/self")
    assert row["process_args"] == ["/bin/sh", "-c", "read line; exit 3", "held", "an argument"]
    assert row["user_effective_name"] == "www-data"
    assert row["process_session_id"] == os.getsid(0)
    spaces = [row[f"process_{name}_namespace_id"] for name in ("pid", "mount", "network")]
    assert spaces == [me.joinpath("ns", name).stat().st_ino for name in ("pid", "mnt", "net")]
    assert (row["process_script"], row["process_set_id"], row["process_capabilities_gained"]) == ("", "", "")
    assert (row["process_cpu_time"], row["process_io_read_bytes"], row["process_io_write_bytes"]) == (0, 0, 0)


def _cgroup_of(process: Path) -> int:
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    root = next(fields[1] for fields in mounts if fields[2] == "cgroup2")
    path = next(line[4:] for line in process.joinpath("cgroup").read_text().splitlines() if line.startswith("0::/"))
    return Path(root, path).stat().st_ino


@pytest.mark.root
@kernel_rungs
def test_an_exit_joins_its_exec(watch: Watch, held: subprocess.Popen[bytes]) -> None:
    began = watch.exec_of(held.pid)
    held.communicate(b"\n")
    ended = watch.exit_of(held.pid)
    same = ["entity_id", "start", "executable", "command_line", "parent_pid", "parent_entity_id", "parent_command_line"]
    assert {name: ended[f"process_{name}"] for name in same} == {name: began[f"process_{name}"] for name in same}
    assert ended["process_exit_code"] == 3
    assert ended["user_name"] == "www-data"
    assert ended["process_lifetime"] > 0
    assert ended["process_start"] <= began["event_time"] <= ended["event_time"]


@pytest.mark.root
@kernel_rungs
def test_exit_codes_and_signals(watch: Watch) -> None:
    for number in (0, 1, 255):
        pid, _ = run("/bin/sh", "-c", f"exit {number}")
        assert watch.exit_of(pid)["process_exit_code"] == number
    process = subprocess.Popen(["/bin/sleep", "60"])
    process.kill()
    process.wait()
    assert watch.exit_of(process.pid)["process_exit_code"] == -signal.SIGKILL


@pytest.mark.root
@kernel_rungs
def test_a_fork_runs_the_program_of_its_parent(watch: Watch) -> None:
    pid, _ = run("/bin/sh", "-c", "(exit 7); exit 8")

    def inner(rows: list[Row]) -> list[Row]:
        return [row for row in rows if row["process_parent_pid"] == pid and row["event_action"] == "exit"]

    (row,) = inner(watch.until(inner))
    outer = watch.exit_of(pid)
    assert (row["process_exit_code"], outer["process_exit_code"]) == (7, 8)
    assert row["process_command_line"] == outer["process_command_line"]
    assert row["process_parent_entity_id"] == outer["process_entity_id"] != row["process_entity_id"]


@pytest.mark.root
@kernel_rungs
def test_a_process_with_threads_ends_once_and_with_its_last_thread(watch: Watch) -> None:
    script = "import threading, os\nfor _ in range(8): threading.Thread(target=lambda: None).start()\nos._exit(5)"
    pid, _ = run(sys.executable, "-c", script)
    assert watch.exit_of(pid)["process_exit_code"] == 5
    run("/bin/true")
    watch.take(watch.source.poll(0.2))
    assert len([row for row in watch.rows if is_row(row, "exit", pid)]) == 1


@pytest.mark.root
@kernel_rungs
def test_a_script_is_told_from_its_interpreter(watch: Watch, tmp_path: Path) -> None:
    script = tmp_path / "backup.sh"
    script.write_text("#!/bin/sh\nread line\n")
    script.chmod(0o755)
    for command, cwd in ((str(script), "/"), ("./backup.sh", str(tmp_path))):
        process = subprocess.Popen([command], cwd=cwd, stdin=subprocess.PIPE)
        row = watch.exec_of(process.pid)
        process.communicate(b"\n")
        assert row["process_script"] == str(script)
        assert row["process_executable"] == os.path.realpath("/bin/sh")


@pytest.mark.root
@every_rung
def test_a_terminal_and_a_session(watch: Watch) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv("/bin/sh", ["sh", "-c", "read line"])
    row = watch.exec_of(pid)
    name = str(Path(f"/proc/{pid}/fd/0").readlink()).removeprefix("/dev/")
    os.write(terminal, b"\n")
    os.waitpid(pid, 0)
    os.close(terminal)
    assert (row["process_tty"], row["process_session_id"]) == (name, pid)


@pytest.mark.root
def test_what_a_process_used(watch: Watch, tmp_path: Path) -> None:
    work = (
        "import os, time\n"
        "end = time.process_time() + 0.2\n"
        "while time.process_time() < end: pass\n"
        f"file = os.open({str(tmp_path / 'data')!r}, os.O_CREAT | os.O_WRONLY)\n"
        "os.write(file, bytes(1 << 20)); os.fsync(file)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", work])
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    row = watch.exit_of(process.pid)
    assert 200_000 <= row["process_cpu_time"] <= row["process_lifetime"]
    assert abs(row["process_cpu_time"] / 1e6 - usage.ru_utime - usage.ru_stime) < 0.1
    assert row["process_io_write_bytes"] >= 1 << 20
    assert row["process_oddities"] == ""


@pytest.mark.root
def test_threads_that_are_cut_off_count(watch: Watch) -> None:
    work = (
        "import hashlib, os, threading, time\n"
        "def burn():\n"
        "    while True: hashlib.sha256(bytes(1 << 20))\n"
        "for _ in range(6): threading.Thread(target=burn, daemon=True).start()\n"
        "while time.process_time() < 0.6: time.sleep(0.02)\n"
        "os._exit(0)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", work])
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    row = watch.exit_of(process.pid)
    assert abs(row["process_cpu_time"] / 1e6 - usage.ru_utime - usage.ru_stime) < 0.1
