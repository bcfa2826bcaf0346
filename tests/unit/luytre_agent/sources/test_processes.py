from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import pwd
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from luytre_agent import _core
from luytre_agent.sources import processes
from luytre_agent.sources.processes import Config, Processes
from luytre_common.errors import ConfigError, Unavailable
from luytre_common.settings import load

Row = dict[str, Any]
DEADLINE_S = 20.0
NETLINK_CONNECTOR = 11  # linux/netlink.h


def opened(config: Config) -> Processes:
    """An open source. Without clang at build time, or without BTF in this kernel, there is no eBPF to test."""
    source = Processes(config)
    try:
        source.open()
    except Unavailable as error:
        if "carries no eBPF object" in error.reason or "/sys/kernel/btf" in error.reason:
            pytest.skip(error.reason)
        raise
    return source


class Watch:
    """An open source and the rows that came of it."""

    def __init__(self, **settings: Any) -> None:
        self.source = opened(Config(batch_seconds=0.05, **settings))
        self.rows: list[Row] = []
        self.bodies: list[bytes] = []

    def take(self, batches: Any) -> None:
        for batch in batches:
            self.bodies.append(batch.body)
            self.rows += map(json.loads, _core.to_json_lines(batch).splitlines())

    def until(self, enough: Callable[[list[Row]], object]) -> list[Row]:
        """Poll until there are enough rows; fails after a while."""
        deadline = time.monotonic() + DEADLINE_S
        while not enough(self.rows):
            assert time.monotonic() < deadline, f"not seen; counters: {self.counters()}"
            self.take(self.source.poll(0.1))
        return self.rows

    def exit_of(self, pid: int) -> Row:
        """The exit row of a process of ours."""
        return self._one("exit", pid)

    def exec_of(self, pid: int) -> Row:
        """The exec row of a process of ours."""
        return self._one("exec", pid)

    def seed_of(self, pid: int) -> Row:
        """The row of a process that ran before."""
        return self._one("seed", pid)

    def _one(self, action: str, pid: int) -> Row:
        found = [
            row for row in self.until(lambda rows: any(_is(row, action, pid) for row in rows)) if _is(row, action, pid)
        ]
        assert len(found) == 1
        return found[0]

    def counters(self) -> dict[str, int]:
        return {sample.name: sample.value for sample in self.source.samples()}


def _is(row: Row, action: str, pid: int) -> bool:
    return bool(row["event_action"] == action and row["process_pid"] == pid)


@pytest.fixture
def watch(request: pytest.FixtureRequest) -> Iterator[Watch]:
    watch = Watch(rung=getattr(request, "param", "ebpf"))
    yield watch
    watch.source.close()


both_rungs = pytest.mark.parametrize("watch", ["ebpf", "cn_proc"], indirect=True)


def run(*arguments: str, **options: Any) -> tuple[int, int]:
    """Run to the end; pid and return code."""
    process = subprocess.Popen(arguments, **options)
    return process.pid, process.wait()


