from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
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
        self.source = Sockets(Config(batch_seconds=0.05, **settings), _core.Owners())
        try:
            self.source.open()
        except Unavailable as error:
            if "carries no eBPF object" in error.reason or "/sys/kernel/btf" in error.reason:
                pytest.skip(error.reason)
            raise
        self.rows: list[Row] = []

    def until(self, port: int, *actions: str) -> dict[str, list[Row]]:
        """Poll until each of the actions was seen at the port; rows by action."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            mine = [row for row in self.rows if row["destination_port"] == port]
            found = {action: [row for row in mine if row["event_action"] == action] for action in actions}
            if all(found.values()):
                return found
            assert time.monotonic() < deadline, f"not seen: {found}; counters: {self.counters()}"
            for batch in self.source.poll(0.1):
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


@pytest.mark.root
def test_a_server_older_than_the_agent_is_known_once_it_talks() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        watch = Watch()
        client = run(ASK, "127.0.0.1", port)
        accepted, (_, client_port) = server.accept()
        with accepted:
            accepted.recv(64)
            accepted.sendall(b"yes")
            client.wait()
        (seed,) = watch.until(client_port, "seed")["seed"]
        assert (seed["process_pid"], seed["source_port"], seed["attribution_confidence"]) == (os.getpid(), port, 100)
        watch.source.close()


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
    source = Sockets(Config(ring_bytes=5000), _core.Owners())
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
