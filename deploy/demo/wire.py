"""Plays scripts between the namespaces over real sockets. Both ends are held here: a conversation is one function."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from deploy.demo.namespaces import Side, inside
from deploy.demo.scripts import CLIENT, Script

_TIMEOUT_S = 5.0


@contextmanager
def listening(side: Side, port: int, *, ipv6: bool = False) -> Iterator[socket.socket]:
    """A TCP listener in the namespace of `side`."""
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    with inside(side.namespace):
        listener = socket.create_server((_address(side, ipv6), port), family=family, backlog=128)
    with listener:
        listener.settimeout(_TIMEOUT_S)
        yield listener


def connect(side: Side, to: tuple[str, int]) -> socket.socket:
    """A TCP connection from `side`; OSError as the kernel says it."""
    with inside(side.namespace):
        return socket.create_connection(to, _TIMEOUT_S, (_address(side, ":" in to[0]), 0))


def is_open(side: Side, to: tuple[str, int]) -> bool:
    """Whether something listens at `to`: one probe of a port scan."""
    try:
        connect(side, to).close()
    except ConnectionRefusedError:
        return False
    return True


def converse(client_side: Side, listener: socket.socket, script: Script) -> None:
    """One connection to `listener` in which both ends say what the script has for them; the client closes first."""
    address = listener.getsockname()
    with connect(client_side, (address[0], address[1])) as client:
        server, _ = listener.accept()
        with server:
            server.settimeout(_TIMEOUT_S)
            for speaker, data in script:
                _pass(client, server, data) if speaker is CLIENT else _pass(server, client, data)
            client.shutdown(socket.SHUT_WR)
            server.recv(1)


def ask(client_side: Side, server_side: Side, lookups: Iterable[tuple[bytes, bytes]]) -> int:
    """DNS over UDP port 53: each question from a port of its own, each answered; how many there were."""
    with _datagram(server_side) as server:
        server.bind((server_side.ipv4, 53))
        count = 0
        for question, answer in lookups:
            with _datagram(client_side) as client:
                client.bind((client_side.ipv4, 0))
                client.sendto(question, (server_side.ipv4, 53))
                _, sender = server.recvfrom(4096)
                server.sendto(answer, sender)
                client.recv(4096)
            count += 1
    return count


def drain(connection: socket.socket, until: bytes = b"") -> bytes:
    """Read until `until` was seen, or the other end closes, or nothing comes for a while."""
    seen = bytearray()
    with suppress(TimeoutError, ConnectionError):
        while chunk := connection.recv(4096):
            seen += chunk
            if until and until in seen:
                break
    return bytes(seen)


def _datagram(side: Side) -> socket.socket:
    with inside(side.namespace):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(_TIMEOUT_S)
    return made


def _pass(sender: socket.socket, receiver: socket.socket, data: bytes) -> None:
    sender.sendall(data)
    missing = len(data)
    while missing:
        chunk = receiver.recv(missing)
        if not chunk:
            raise ConnectionError("the other end closed in the middle of a script")
        missing -= len(chunk)


def _address(side: Side, ipv6: bool) -> str:
    return side.ipv6 if ipv6 else side.ipv4
