from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.processes import Row, Watch, kernel_rungs, run

PTRACE_ATTACH, PTRACE_SEIZE, PTRACE_DETACH = 16, 0x4206, 17
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


@contextmanager
def traced(pid: int, request: int) -> Iterator[None]:
    """Traces a child of ours."""
    assert LIBC.ptrace(request, pid, None, None) == 0, os.strerror(ctypes.get_errno())
    if request == PTRACE_SEIZE:
        os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    yield
    assert LIBC.ptrace(PTRACE_DETACH, pid, None, None) == 0
    os.kill(pid, signal.SIGCONT)


@pytest.mark.root
@kernel_rungs
@pytest.mark.parametrize("request_", [PTRACE_ATTACH, PTRACE_SEIZE], ids=["attach", "seize"])
def test_who_traces_whom(watch: Watch, request_: int) -> None:
    with subprocess.Popen(["/bin/cat"], user="www-data", stdin=subprocess.PIPE) as process:
        began = watch.exec_of(process.pid)
        with traced(process.pid, request_):
            pass

        def ours(rows: list[Row]) -> list[Row]:
            return [row for row in rows if row["process_target_pid"] == process.pid]

        (row,) = ours(watch.until(ours))
    assert (row["event_action"], row["event_source"]) == ("ptrace", watch.source.rung)
    assert (row["process_pid"], row["process_entity_id"]) == (os.getpid(), began["process_parent_entity_id"])
    assert row["process_target_entity_id"] == began["process_entity_id"]
    assert (row["process_target_name"], row["process_target_user_name"]) == ("cat", "www-data")
    assert row["process_target_executable"] == began["process_executable"]
    assert watch.counters()["ptrace"] >= 1


@pytest.mark.root
def test_it_can_be_left_out() -> None:
    watch = Watch(rung="ebpf", ptrace=False)
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as process, traced(process.pid, PTRACE_SEIZE):
        pass
    watch.exit_of(process.pid)
    watch.source.close()
    assert not [row for row in watch.rows if row["event_action"] == "ptrace"]
    assert watch.counters()["ptrace"] == 0


@pytest.mark.root
def test_its_connector_hears_of_nothing_else() -> None:
    watch = Watch(rung="ebpf")
    for _ in range(50):
        pid, _ = run("/bin/true")
    watch.exit_of(pid)
    watch.source.close()
    execs = [row for row in watch.rows if row["process_pid"] == pid]
    assert [row["event_action"] for row in execs] == ["exec", "exit"]
    assert (watch.counters()["malformed"], watch.counters()["ptrace_refused"]) == (0, 0)
