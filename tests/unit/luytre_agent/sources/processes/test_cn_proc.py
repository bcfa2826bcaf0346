from __future__ import annotations

import os
import socket
import struct

import pytest

from tests.support.processes import Watch, is_row, run

NETLINK_CONNECTOR = 11  # linux/netlink.h


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
    assert not [row for row in watch.rows if is_row(row, "exec", os.getpid())]
