"""Processes that talk and say who they are: a client's question is answered with the server's pid."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Address = tuple[Any, ...]
Truth = dict[str, Any]
T = TypeVar("T")

QUESTION = b"who?\n"
#: linux/in.h: IPPROTO_MPTCP.
MPTCP = 262
#: What a client learnt: its own end, the end that the server saw, the server's pid.
Answer = tuple[Address, Address, int]


def child(work: Callable[[], Any]) -> tuple[int, Any]:
    """Run `work` in a process that ends at once; its pid and what `work` gave."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            os.write(write, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(write)
    return pid, result(pid, read)


def result(pid: int, read: int) -> Any:
    """What a process wrote before it ended."""
    with os.fdopen(read) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return json.loads(text)


def daemon(work: Callable[[], None]) -> int:
    """Run `work` in a process until it is ended; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


@contextmanager
def serving(work: Callable[[], None], workers: int = 1) -> Iterator[list[int]]:
    """Processes that do `work` as long as the block lasts."""
    pids = [daemon(work) for _ in range(workers)]
    try:
        yield pids
    finally:
        stop(pids)


def stop(pids: list[int]) -> None:
    """End processes."""
    for pid in pids:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def answer_tcp(connection: socket.socket) -> None:
    """Answer one question."""
    with connection:
        if connection.recv(64):
            connection.sendall(json.dumps([os.getpid(), plain(connection.getpeername())]).encode() + b"\n")


def serve_tcp(listener: socket.socket) -> None:
    """Accept and answer."""
    while True:
        answer_tcp(listener.accept()[0])


def serve_udp(*servers: socket.socket) -> None:
    """Answer datagrams."""
    import select

    for server in servers:
        server.setblocking(False)
    while True:
        for server in select.select(servers, [], [])[0]:
            try:
                _, peer = server.recvfrom(64)
            except BlockingIOError:
                continue  # Another worker was quicker.
            server.sendto(json.dumps([os.getpid(), plain(peer)]).encode(), peer)


def listen(address: Address, protocol: int = 0, both: bool = False) -> socket.socket:
    """A listening TCP socket; `both`: for IPv6 and, mapped, IPv4."""
    listener = socket.socket(family(address), socket.SOCK_STREAM, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if both:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind(address)
    listener.listen(1024)
    return listener


def bind(address: Address, both: bool = False, shared: bool = False) -> socket.socket:
    """A UDP socket that waits; `shared` with others that have the port."""
    server = socket.socket(family(address), socket.SOCK_DGRAM)
    if both:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    if shared:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.bind(address)
    return server


def family(address: Address) -> socket.AddressFamily:
    """By the look of it."""
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def plain(address: Address) -> Address:
    """Host and port, as rows have them: IPv4 is never written as IPv6."""
    return (address[0].removeprefix("::ffff:"), address[1])


def question(client: socket.socket) -> Answer:
    """Ask on a connected socket."""
    client.sendall(QUESTION)
    return _answer(client, client.recv(256))


def _answer(client: socket.socket, text: bytes) -> Answer:
    pid, seen = json.loads(text)
    return plain(client.getsockname()), tuple(seen), pid


def ask_tcp(server: Address, source: Address | None = None, reset: bool = False, protocol: int = 0) -> Answer:
    """Connect and ask; `reset` ends without TIME_WAIT, so that the tuple can be used again at once."""
    with socket.socket(family(server), socket.SOCK_STREAM, protocol) as client:
        client.settimeout(10)
        if source:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind(source)
        client.connect(server)
        answer = question(client)
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return answer


def ask_udp(server: Address, connected: bool, source: Address | None = None) -> Answer:
    """Ask by a datagram. The own address of a socket that is not connected is what the server saw."""
    with socket.socket(family(server), socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        if source:
            client.bind(source)
        if connected:
            client.connect(server)
            return question(client)
        client.sendto(QUESTION, server)
        pid, seen = json.loads(client.recv(256))
        return tuple(seen), tuple(seen), pid


def flow(where: str, transport: str, source: Address, destination: Address, pid: int) -> Truth:
    """A flow that must be seen at a place, and the process of the end that is there (of two: the originator's)."""
    ends = {"source": plain(source), "destination": plain(destination)}
    return {"where": where, "transport": transport, **ends, "pid": pid}


def both(transport: str, source: Address, destination: Address, client: int, server: int) -> list[Truth]:
    """The same flow seen from red, where the client is, and from blue, where the server is."""
    return [flow(side, transport, source, destination, pid) for side, pid in (("red", client), ("blue", server))]


def unmixed(truth: list[Truth]) -> list[Truth]:
    """Without the UDP flows of which two clients got the same port by chance: those are one flow of two processes."""
    clients: dict[tuple[Any, ...], set[int]] = {}
    for one in truth:
        clients.setdefault((one["where"], one["source"], one["destination"]), set()).add(id(one))
    return [one for one in truth if len(clients[one["where"], one["source"], one["destination"]]) == 1]
