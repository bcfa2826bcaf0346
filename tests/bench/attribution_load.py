"""Conversations between processes whose owners are known: what `bench_attribution` holds the agent's answers against.

python -m tests.bench.attribution_load CASE COUNT RED_NAMESPACE RED_IP BLUE_NAMESPACE BLUE_IP

Every client is a process of its own, which ends as soon as it has its answer. One line of JSON per expected flow: where
it is seen, its endpoints, and the process that owns the end that is there (on loopback: the originator).
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

from deploy.demo.namespaces import inside

TCP_PORT, UDP_PORT, PREFORK_PORT = 7001, 7002, 7003
WORKERS = 4

Address = tuple[str, int]


def main() -> None:
    """Run one case and print the truth."""
    case, count, red, red_ip, blue, blue_ip = sys.argv[1:]
    print("\n".join(map(json.dumps, CASES[case](int(count), red, red_ip, blue, blue_ip))))


def _child(work: Callable[[], Any]) -> tuple[int, Any]:
    """Run `work` in a process that ends at once; its pid and what `work` gave."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        os.write(write, json.dumps(work()).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return pid, json.loads(text)


def _daemon(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return pid


def _serve_tcp(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.recv(64)
            connection.sendall(str(os.getpid()).encode())


def _serve_udp(server: socket.socket) -> None:
    while True:
        _, peer = server.recvfrom(64)
        server.sendto(str(os.getpid()).encode(), peer)


def _stop(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def _ask_tcp(server: Address, source: Address | None = None, reset: bool = False) -> tuple[Address, int]:
    with socket.socket() as client:
        if source:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind(source)
        client.connect(server)
        client.sendall(b"who?")
        answer = client.recv(64)
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return client.getsockname(), int(answer)


def _ask_udp(server: Address, source: str, connected: bool) -> tuple[Address, int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        if connected:
            client.connect(server)
            client.send(b"who?")
        else:
            client.sendto(b"who?", server)
        answer = client.recv(64)
        return (source, client.getsockname()[1]), int(answer)


def _seen(where: str, transport: str, source: Address, destination: Address, pid: int) -> dict[str, Any]:
    return {"where": where, "transport": transport, "source": source, "destination": destination, "pid": pid}


def _both(transport: str, source: Address, destination: Address, client: int, server: int) -> list[dict[str, Any]]:
    return [_seen(side, transport, source, destination, pid) for side, pid in (("red", client), ("blue", server))]


def _tcp(
    count: int, red: str, blue: str, blue_ip: str, workers: int, ask: Callable[[Address], tuple[Address, int]]
) -> list[dict[str, Any]]:
    address = (blue_ip, PREFORK_PORT if workers > 1 else TCP_PORT)
    with inside(blue):
        listener = socket.create_server(address, backlog=256)
        pids = [_daemon(lambda: _serve_tcp(listener)) for _ in range(workers)]
    truth = []
    with inside(red):
        for _ in range(count):
            pid, (source, server) = _child(lambda: ask(address))
            truth += _both("tcp", source, address, pid, server)
    _stop(pids)
    listener.close()
    return truth


def tcp_short(count: int, red: str, red_ip: str, blue: str, blue_ip: str) -> list[dict[str, Any]]:
    """Clients that live for one connection."""
    return _tcp(count, red, blue, blue_ip, 1, _ask_tcp)


def tcp_prefork(count: int, red: str, red_ip: str, blue: str, blue_ip: str) -> list[dict[str, Any]]:
    """Four workers accept from a listener that their parent made."""
    return _tcp(count, red, blue, blue_ip, WORKERS, _ask_tcp)


def tcp_port_reuse(count: int, red: str, red_ip: str, blue: str, blue_ip: str) -> list[dict[str, Any]]:
    """One tuple, used by one process after the other."""
    return _tcp(count, red, blue, blue_ip, 1, lambda server: _ask_tcp(server, (red_ip, 40_123), reset=True))


def tcp_inherited(count: int, red: str, red_ip: str, blue: str, blue_ip: str) -> list[dict[str, Any]]:
    """A process connects, its child talks."""
    address = (blue_ip, TCP_PORT)
    with inside(blue):
        listener = socket.create_server(address, backlog=256)
        server = _daemon(lambda: _serve_tcp(listener))
    truth = []

    def connect() -> tuple[Address, int, int]:
        with socket.create_connection(address) as client:

            def talk() -> int:
                client.sendall(b"who?")
                return int(client.recv(64))

            pid, answer = _child(talk)
            return client.getsockname(), pid, answer

    with inside(red):
        for _ in range(count):
            _, (source, talker, answer) = _child(connect)
            truth += _both("tcp", source, address, talker, answer)
    _stop([server])
    listener.close()
    return truth


def _udp(count: int, red: str, red_ip: str, blue: str, blue_ip: str, connected: bool) -> list[dict[str, Any]]:
    address = (blue_ip, UDP_PORT)
    with inside(blue):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("", UDP_PORT))
        worker = _daemon(lambda: _serve_udp(server))
    truth = []
    used = set()
    with inside(red):
        for _ in range(count):
            pid, (source, answer) = _child(lambda: _ask_udp(address, red_ip, connected))
            # A port that was used again within the flow's timeout is one flow of two processes: no truth to hold.
            if source[1] not in used:
                truth += _both("udp", source, address, pid, answer)
            else:
                truth = [one for one in truth if one["source"] != source]
            used.add(source[1])
    _stop([worker])
    server.close()
    return truth


def udp_connected(count: int, red: str, red_ip: str, blue: str, blue_ip: str) -> list[dict[str, Any]]:
    """Clients connect their UDP socket; the server is a fork of the process that bound the port."""
    return _udp(count, red, red_ip, blue, blue_ip, connected=True)


def udp_unconnected(count: int, red: str, red_ip: str, blue: str, blue_ip: str) -> list[dict[str, Any]]:
    """The same with sendto from sockets that are bound to nothing."""
    return _udp(count, red, red_ip, blue, blue_ip, connected=False)


def loopback(count: int, red: str, red_ip: str, blue: str, blue_ip: str) -> list[dict[str, Any]]:
    """Both ends on this host: the originator's process is the flow's."""
    address = ("127.0.0.1", TCP_PORT)
    with inside(blue):
        listener = socket.create_server(address, backlog=256)
        server = _daemon(lambda: _serve_tcp(listener))
        truth = []
        for _ in range(count):
            pid, (source, _) = _child(lambda: _ask_tcp(address))
            truth.append(_seen("blue-lo", "tcp", source, address, pid))
    _stop([server])
    listener.close()
    return truth


def same_addresses(count: int, red: str, red_ip: str, blue: str, blue_ip: str) -> list[dict[str, Any]]:
    """The same tuples at the same time in two network namespaces."""
    address = ("127.0.0.1", TCP_PORT)
    servers, listeners, truth = [], [], []
    for namespace in (red, blue):
        with inside(namespace):
            listener = socket.create_server(address, backlog=256)
            servers.append(_daemon(lambda one=listener: _serve_tcp(one)))  # type: ignore[misc]
            listeners.append(listener)
    for number in range(count):
        source = ("127.0.0.1", 20_000 + number)
        for side, namespace in (("red-lo", red), ("blue-lo", blue)):
            with inside(namespace):
                pid, _ = _child(lambda: _ask_tcp(address, source))  # noqa: B023 # called at once
                truth.append(_seen(side, "tcp", source, address, pid))
    _stop(servers)
    for listener in listeners:
        listener.close()
    return truth


CASES: dict[str, Callable[[int, str, str, str, str], list[dict[str, Any]]]] = {
    case.__name__: case
    for case in (
        tcp_short,
        tcp_prefork,
        tcp_inherited,
        tcp_port_reuse,
        udp_connected,
        udp_unconnected,
        loopback,
        same_addresses,
    )
}

if __name__ == "__main__":
    main()