@pytest.fixture
def held(watch: Watch) -> Iterator[subprocess.Popen[bytes]]:
    """A shell that lives until its row is there, so that the slower rung can look it up too."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", "read line; exit 3", "held", "an argument"],
        user="www-data",
        cwd="/usr",
        stdin=subprocess.PIPE,
    )
    yield process
    process.communicate()


@pytest.mark.root
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
    assert {row["process_oddities"] for row in rows} == {""}
    after = watch.counters()
    assert min(after[name] - before[name] for name in ("fork", "exec", "exit")) >= 500
    assert after["lost"] == 0


@pytest.mark.root
@both_rungs
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
@both_rungs
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
@both_rungs
def test_exit_codes_and_signals(watch: Watch) -> None:
    for number in (0, 1, 255):
        pid, _ = run("/bin/sh", "-c", f"exit {number}")
        assert watch.exit_of(pid)["process_exit_code"] == number
    process = subprocess.Popen(["/bin/sleep", "60"])
    process.kill()
    process.wait()
    assert watch.exit_of(process.pid)["process_exit_code"] == -signal.SIGKILL


@pytest.mark.root
@both_rungs
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
def test_long_arguments_are_cut_and_counted(watch: Watch) -> None:
    before = watch.counters()["args_truncated"]
    pid, _ = run("/bin/true", "x" * 100_000)
    row = watch.exec_of(pid)
    assert row["process_command_line"] == "/bin/true " + "x" * (4096 - len("/bin/true "))
    assert row["process_oddities"] == "args_truncated"
    assert watch.counters()["args_truncated"] > before


@pytest.mark.root
def test_a_program_without_a_file_is_told_from_one_with(watch: Watch) -> None:
    memory = os.memfd_create("payload", 0)
    os.write(memory, Path("/bin/true").read_bytes())
    pid, _ = run(f"/proc/self/fd/{memory}", "hidden", pass_fds=[memory])
    os.close(memory)
    row = watch.exec_of(pid)
    assert row["process_executable"] == "/memfd:payload (deleted)"
    assert row["process_command_line"].endswith(" hidden")


@pytest.mark.root
def test_paths_are_whole_however_long(watch: Watch, tmp_path: Path) -> None:
    folder = tmp_path
    for number in range(60):  # more components than the kernel side walks
        folder /= f"folder-{number}"
    folder.mkdir(parents=True)
    process = subprocess.Popen(["/bin/cat"], cwd=folder, stdin=subprocess.PIPE)
    row = watch.exec_of(process.pid)
    process.communicate()
    assert row["process_working_directory"] == str(folder)


@pytest.mark.root
def test_bytes_that_are_not_text_do_not_harm(watch: Watch) -> None:
    process = subprocess.Popen([b"/bin/true", b"\xff\xfe", b"", "cây tre\n".encode()])
    process.wait()
    assert watch.exec_of(process.pid)["process_command_line"] == "/bin/true \ufffd\ufffd  cây tre\n"


@pytest.mark.root
def test_a_process_with_threads_ends_once_and_with_its_last_thread(watch: Watch) -> None:
    script = "import threading, os\nfor _ in range(8): threading.Thread(target=lambda: None).start()\nos._exit(5)"
    pid, _ = run(sys.executable, "-c", script)
    assert watch.exit_of(pid)["process_exit_code"] == 5
    run("/bin/true")
    watch.take(watch.source.poll(0.2))
    assert len([row for row in watch.rows if _is(row, "exit", pid)]) == 1


@pytest.mark.root
@pytest.mark.parametrize("rung", ["ebpf", "cn_proc"])
def test_what_a_stalled_reader_misses_is_counted(rung: str) -> None:
    watch = Watch(rung=rung, ring_bytes=4096)
    for _ in range(100):
        run("/bin/true", "x" * 1000)
    watch.take(watch.source.poll(0.5))
    watch.take(watch.source.close())
    counters = watch.counters()
    assert counters["lost"] > 0
    assert 0 < counters["exec"] < 100


@pytest.mark.root
def test_the_proc_connector_says_what_it_came_too_late_for() -> None:
    watch = Watch(rung="cn_proc")
    pid, _ = run("/bin/true", user="www-data")
    row = watch.exec_of(pid)  # read only now, when the process is gone
    watch.source.close()
    assert row["process_oddities"].startswith("exe_unknown args_unknown")
    assert (row["process_executable"], row["process_command_line"]) == ("", "")
    assert row["user_name"] == "www-data"
    assert (row["process_parent_pid"], row["process_entity_id"] != 0) == (os.getpid(), True)
    assert watch.counters()["args_unknown"] >= 1
    assert watch.counters()["exe_unknown"] >= 1


@pytest.mark.root
def test_nobody_but_the_kernel_is_believed() -> None:
    watch = Watch(rung="cn_proc")
    ours = (os.getpid(), 0)  # the kernel gives a process's first socket of a protocol its pid as port: netlink(7)
    exec_event = struct.pack("=IIQII", 2, 0, 0, os.getpid(), os.getpid())
    connector = struct.pack("=IIIIHH", 1, 1, 0, 0, len(exec_event), 0) + exec_event
    forged = struct.pack("=IHHII", 16 + len(connector), 3, 0, 0, 0) + connector
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR) as forger:
        forger.sendto(forged, ours)
        forger.sendto(forged[:20], ours)
    watch.take(watch.source.poll(0.2))
    watch.take(watch.source.close())
    assert watch.counters()["malformed"] == 2
    assert not [row for row in watch.rows if _is(row, "exec", os.getpid())]


@pytest.mark.root
@pytest.mark.parametrize(
    ("capabilities", "rung"), [(["+bpf", "+perfmon"], "ebpf"), (["+net_admin"], "cn_proc")], ids=["ebpf", "cn_proc"]
)
def test_few_rights_are_enough(capabilities: list[str], rung: str) -> None:
    opened(Config(rung="ebpf")).close()
    sets = [f"--{name}={','.join(['-all', *capabilities])}" for name in ("inh-caps", "bounding-set")]
    assert _opened_by(["setpriv", *sets], rung)["error"] == ""


@pytest.mark.root
def test_both_rungs_give_a_process_the_same_identity() -> None:
    watches = [Watch(rung=rung) for rung in processes.LADDER]
    process = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    first, second = (watch.exec_of(process.pid)["process_entity_id"] for watch in watches)
    process.communicate()
    for watch in watches:
        watch.source.close()
    assert first == second


@pytest.mark.root
def test_the_best_rung_is_taken_by_itself() -> None:
    opened(Config(rung="ebpf")).close()
    source = opened(Config())
    assert (source.rung, source.refused) == ("ebpf", [])
    source.close()
    assert source.poll(0.0) == ()
    assert {sample.label for sample in source.samples()} == {"ebpf"}


def _opened_by(command: list[str], rung: str) -> dict[str, Any]:
    """What comes of opening a source in a Python process that `command` starts."""
    code = (
        "import json\n"
        "from luytre_agent.sources.processes import *\n"
        "from luytre_common.errors import Unavailable\n"
        f"source, error = Processes(Config(rung={rung!r})), ''\n"
        "try: source.open()\n"
        "except Unavailable as unavailable: error = str(unavailable)\n"
        "samples = [(one.name, one.label) for one in source.samples()]\n"
        "print(json.dumps({'error': error, 'rung': source.rung, 'refused': source.refused, 'samples': samples}))"
    )
    done = subprocess.run([*command, sys.executable, "-c", code], check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


NO_RIGHTS = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]


@pytest.mark.root
def test_without_rights_it_says_why_and_what_would_help() -> None:
    opened(Config(rung="ebpf")).close()
    told = _opened_by(NO_RIGHTS, "ebpf")
    assert told["error"].startswith("process events: ebpf: ")
    assert "Operation not permitted" in told["error"]
    assert told["error"].endswith("run the agent as root, or give it CAP_BPF and CAP_PERFMON")
    assert told["samples"] == [["refused", "ebpf"]]


@pytest.mark.root
def test_a_rung_that_breaks_is_named_beside_the_one_that_holds() -> None:
    told = _opened_by(NO_RIGHTS, "auto")
    assert told["refused"][0][0] == "ebpf"
    assert ["refused", "ebpf"] in told["samples"]
    # Since Linux 6.6 everybody may listen to the proc connector; before, nothing holds.
    assert (told["rung"] == "cn_proc") != bool(told["error"])


@pytest.mark.root
def test_in_a_pid_namespace_of_its_own_it_says_so() -> None:
    opened(Config(rung="ebpf")).close()
    told = _opened_by(["unshare", "--pid", "--fork", "--mount-proc"], "auto")["error"]
    assert "ebpf: the agent is not in the host's pid namespace" in told
    assert "cn_proc: the kernel did not answer" in told
    assert told.endswith("run the agent on the host, or its container with the host's pid namespace")


def test_a_rung_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no rung kprobe; give ebpf or cn_proc"):
        _core.ProcessEvents("kprobe")
    with pytest.raises(ValueError, match="batch_rows is 0"):
        _core.ProcessEvents("ebpf", batch_rows=0)
    with pytest.raises(ValueError, match="batch_seconds"):
        _core.ProcessEvents("ebpf", batch_seconds=float("nan"))


def test_every_fault_of_the_configuration_is_named(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text('rung = "kprobe"\nring_bytes = 5000\nbatch_rows = 0\n')
    with pytest.raises(ConfigError) as caught:
        load(Config, path)
    assert len(caught.value.faults) == 3
    assert any("is not a power of two" in fault for fault in caught.value.faults)


def test_nothing_is_built_when_it_is_off() -> None:
    assert processes.build(Config(enabled=False)) == {}
    made = processes.build(Config())["processes"]()
    assert (made.name, made.finished, list(made.poll(0.0)), list(made.close())) == ("processes", False, [], [])


@pytest.mark.root
def test_a_ring_of_odd_size_is_unavailable_not_a_crash() -> None:
    opened(Config(rung="ebpf")).close()
    with pytest.raises(Unavailable, match="power of two"):
        Processes(Config(rung="ebpf", ring_bytes=5000)).open()


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.mark.root
def test_the_digest_of_the_executable(watch: Watch, tmp_path: Path) -> None:
    program = tmp_path / "program"
    for extra in (b"", b"changed"):
        program.write_bytes(Path("/bin/true").read_bytes() + extra)
        program.chmod(0o755)
        found = ""
        deadline = time.monotonic() + DEADLINE_S
        while not found and time.monotonic() < deadline:  # rows do not wait long for what is read for the first time
            pid, _ = run(str(program))
            found = watch.exec_of(pid)["process_hash_sha256"]
            assert found in ("", _digest(str(program)))
        assert found
        assert watch.exit_of(pid)["process_hash_sha256"] == found
    assert watch.counters()["hashed"] >= 2


@pytest.mark.root
def test_what_is_too_large_has_no_digest(watch: Watch, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o755)
    os.truncate(program, (64 << 20) + 1)
    pid, _ = run(str(program))
    assert watch.exec_of(pid)["process_hash_sha256"] == ""
    assert watch.counters()["hash_too_large"] >= 1


@pytest.mark.root
def test_digests_can_be_left_out() -> None:
    watch = Watch(rung="ebpf", hashes=False)
    pid, _ = run("/bin/true")
    assert watch.exec_of(pid)["process_hash_sha256"] == ""
    watch.source.close()
    assert watch.counters()["hashed"] == 0


@pytest.mark.root
@both_rungs
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
def test_a_set_user_id_program_is_told(watch: Watch) -> None:
    program = Path("/var/tmp") / f"luytre-setuid-{os.getpid()}"
    program.write_bytes(Path("/bin/true").read_bytes())
    try:
        program.chmod(0o4755)
        pid, _ = run(str(program), user="www-data", group="www-data", extra_groups=[])
        row = watch.exec_of(pid)
        plain, _ = run("/bin/true", user="www-data")
    finally:
        program.unlink()
    assert (row["process_set_id"], row["user_name"], row["user_effective_name"]) == ("setuid", "www-data", "root")
    assert watch.exec_of(plain)["process_set_id"] == ""


@pytest.mark.root
def test_capabilities_that_the_parent_lacks_are_gained(watch: Watch) -> None:
    inner = "import subprocess, sys; p = subprocess.Popen(['/bin/true']); p.wait(); print(p.pid)"
    outer = ["setpriv", "--inh-caps=-all", "--bounding-set=-net_raw", sys.executable, "-c", inner]
    pid = int(subprocess.run(outer, check=True, capture_output=True, text=True).stdout)
    assert watch.exec_of(pid)["process_capabilities_gained"] == ""
    script = (
        "import ctypes, os, subprocess\n"
        "libc = ctypes.CDLL(None)\n"
        "header = (ctypes.c_uint32 * 2)(0x20080522, 0)\n"
        "data = (ctypes.c_uint32 * 6)()\n"
        "libc.capget(header, data)\n"
        "data[0] &= ~(1 << 13)\n"  # effective, not permitted: root's next exec has it again
        "libc.capset(header, data)\n"
        "p = subprocess.Popen(['/bin/true']); p.wait(); print(p.pid)"
    )
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert watch.exec_of(int(found))["process_capabilities_gained"] == "cap_net_raw"


@pytest.mark.root
@both_rungs
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


@pytest.fixture
def container(watch: Watch) -> Iterator[tuple[str, Path]]:
    """A cgroup as docker makes it, in the tree of the memory controller and in the unified one."""
    name = "0123456789abcdef" * 4
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    trees = [Path(fields[1]) for fields in mounts if fields[2] == "cgroup2" or "memory" in fields[3].split(",")]
    folders = [tree / "docker" / name for tree in trees]
    try:
        for folder in folders:
            folder.mkdir(parents=True)
        yield name, folders[-1]
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    finally:
        for folder in folders:
            for one in (folder, folder.parent):
                with contextlib.suppress(OSError):
                    one.rmdir()


@pytest.mark.root
@both_rungs
def test_a_container_is_known_by_the_cgroup(watch: Watch, container: tuple[str, Path]) -> None:
    name, folder = container
    move = f"echo $$ > {folder}/cgroup.procs; "
    process = subprocess.Popen(["/bin/sh", "-c", f"{move} exec /bin/cat"], stdin=subprocess.PIPE)
    watch.until(lambda rows: _cats(rows, process.pid))
    (row,) = _cats(watch.rows, process.pid)
    process.communicate()
    assert (row["container_id"], row["container_runtime"]) == (name, "docker")
    ended = watch.exit_of(process.pid)
    assert (ended["container_id"], ended["container_runtime"]) == (name, "docker")


@pytest.mark.root
def test_a_container_that_is_gone_is_known(watch: Watch, container: tuple[str, Path]) -> None:
    name, folder = container
    process = subprocess.Popen(["/bin/sh", "-c", f"echo $$ > {folder}/cgroup.procs; exec /bin/cat /dev/null"])
    process.wait()
    folder.rmdir()  # before anything is read of what happened
    watch.until(lambda rows: _cats(rows, process.pid))
    (row,) = _cats(watch.rows, process.pid)
    assert (row["container_id"], row["container_runtime"]) == (name, "docker")
    assert "place_unknown" not in row["process_oddities"].split()
    assert watch.exit_of(process.pid)["container_id"] == name


def _cats(rows: list[Row], pid: int) -> list[Row]:
    return [row for row in rows if _is(row, "exec", pid) and row["process_executable"].endswith("/cat")]


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


SECRET = f"hunter2{os.getpid()}"


@pytest.mark.root
@both_rungs
def test_planted_secrets_never_reach_the_batches(watch: Watch) -> None:
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
    planted = [
        ["mysql", "-u", "root", f"-p{SECRET}"],
        ["tool", "--password", SECRET],
        ["tool", f"--api-key={SECRET}"],
        ["curl", "-u", f"an:{SECRET}", f"https://an:{SECRET}@host/"],
        ["curl", "-H", f"Authorization: Bearer {SECRET}"],
        ["env", f"DB_PASSWORD={SECRET}"],
        ["sh", "-c", f"mysql -p{SECRET} <x", f"--token={SECRET}"],
        ["tool", f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----"],
        ["tool", jwt, "AKIAIOSFODNN7EXAMPLE"],
    ]
    last = 0
    for arguments in planted:
        # The program waits, so that the slower rung can look; a child of it has the secret as parent's command line.
        process = subprocess.Popen(
            arguments, executable="/bin/sh", stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        last = process.pid
        watch.exec_of(last)
        process.communicate(b"/bin/true\n")
    watch.exit_of(last)
    watch.take(watch.source.poll(0.3))
    bodies = [zstandard.decompress(body) for body in watch.bodies]
    assert bodies
    for secret in (SECRET, jwt, "AKIAIOSFODNN7EXAMPLE"):
        assert not any(secret.encode() in body for body in bodies)
    assert any(b"[redacted]" in body for body in bodies)
    # The slower rung comes too late for some of them.
    assert watch.counters()["redacted"] >= (len(planted) if watch.source.rung == "ebpf" else 1)
