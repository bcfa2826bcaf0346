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
from luytre_agent.sources import sockets
from luytre_agent.sources.sockets import Config, Sockets
from luytre_common.errors import Unavailable

from deploy.demo.namespaces import inside
from tests.bench.attribution import translations
from tests.bench.attribution.stage import stage

Row = dict[str, Any]
DEADLINE_S = 20.0

ASK = (
    "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])));"
    " s.sendall(b'hello'); assert len(s.recv(64)) == 3"
)
TELL = "import socket, sys; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', (sys.argv[1], int(sys.argv[2])))"


class Watch:
    """An open source and the rows that came of it."""

    def __init__(self, **settings: Any) -> None:
        self.source = Sockets(Config(rung="ebpf", batch_seconds=0.05, **settings), _core.Owners())
        try:
            self.source.open()
        except Unavailable as error:
            if "carries no eBPF object" in error.reason or "/sys/kernel/btf" in error.reason:
                pytest.skip(error.reason)
            raise
        self.rows: list[Row] = []

    def until(self, port: int, *actions: str, count: int = 1) -> dict[str, list[Row]]:
        """Poll until each of the actions was seen so often at the port; rows by action."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            mine = [row for row in self.rows if row["destination_port"] == port]
            found = {action: [row for row in mine if row["event_action"] == action] for action in actions}
            if all(len(rows) >= count for rows in found.values()):
                return found
            assert time.monotonic() < deadline, f"not seen: {found}; counters: {self.counters()}"
            self.take(0.1)

    def take(self, timeout_s: float) -> None:
        for batch in self.source.poll(timeout_s):
            self.rows += map(json.loads, _core.to_json_lines(batch).splitlines())

    def counters(self) -> dict[str, int]:
        return {sample.name: sample.value for sample in self.source.samples()}


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    watch.source.close()


def run(script: str, host: str, port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", script, host, str(port)], stderr=subprocess.DEVNULL)


@pytest.mark.root
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_connection_is_told_from_both_ends(watch: Watch, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        client = run(ASK, host, port)
        accepted, (_, client_port, *_) = server.accept()
        with accepted:
            assert accepted.recv(64) == b"hello"
            accepted.sendall(b"yes")
            client.wait()
    found = watch.until(port, "listen", "connect", "accept", "close")
    (listen,), (connect,), (accept,) = found["listen"], found["connect"], found["accept"]
    assert (listen["process_pid"], listen["destination_ip"], listen["source_port"]) == (os.getpid(), host, 0)
    for row, pid in ((connect, client.pid), (accept, os.getpid())):
        assert (row["source_ip"], row["source_port"], row["destination_ip"]) == (host, client_port, host)
        assert (row["process_pid"], row["attribution_method"], row["attribution_confidence"]) == (pid, "ebpf", 100)
        assert row["network_transport"] == "tcp"
    assert connect["process_name"].startswith("python")
    while len(ends := [row for row in found["close"] if row["source_port"]]) < 2:
        found = watch.until(port, "close")
        watch.source.poll(0.1)
    assert {row["process_pid"] for row in ends} == {client.pid, os.getpid()}
    assert {(row["source_payload_bytes"], row["destination_payload_bytes"]) for row in ends} == {(5, 3)}
    assert all(row["tcp_rtt"] > 0 for row in ends)
    assert watch.counters()["lost"] == 0


@pytest.mark.root
def test_a_refused_connection_has_an_owner(watch: Watch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    client = run(ASK, "127.0.0.1", port)
    assert client.wait() != 0
    (row,) = watch.until(port, "connect", "close")["connect"]
    assert (row["process_pid"], row["attribution_confidence"]) == (client.pid, 100)


@pytest.mark.root
def test_datagrams_are_told_once_per_peer(watch: Watch) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        client = run(TELL, "127.0.0.1", port)
        peer = server.recvfrom(64)[1]
        for _ in range(5):
            server.sendto(b"answer", peer)
        client.wait()
        found = watch.until(port, "bind", "connect", "close")
    assert [row["process_pid"] for row in found["bind"]] == [os.getpid()]
    assert [(row["process_pid"], row["source_port"]) for row in found["connect"]] == [(client.pid, peer[1])]
    assert {row["network_transport"] for row in watch.rows if row["destination_port"] == port} == {"udp"}


@contextmanager
def holding(host: str, port: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that is connected to there, writes what it is given and ends when nothing more comes; and its port."""
    script = (
        "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])));"
        " print(s.getsockname()[1], flush=True); [s.sendall(line.encode()) for line in sys.stdin]"
    )
    command = [sys.executable, "-c", script, host, str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process, int(process.stdout.readline())


@pytest.mark.root
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_what_is_older_than_the_agent_has_its_owner_at_once(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server, socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.bind((host, 0))
        port = server.getsockname()[1]
        with holding(host, port) as (client, client_port):
            accepted, _ = server.accept()
            with accepted:
                watch = Watch()
                rows = watch.until(port, "seed")["seed"]
                told = watch.until(udp.getsockname()[1], "seed")["seed"]
                assert [(row["process_pid"], row["attribution_confidence"]) for row in told] == [(os.getpid(), 80)]
                ends = {(row["process_pid"], row["source_port"]): row["attribution_confidence"] for row in rows}
                assert ends == {
                    (os.getpid(), 0): 80,
                    (os.getpid(), client_port): 80,
                    (client.pid, client_port): 80,
                }
                # Once it is used, it is sure.
                client.communicate("x\n")
                assert accepted.recv(64) == b"x\n"
        closed = watch.until(port, "close", count=2)["close"]
        sure = {(row["process_pid"], row["attribution_confidence"]) for row in closed if row["source_port"]}
        assert sure == {(os.getpid(), 100), (client.pid, 100)}
        watch.source.close()


@pytest.mark.root
def test_a_listener_that_is_older_gives_its_connections_to_who_accepts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        watch = Watch()
        with holding("127.0.0.1", port) as (client, _):
            accepted, _ = server.accept()
            with accepted:
                client.communicate("x\n")
                accepted.recv(64)
                (accept,) = watch.until(port, "accept")["accept"]
        watch.source.close()
    assert (accept["process_pid"], accept["attribution_confidence"]) == (os.getpid(), 100)


@pytest.mark.root
def test_of_several_holders_none_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.set_inheritable(True)
        sleeper = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
        try:
            watch = Watch()
        finally:
            os.kill(sleeper, signal.SIGKILL)
            os.waitpid(sleeper, 0)
        (seed,) = watch.until(server.getsockname()[1], "seed")["seed"]
        watch.source.close()
    assert (seed["process_pid"], seed["attribution_method"], seed["attribution_confidence"]) == (0, "", 0)


@pytest.mark.root
def test_where_nobody_tells_of_use_who_accepts_is_in_doubt() -> None:
    """As on kernels before 6.3."""
    watch = Watch(watch_use=False)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        (bind,) = watch.until(udp.getsockname()[1], "bind")["bind"]
        with holding("127.0.0.1", port) as (client, _):
            server.accept()[0].close()
            found = watch.until(port, "accept", "connect")
            client.communicate()
        closes = watch.until(port, "close")["close"]
        watch.source.close()
    assert (bind["process_pid"], bind["attribution_confidence"]) == (os.getpid(), 80)
    assert [row["attribution_confidence"] for row in found["accept"]] == [50]
    assert [(row["process_pid"], row["attribution_confidence"]) for row in found["connect"]] == [(client.pid, 100)]
    assert closes
    assert [row["event_action"] for row in watch.rows if row["destination_port"] == port].count("accept") == 1
    assert "switched off" in watch.source.lacking[0]
    assert watch.counters()["lacking"] == 1


@pytest.mark.root
def test_without_iterators_older_sockets_are_looked_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        watch = Watch(iterate=False)
        (seed,) = watch.until(server.getsockname()[1], "seed")["seed"]
        watch.source.close()
    assert (seed["process_pid"], seed["event_source"], seed["attribution_confidence"]) == (os.getpid(), "sock_diag", 70)
    assert "looked up in /proc" in watch.source.lacking[0]


@pytest.mark.root
def test_where_ebpf_is_refused_the_next_rung_holds() -> None:
    source = Sockets(Config(ring_bytes=5000), _core.Owners())
    source.open()
    assert source.rung == "sock_diag"
    assert [rung for rung, _ in source.refused] == ["ebpf"]
    source.close()


@pytest.mark.root
def test_a_full_ring_is_counted() -> None:
    watch = Watch(ring_bytes=4096)
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(50):
            socket.create_connection(server.getsockname()).close()
            server.accept()[0].close()
    assert watch.source.poll(0.0) is not None
    deadline = time.monotonic() + DEADLINE_S
    while watch.counters()["lost"] == 0:
        assert time.monotonic() < deadline
        watch.source.poll(0.05)
    watch.source.close()


def test_what_is_refused_names_a_remedy() -> None:
    source = Sockets(Config(rung="ebpf", ring_bytes=5000), _core.Owners())
    with pytest.raises(Unavailable) as caught:
        source.open()
    assert caught.value.reason.startswith("socket events: ebpf: ")
    assert [sample.name for sample in source.samples()] == ["refused"]


def test_it_can_be_switched_off() -> None:
    assert sockets.build(Config(enabled=False), _core.Owners()) == {}
    assert list(sockets.build(Config(), _core.Owners())) == ["sockets"]


@pytest.mark.root
def test_secrets_of_command_lines_do_not_leave(watch: Watch) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        arguments = ["127.0.0.1", str(port), "--password=hunter2-luytre"]
        client = subprocess.Popen(
            [sys.executable, "-c", f"{TELL}; sys.stdin.read()", *arguments], stdin=subprocess.PIPE
        )
        (row,) = watch.until(port, "connect")["connect"]
        client.communicate()
    assert row["process_pid"] == client.pid
    assert "--password=" in row["process_command_line"]
    assert "hunter2" not in json.dumps(watch.rows)


@pytest.mark.root
def test_whether_addresses_are_translated_is_said() -> None:
    with stage() as where:
        translations.redirect(where.blue, 80, 7001)
        said = []
        with inside(where.blue.namespace):
            source = Sockets(Config(), _core.Owners())
            said += source.notes
            with socket.create_server((where.blue.ipv4, 80)) as server:
                socket.create_connection(server.getsockname()).close()
            said += source.notes
    assert said == ["no connection is tracked", "flows are followed through translated addresses (conntrack)"]
