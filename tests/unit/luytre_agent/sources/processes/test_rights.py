from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Row, Watch, is_row, kernel_rungs, run, whole_rungs


@pytest.mark.root
@whole_rungs
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
@whole_rungs
def test_capabilities_of_a_file_are_gained(watch: Watch) -> None:
    program = Path("/var/tmp") / f"luytre-capable-{os.getpid()}"
    program.write_bytes(Path("/bin/true").read_bytes())
    try:
        program.chmod(0o755)
        # VFS_CAP_REVISION_2 with the effective bit, cap_net_raw permitted: linux/capability.h
        os.setxattr(program, "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0))
        run("/bin/sh", "-c", f"{program}; exit", user="www-data")

        def found(rows: list[Row]) -> list[Row]:
            return [row for row in rows if row["event_action"] == "exec" and row["process_executable"] == str(program)]

        (row,) = found(watch.until(found))
        assert row["process_capabilities_gained"] == "cap_net_raw"
    finally:
        program.unlink()


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
@kernel_rungs
def test_a_container_is_known_by_the_cgroup(watch: Watch, container: tuple[str, Path]) -> None:
    name, folder = container
    move = f"echo $$ > {folder}/cgroup.procs; "
    process = subprocess.Popen(["/bin/sh", "-c", f"{move} exec /bin/cat"], stdin=subprocess.PIPE)
    watch.until(lambda rows: cats(rows, process.pid))
    (row,) = cats(watch.rows, process.pid)
    process.communicate()
    assert (row["container_id"], row["container_runtime"]) == (name, "docker")
    ended = watch.exit_of(process.pid)
    assert (ended["container_id"], ended["container_runtime"]) == (name, "docker")


def cats(rows: list[Row], pid: int) -> list[Row]:
    return [row for row in rows if is_row(row, "exec", pid) and row["process_executable"].endswith("/cat")]


@pytest.mark.root
def test_a_container_that_is_gone_is_known(watch: Watch, container: tuple[str, Path]) -> None:
    name, folder = container
    process = subprocess.Popen(["/bin/sh", "-c", f"echo $$ > {folder}/cgroup.procs; exec /bin/cat /dev/null"])
    process.wait()
    folder.rmdir()  # before anything is read of what happened
    watch.until(lambda rows: cats(rows, process.pid))
    (row,) = cats(watch.rows, process.pid)
    assert (row["container_id"], row["container_runtime"]) == (name, "docker")
    assert "place_unknown" not in row["process_oddities"].split()
    assert watch.exit_of(process.pid)["container_id"] == name
