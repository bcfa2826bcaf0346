"""UDP: connected or not, on shared and on reused ports."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable

from deploy.demo.namespaces import inside
from tests.bench.attribution.stage import Stage
from tests.bench.attribution.talk import (
    QUESTION,
    Address,
    Answer,
    Truth,
    ask_udp,
    bind,
    both,
    child,
    flow,
    serve_udp,
    serving,
)

PORT = 7002
WORKERS = 4
#: asm-generic/socket.h: SO_RCVBUFFORCE.
_RCVBUFFORCE = 33


def _ask(
    stage: Stage,
    count: int,
    ask: Callable[[Address], Answer],
    *,
    bound: Address = ("", PORT),
    server: str = "",
    workers: int = 1,
) -> list[Truth]:
    """As many clients, each a process of its own; the server is a fork of the process that bound the port."""
    address = (server or stage.blue.ipv4, PORT)
    truth = []
    with (
        inside(stage.blue.namespace),
        bind(bound, both=bound[0] == "::") as waiting,
        serving(lambda: serve_udp(waiting), workers),
        inside(stage.red.namespace),
    ):
        for _ in range(count):
            pid, (_, source, answer) = child(lambda: ask(address))
            truth += both("udp", source, address, pid, answer)
    return truth


def udp_connected(stage: Stage, count: int) -> list[Truth]:
    """Clients connect their socket."""
    return _ask(stage, count, lambda server: ask_udp(server, connected=True))


def udp_unconnected(stage: Stage, count: int) -> list[Truth]:
    """Clients send from sockets that are bound to nothing."""
    return _ask(stage, count, lambda server: ask_udp(server, connected=False))


def udp_ipv6(stage: Stage, count: int) -> list[Truth]:
    """Clients connect by IPv6."""
    return _ask(
        stage, count, lambda server: ask_udp(server, connected=True), bound=("::", PORT), server=stage.blue.ipv6
    )


def udp_ipv6_unconnected(stage: Stage, count: int) -> list[Truth]:
    """Clients send by IPv6 from sockets that are bound to nothing."""
    ask = lambda server: ask_udp(server, connected=False)  # noqa: E731
    return _ask(stage, count, ask, bound=("::", PORT), server=stage.blue.ipv6)


def udp_mapped(stage: Stage, count: int) -> list[Truth]:
    """IPv4 between sockets of IPv6."""
    return _ask(
        stage, count, lambda server: ask_udp((f"::ffff:{server[0]}", PORT), connected=False), bound=("::", PORT)
    )


def udp_prefork(stage: Stage, count: int) -> list[Truth]:
    """Four workers read from one socket, whoever is first. Clients are as in the other cases, and left out."""
    truth = _ask(stage, count, lambda server: ask_udp(server, connected=True), workers=WORKERS)
    return [one for one in truth if one["where"] == "blue"]


def udp_shared_port(stage: Stage, count: int) -> list[Truth]:
    """Four workers have a socket each at one port (SO_REUSEPORT); which one a datagram gets, the kernel chooses."""
    address = (stage.blue.ipv4, PORT)

    def work() -> None:
        serve_udp(bind(address, shared=True))

    truth = []
    with inside(stage.blue.namespace), serving(work, WORKERS), inside(stage.red.namespace):
        while child(lambda: _reached(address))[1] is False:
            pass
        for _ in range(count):
            _, (_, source, answer) = child(lambda: ask_udp(address, connected=True))
            truth.append(flow("blue", "udp", source, address, answer))
    return truth


def _reached(address: Address) -> bool:
    try:
        ask_udp(address, connected=True)
    except ConnectionRefusedError:
        return False
    return True


def udp_port_reuse(stage: Stage, count: int) -> list[Truth]:
    """One port of red, used by one process after the other, each for another server."""
    ports = range(7100, 7200)
    with inside(stage.blue.namespace):
        servers = [bind((stage.blue.ipv4, port)) for port in ports]
    truth = []
    with serving(lambda: serve_udp(*servers)), inside(stage.red.namespace):
        for number in range(count):
            address = (stage.blue.ipv4, ports[number % len(ports)])
            own = (stage.red.ipv4, 40_200 + number // len(ports))
            connected = number % 2 == 0
            pid, (_, source, answer) = child(lambda: ask_udp(address, connected, own))  # noqa: B023 # called at once
            truth += both("udp", source, address, pid, answer)
    return truth


def udp_trailing(stage: Stage, count: int) -> list[Truth]:
    """Senders that have ended when their datagram leaves: it waits in a slow interface."""
    # Three milliseconds for a datagram, and before the first one a queue of a third of a second.
    tbf = ["rate", "3mbit", "burst", "1600", "limit", "4000000"]
    _tc(stage, "add", "dev", stage.red.interface, "root", "tbf", *tbf)
    address = (stage.blue.ipv4, PORT)

    def send() -> Address:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(QUESTION.ljust(1200), address)
            return (stage.red.ipv4, client.getsockname()[1])

    with inside(stage.blue.namespace), bind(address) as server, inside(stage.red.namespace):
        server.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 64 << 20)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ballast:
            for _ in range(100):
                ballast.sendto(bytes(1200), (stage.blue.ipv4, PORT + 1))
        sent = [child(send) for _ in range(count)]
        server.settimeout(10)
        for _ in range(count):
            server.recv(2048)
    _tc(stage, "del", "dev", stage.red.interface, "root")
    return [flow("red", "udp", tuple(source), address, pid) for pid, source in sent]


def _tc(stage: Stage, *arguments: str) -> None:
    command = ["tc", "-n", stage.red.namespace, "qdisc", *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=20)
