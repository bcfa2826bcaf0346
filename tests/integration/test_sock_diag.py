"""The rung below eBPF, with real sockets and processes: what is looked up is right, and what is not known is said."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from luytre_agent import _core
from luytre_agent.sources.sockets import Config, Sockets

from deploy.demo.namespaces import inside, pair

pytestmark = pytest.mark.root

Row = dict[str, Any]
DEADLINE_S = 20.0
#: Connects, says that it did, and lives until its input ends.
HOLD = (
    "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])));"
    " s.sendall(b'hello'); print(s.getsockname()[1], flush=True); sys.stdin.read()"
)
HOLD_UDP = (
    "import socket, sys; six = ':' in sys.argv[1]; s = socket.socket(socket.AF_INET6 if six else socket.AF_INET,"
    " socket.SOCK_DGRAM); s.connect((sys.argv[1], int(sys.argv[2]))); s.send(b'x');"
    " print(s.getsockname()[1], flush=True); sys.stdin.read()"
)


class Watch:
    """An open source on the rung, and the rows that came of it."""

    def __init__(self, owners: _core.Owners | None = None) -> None:
        config = Config(rung="sock_diag", poll_seconds=0.05, batch_seconds=0.05)
        self.source = Sockets(config, owners or _core.Owners())
        self.source.open()
        self.rows: list[Row] = []
        self.poll()

    def poll(self) -> None:
        for batch in self.source.poll(0.1):
            self.rows += map(json.loads, _core.to_json_lines(batch).splitlines())

    def until(self, port: int, *actions: str, pid: int | None = None) -> list[Row]:
        """The first row of each action at the port, of the process if one is given."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            mine = [row for row in self.rows if port in (row["source_port"], row["destination_port"])]
            mine = [row for row in mine if pid in (None, row["process_pid"])]
            found = [next((row for row in mine if row["event_action"] == one), None) for one in actions]
            if None not in found:
                return [row for row in found if row]
            assert time.monotonic() < deadline, f"{actions}: {mine}; {self.counters()}"
            self.poll()

    def counters(self) -> dict[str, int]:
        return {sample.name: sample.value for sample in self.source.samples()}


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    watch.source.close()


