"""TCP: who connects, who accepts, who was given the connection."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from itertools import pairwise

from deploy.demo.namespaces import inside
from tests.bench.attribution.stage import Stage
from tests.bench.attribution.talk import (
    MPTCP,
    Address,
    Answer,
    Truth,
    ask_tcp,
    both,
    child,
    daemon,
    flow,
    listen,
    serve_tcp,
    serving,
    stop,
)

PORT = 7001
WORKERS = 4


def _ask(
    stage: Stage,
    count: int,
    ask: Callable[[Address], Answer],
    *,
    workers: int = 1,
    protocol: int = 0,
    bound: str = "",
    server: str = "",
) -> list[Truth]:
    """As many clients, each a process of its own, one after the other. `bound`: where the server listens."""
    server = server or stage.blue.ipv4
    with inside(stage.blue.namespace):
        listener = listen((bound or server, PORT), protocol, both=bound == "::")
        with listener, serving(lambda: serve_tcp(listener), workers):
            truth = []
            with inside(stage.red.namespace):
                for _ in range(count):
                    pid, (source, _, answer) = child(lambda: ask((server, PORT)))
                    truth += both("tcp", source, (server, PORT), pid, answer)
    return truth


def tcp_short(stage: Stage, count: int) -> list[Truth]:
    """Clients that live for one connection."""
    return _ask(stage, count, ask_tcp)


def tcp_prefork(stage: Stage, count: int) -> list[Truth]:
    """Four workers accept from a listener that their parent made."""
    return _ask(stage, count, ask_tcp, workers=WORKERS)


def tcp_ipv6(stage: Stage, count: int) -> list[Truth]:
    """The same by IPv6."""
    return _ask(stage, count, ask_tcp, server=stage.blue.ipv6)


def tcp_mapped(stage: Stage, count: int) -> list[Truth]:
    """IPv4 between sockets of IPv6."""
    return _ask(stage, count, lambda server: ask_tcp((f"::ffff:{server[0]}", server[1])), bound="::")


def tcp_multipath(stage: Stage, count: int) -> list[Truth]:
    """MPTCP at both ends: the kernel makes the connections that carry it."""
    return _ask(stage, count, lambda server: ask_tcp(server, protocol=MPTCP), protocol=MPTCP)


def tcp_port_reuse(stage: Stage, count: int) -> list[Truth]:
    """One tuple, used by one process after the other."""
    return _ask(stage, count, lambda server: ask_tcp(server, (stage.red.ipv4, 40_123), reset=True))


def tcp_port_storm(stage: Stage, count: int) -> list[Truth]:
    """The same by processes that only wait for each other's end, as fast as it goes; nobody answers."""
    server, source = (stage.blue.ipv4, PORT), (stage.red.ipv4, 40_124)
    reset = struct.pack("ii", 1, 0)

    def accept(listener: socket.socket) -> None:
        while True:
            listener.accept()[0].close()

    def connect() -> None:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            client.bind(source)
            client.connect(server)

    def take_turns(mine: int, next_one: int) -> None:
        while os.read(mine, 1):
            connect()
            os.write(next_one, b"x")

    with inside(stage.blue.namespace):
        listener = listen(server)
        with listener, serving(lambda: accept(listener)), inside(stage.red.namespace):
            pipes = [os.pipe() for _ in range(WORKERS + 1)]
            pids = [daemon(lambda r=r, w=w: take_turns(r, w)) for (r, _), (_, w) in pairwise(pipes)]  # type: ignore[misc]
            for _ in range(count):
                os.write(pipes[0][1], b"x")
                os.read(pipes[-1][0], 1)
            stop(pids)
    return [flow("red", "tcp", source, server, pid) for _ in range(count) for pid in pids]


def loopback(stage: Stage, count: int) -> list[Truth]:
    """Both ends on this host: the originator's process is the flow's."""
    server = ("127.0.0.1", PORT)
    with inside(stage.blue.namespace):
        listener = listen(server)
        with listener, serving(lambda: serve_tcp(listener)):
            asked = [child(lambda: ask_tcp(server)) for _ in range(count)]
    return [flow("blue-lo", "tcp", source, server, pid) for pid, (source, *_) in asked]


def same_addresses(stage: Stage, count: int) -> list[Truth]:
    """The same tuples at the same time in two network namespaces."""
    server = ("127.0.0.1", PORT)
    namespaces = {"red-lo": stage.red.namespace, "blue-lo": stage.blue.namespace}
    listeners, pids, truth = [], [], []
    for namespace in namespaces.values():
        with inside(namespace):
            listeners.append(listen(server))
            pids.append(daemon(lambda: serve_tcp(listeners[-1])))
    for number in range(count):
        source = ("127.0.0.1", 20_000 + number)
        for where, namespace in namespaces.items():
            with inside(namespace):
                pid, _ = child(lambda: ask_tcp(server, source))  # noqa: B023 # called at once
                truth.append(flow(where, "tcp", source, server, pid))
    stop(pids)
    for listener in listeners:
        listener.close()
    return truth
