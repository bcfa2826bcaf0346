from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import Watch, every_rung, run, whole_rungs


@pytest.mark.root
@whole_rungs
def test_long_arguments_are_cut_and_counted(watch: Watch) -> None:
    before = watch.counters()["args_truncated"]
    pid, _ = run("/bin/true", "x" * 100_000)
    row = watch.exec_of(pid)
    assert row["process_command_line"] == "/bin/true " + "x" * (4096 - len("/bin/true "))
    assert row["process_oddities"] == "args_truncated"
    assert watch.counters()["args_truncated"] > before


@pytest.mark.root
@every_rung
def test_a_program_that_is_in_memory_only_is_told(watch: Watch) -> None:
    memory = os.memfd_create("payload", 0)
    os.write(memory, Path("/bin/cat").read_bytes())
    command = [f"/proc/self/fd/{memory}", "-u", "-"]
    with subprocess.Popen(command, pass_fds=[memory], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        os.close(memory)
        row = watch.exec_of(process.pid)
    assert row["process_executable"] == "/memfd:payload (deleted)"
    assert row["process_command_line"].endswith(" -u -")


@pytest.mark.root
@every_rung
def test_a_program_whose_file_is_deleted_is_told(watch: Watch, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/cat").read_bytes())
    program.chmod(0o755)
    descriptor = os.open(program, os.O_RDONLY)
    program.unlink()
    command = [f"/proc/self/fd/{descriptor}"]
    with subprocess.Popen(command, pass_fds=[descriptor], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        os.close(descriptor)
        row = watch.exec_of(process.pid)
    assert row["process_executable"] == f"{program} (deleted)"


@pytest.mark.root
@whole_rungs
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
@whole_rungs
def test_bytes_that_are_not_text_do_not_harm(watch: Watch) -> None:
    process = subprocess.Popen([b"/bin/true", b"\xff\xfe", b"", "cây tre\n".encode()])
    process.wait()
    assert watch.exec_of(process.pid)["process_command_line"] == "/bin/true \ufffd\ufffd  cây tre\n"


#: What tries to look like something else, or to be too much.
HOSTILE = [
    [b'"quoted" a1="x"', b"new\nline audit(1.1:1): argc=1", b"", b"a0=61", b"\x01\xff\xfe", "cây tre".encode()],
    [b"61626364", b"(null)", b"'", b"\\", b" ", b"="],
    [bytes(range(1, 256))],
    [b"x" * 128, b"y" * 3500],
]
TOO_MUCH = [[b"z" * 131_000], [b"n%d" % number for number in range(10_000)]]


@pytest.mark.root
@whole_rungs
@pytest.mark.parametrize("arguments", HOSTILE, ids=["forged", "encoded", "binary", "long"])
def test_arguments_are_exactly_what_the_process_had(watch: Watch, arguments: list[bytes]) -> None:
    with subprocess.Popen([b"/bin/true", *arguments]) as process:
        process.wait()
    row = watch.exec_of(process.pid)
    assert row["process_args"] == ["/bin/true", *(one.decode(errors="replace") for one in arguments)]
    assert row["process_oddities"] == ""


@pytest.mark.root
@whole_rungs
@pytest.mark.parametrize(
    "arguments", [[b"z" * 131_000], [b"n%d" % number for number in range(10_000)]], ids=["long", "many"]
)
def test_of_too_much_the_beginning_is_kept(watch: Watch, arguments: list[bytes]) -> None:
    with subprocess.Popen([b"/bin/true", *arguments]) as process:
        process.wait()
    row = watch.exec_of(process.pid)
    whole = "\0".join(["/bin/true", *(one.decode() for one in arguments)])
    assert "\0".join(row["process_args"]) == whole[:4096].removesuffix("\0")
    assert row["process_oddities"] == "args_truncated"