@contextmanager
def holding(script: str, host: str, port: int) -> Iterator[tuple[int, int]]:
    """A process with a socket to there; its pid and its port."""
    command = [sys.executable, "-c", script, host, str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield process.pid, int(process.stdout.readline())


def found(row: Row) -> tuple[int, str, int]:
    return row["process_pid"], row["attribution_method"], row["attribution_confidence"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_connection_is_told_from_both_ends(watch: Watch, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        (listen,) = watch.until(port, "listen")
        with holding(HOLD, host, port) as (pid, client_port):
            accepted, _ = server.accept()
            with accepted:
                assert accepted.recv(64) == b"hello"
                (connect,), (accept,) = watch.until(port, "connect", pid=pid), watch.until(port, "accept")
        assert watch.until(port, "close", pid=pid)[0]["source_payload_bytes"] == 5
    assert found(listen) == (os.getpid(), "sock_diag", 70)
    assert (found(connect), found(accept)) == ((pid, "sock_diag", 70), (os.getpid(), "sock_diag", 70))
    for row in (connect, accept):
        assert (row["event_source"], row["network_transport"]) == ("sock_diag", "tcp")
        assert (row["source_ip"], row["source_port"], row["destination_ip"]) == (host, client_port, host)
    assert "sys.stdin.read" in connect["process_command_line"]
    (close,) = watch.until(port, "close", pid=os.getpid())
    assert close["destination_port"] == port


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_datagrams(watch: Watch, host: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((host, 0))
        port = server.getsockname()[1]
        (bind,) = watch.until(port, "bind")
        with holding(HOLD_UDP, host, port) as (pid, client_port):
            (connect,) = watch.until(port, "connect", pid=pid)
        watch.until(port, "close", pid=pid)
    watch.until(port, "close", pid=os.getpid())
    assert found(bind) == (os.getpid(), "sock_diag", 70)
    assert (connect["source_port"], connect["network_transport"]) == (client_port, "udp")


def test_what_was_there_before_is_seeded_with_its_direction() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with holding(HOLD, "127.0.0.1", port) as (pid, client_port):
            accepted, _ = server.accept()
            with accepted:
                accepted.recv(64)
                watch = Watch()
                (client,) = watch.until(client_port, "seed", pid=pid)
                here = [row for row in watch.rows if row["process_pid"] == os.getpid()]
                watch.source.close()
    assert found(client) == (pid, "sock_diag", 70)
    ends = [(row["source_port"], row["destination_port"]) for row in here if row["destination_port"] == port]
    assert sorted(ends) == [(0, port), (client_port, port)]


def test_several_holders_are_a_doubt_until_one_is_left(watch: Watch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        server.set_inheritable(True)
        sleeper = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
        try:
            (listen,) = watch.until(port, "listen")
        finally:
            os.kill(sleeper, signal.SIGKILL)
            os.waitpid(sleeper, 0)
    assert found(listen) == (0, "", 0)
    assert watch.counters()["held_by_several"] >= 1


def test_what_comes_and_goes_between_two_looks_is_told_without_an_owner() -> None:
    source = Sockets(Config(rung="sock_diag", poll_seconds=600, batch_seconds=0.05), _core.Owners())
    source.open()
    source.poll(0.01)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            client_port = client.getsockname()[1]
    rows: list[Row] = []
    deadline = time.monotonic() + DEADLINE_S
    while not any(row["source_port"] == client_port and row["event_action"] == "close" for row in rows):
        assert time.monotonic() < deadline
        for batch in source.poll(0.1):
            rows += map(json.loads, _core.to_json_lines(batch).splitlines())
    assert {found(row) for row in rows if row["source_port"] == client_port} == {(0, "", 0)}
    source.close()


def test_sockets_of_other_namespaces_are_seen_and_told_apart() -> None:
    with pair() as ends:
        with inside(ends.blue.namespace):
            before = socket.create_server(("127.0.0.1", 0))
        watch = Watch()
        with before, inside(ends.red.namespace):
            port = before.getsockname()[1]
            later = socket.create_server(("127.0.0.1", port))
        with later:
            (seed,), (listen,) = watch.until(port, "seed"), watch.until(port, "listen")
            counters = watch.counters()
        watch.source.close()
    assert seed["network_namespace_id"] != listen["network_namespace_id"]
    assert counters["namespaces"] >= 3
    assert counters["namespaces_refused"] == 0


def test_a_flow_that_lasts_has_its_process() -> None:
    owners = _core.Owners()
    with pair() as ends:
        capture = _core.LiveCapture("lo", network_namespace=ends.blue.namespace, ring_bytes=1 << 20, owners=owners)
        with inside(ends.blue.namespace):
            server = socket.create_server(("127.0.0.1", 0))
        watch = Watch(owners)
        port = server.getsockname()[1]
        with server, inside(ends.blue.namespace), holding(HOLD, "127.0.0.1", port) as (pid, client_port):
            watch.until(port, "connect", pid=pid)
        watch.until(port, "close", pid=pid)
        batches = [*capture.poll(0.2), *capture.close()]
        watch.source.close()
    rows = [json.loads(line) for batch in batches for line in _core.to_json_lines(batch).splitlines()]
    (flow,) = [row for row in rows if row["table"] == "flows" and row["source_port"] == client_port]
    assert found(flow) == (pid, "sock_diag", 70)


def test_it_counts_what_it_does(watch: Watch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        watch.until(server.getsockname()[1], "listen")
        counters = watch.counters()
    assert counters["dumps"] >= 2
    assert counters["walks"] >= 2
    assert counters["dump_microseconds"] > 0
    assert counters["walk_microseconds"] > 0
    assert counters["sockets_known"] > 0
    quiet = ("lost", "malformed", "dumps_failed", "dumps_interrupted", "walks_cut", "processes_refused")
    assert {name: counters[name] for name in (*quiet, "sockets_skipped")} == dict.fromkeys(
        (*quiet, "sockets_skipped"), 0
    )
