"""Connections and servers that last: some are older than the agent."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable

from deploy.demo.namespaces import inside
from tests.bench.attribution.stage import Stage
from tests.bench.attribution.talk import Truth, answer_tcp, ask_udp, bind, both, child, daemon, listen, question, stop
from tests.bench.attribution.talk import serve_udp as serve

PORT = 7001
PAIRS = 10


def _connections(stage: Stage, count: int, meanwhile: Callable[[], None], talk: bool) -> list[Truth]:
    """Ten processes on either side hold connections while something else happens; then they talk, and end."""
    each = -(-count // PAIRS)
    never, _ = os.pipe()

    def hold(listener: socket.socket) -> None:
        held = [listener.accept()[0] for _ in range(each)]
        for connection in held:
            answer_tcp(connection)
        os.read(never, 1)

    def ask(port: int, go: int, tell: int) -> None:
        clients = [socket.create_connection((stage.blue.ipv4, port)) for _ in range(each)]
        os.write(tell, json.dumps([client.getsockname() for client in clients]).encode() + b"\n")
        os.read(go, 1)
        for client in clients:
            if talk:
                question(client)
            client.close()
        os.write(tell, b"done\n")
        os.read(never, 1)

    truth: list[Truth] = []
    pids, waiting = [], []
    for port in range(PORT, PORT + PAIRS):
        (told, tell), (go, start) = os.pipe(), os.pipe()
        with inside(stage.blue.namespace), listen((stage.blue.ipv4, port)) as listener:
            server = daemon(lambda: hold(listener))
        with inside(stage.red.namespace):
            client = daemon(lambda: ask(port, go, tell))  # noqa: B023 # forked at once
        lines = os.fdopen(told)
        for end in json.loads(lines.readline()):
            truth += both("tcp", end, (stage.blue.ipv4, port), client, server)
        pids += [client, server]
        waiting.append((lines, start))
    meanwhile()
    for lines, start in waiting:
        os.write(start, b"x")
        lines.readline()
    stop(pids)
    return truth


def tcp_lasting(stage: Stage, count: int) -> list[Truth]:
    """Connections that last for two seconds, which is enough to look for them."""
    return _connections(stage, count, lambda: time.sleep(2), talk=True)


def older_talking(stage: Stage, count: int) -> list[Truth]:
    """Connections are older than the agent, and talk."""
    return _connections(stage, count, stage.watched, talk=True)


def older_silent(stage: Stage, count: int) -> list[Truth]:
    """Connections are older than the agent, and only end."""
    return _connections(stage, count, stage.watched, talk=False)


def older_udp_server(stage: Stage, count: int) -> list[Truth]:
    """A server was there before the agent; its clients come later."""
    address = (stage.blue.ipv4, PORT)
    with inside(stage.blue.namespace), bind(address) as server:
        worker = daemon(lambda: serve(server))
    stage.watched()
    truth = []
    with inside(stage.red.namespace):
        for _ in range(count):
            pid, (source, _, answer) = child(lambda: ask_udp(address, connected=True))
            truth += both("udp", source, address, pid, answer)
    stop([worker])
    return truth
