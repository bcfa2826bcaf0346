"""TCP connections that do not stay with who made them."""

from __future__ import annotations

import json
import os
import socket

from deploy.demo.namespaces import inside
from tests.bench.attribution.stage import Stage
from tests.bench.attribution.talk import (
    Address,
    Answer,
    Truth,
    answer_tcp,
    both,
    child,
    daemon,
    listen,
    question,
    serve_tcp,
    serving,
)

PORT = 7001


def tcp_inherited(stage: Stage, count: int) -> list[Truth]:
    """A process connects, its child talks."""

    def ask(server: Address) -> Answer:
        with socket.create_connection(server) as client:
            pid, (source, _, answer) = child(lambda: question(client))
            return source, pid, answer

    server = (stage.blue.ipv4, PORT)
    with inside(stage.blue.namespace):
        listener = listen(server)
        with listener, serving(lambda: serve_tcp(listener)), inside(stage.red.namespace):
            answers = [child(lambda: ask(server))[1] for _ in range(count)]
    return [one for source, talker, answer in answers for one in both("tcp", source, server, talker, answer)]


def tcp_passed(stage: Stage, count: int) -> list[Truth]:
    """Both ends are made by one process and handed to another by SCM_RIGHTS, which uses them."""
    server = (stage.blue.ipv4, PORT)

    def accept(listener: socket.socket, to: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                socket.send_fds(to, [b"x"], [connection.fileno()])

    def work(given: socket.socket) -> None:
        while True:
            answer_tcp(_received(given))

    def talk(given: socket.socket) -> None:
        while True:
            with _received(given) as client:
                given.sendall(json.dumps(question(client)).encode())

    ours, talkers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    acceptors, workers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def connect() -> None:
        with socket.create_connection(server) as client:
            socket.send_fds(ours, [b"x"], [client.fileno()])

    truth = []
    with inside(stage.blue.namespace):
        listener = listen(server)
        with (
            listener,
            serving(lambda: accept(listener, acceptors)),
            serving(lambda: work(workers)),
            serving(lambda: talk(talkers)) as (talker,),
            inside(stage.red.namespace),
        ):
            for _ in range(count):
                child(connect)
                source, _, answer = json.loads(ours.recv(256))
                truth += both("tcp", source, server, talker, answer)
    return truth


def _received(given: socket.socket) -> socket.socket:
    _, (descriptor, *_), _, _ = socket.recv_fds(given, 1, 1)
    return socket.socket(fileno=descriptor)


def tcp_exec(stage: Stage, count: int) -> list[Truth]:
    """A process connects, becomes another program, and that one talks."""
    server = (stage.blue.ipv4, PORT)

    def become(write: int) -> None:
        client = socket.create_connection(server)
        os.write(write, json.dumps(client.getsockname()).encode() + b"\n")
        for descriptor, number in ((client.fileno(), 0), (client.fileno(), 1), (write, 3)):
            os.dup2(descriptor, number)
        os.execv("/bin/sh", ["sh", "-c", "echo 'who?'; read answer; echo \"$answer\" >&3"])

    truth = []
    with inside(stage.blue.namespace):
        listener = listen(server)
        with listener, serving(lambda: serve_tcp(listener)), inside(stage.red.namespace):
            for _ in range(count):
                read, write = os.pipe()
                pid = daemon(lambda: become(write))  # noqa: B023 # forked at once
                os.close(write)
                with os.fdopen(read) as told:
                    source, (answer, _) = map(json.loads, told.read().splitlines())
                os.waitpid(pid, 0)
                truth += both("tcp", tuple(source), server, pid, answer)
    return truth
