"""Connections whose addresses are translated on the way."""

from __future__ import annotations

from collections.abc import Callable

from deploy.demo.namespaces import Side, inside
from tests.bench.attribution import translations
from tests.bench.attribution.stage import VIRTUAL_IP, Stage
from tests.bench.attribution.talk import (
    Address,
    Answer,
    Truth,
    ask_tcp,
    ask_udp,
    bind,
    child,
    flow,
    listen,
    serve_tcp,
    serve_udp,
    serving,
)

PORT, PUBLISHED = 7001, 8080

#: From the client's pid and what it learnt to the flows that must be seen.
Expect = Callable[[int, Answer], list[Truth]]


def _ask(client: Side, asked: Address, server: Side, bound: Address, count: int, expect: Expect) -> list[Truth]:
    with inside(server.namespace), listen(bound) as listener, serving(lambda: serve_tcp(listener)):
        truth = []
        with inside(client.namespace):
            for _ in range(count):
                pid, answer = child(lambda: ask_tcp(asked))
                truth += expect(pid, answer)
    return truth


def nat_destination(stage: Stage, count: int) -> list[Truth]:
    """Red asks for an address that its own rules lead to blue."""
    asked, real = (VIRTUAL_IP, 80), (stage.blue.ipv4, PORT)
    translations.publish(stage.red, asked, real, local=True)

    def expect(pid: int, answer: Answer) -> list[Truth]:
        own, _, server = answer
        return [flow("red", "tcp", own, real, pid), flow("blue", "tcp", own, real, server)]

    return _ask(stage.red, asked, stage.blue, real, count, expect)


def nat_redirect(stage: Stage, count: int) -> list[Truth]:
    """Blue leads a port to another one of its own."""
    asked = (stage.blue.ipv4, 80)
    translations.redirect(stage.blue, 80, PORT)

    def expect(pid: int, answer: Answer) -> list[Truth]:
        own, _, server = answer
        return [flow("red", "tcp", own, asked, pid), flow("blue", "tcp", own, asked, server)]

    return _ask(stage.red, asked, stage.blue, (stage.blue.ipv4, PORT), count, expect)


def nat_redirect_udp(stage: Stage, count: int) -> list[Truth]:
    """The same for datagrams, while another process has the port that is asked for."""
    asked = (stage.blue.ipv4, 53)
    translations.redirect(stage.blue, 53, PORT)
    truth = []
    with (
        inside(stage.blue.namespace),
        bind(("", 53)) as other,
        bind(("", PORT)) as server,
        serving(lambda: serve_udp(other)),
        serving(lambda: serve_udp(server)),
        inside(stage.red.namespace),
    ):
        for _ in range(count):
            pid, (own, _, answer) = child(lambda: ask_udp(asked, connected=True))
            truth += [flow("red", "udp", own, asked, pid), flow("blue", "udp", own, asked, answer)]
    return truth


def nat_source(stage: Stage, count: int) -> list[Truth]:
    """Red says it has another address than its sockets know."""
    asked, shown = (stage.blue.ipv4, PORT), stage.world.ipv4
    translations.source(stage.red, shown)

    def expect(pid: int, answer: Answer) -> list[Truth]:
        _, seen, server = answer
        return [flow("red", "tcp", seen, asked, pid), flow("blue", "tcp", seen, asked, server)]

    return _ask(stage.red, asked, stage.blue, asked, count, expect)


def nat_masquerade(stage: Stage, count: int) -> list[Truth]:
    """Box asks red through blue, which gives its own address and other ports: the way out of a container."""
    asked = (stage.red.ipv4, PORT)
    translations.masquerade(stage.blue)

    def expect(pid: int, answer: Answer) -> list[Truth]:
        own, seen, server = answer
        inner = [flow(where, "tcp", own, asked, pid) for where in ("box", "gate")]
        return [*inner, flow("blue", "tcp", seen, asked, pid), flow("red", "tcp", seen, asked, server)]

    return _ask(stage.box, asked, stage.red, asked, count, expect)


def nat_published(stage: Stage, count: int) -> list[Truth]:
    """Somebody asks for a port of blue that is published from box: the way into a container. What the client's socket
    has is translated too, so that to blue it is a stranger."""
    asked, real = (stage.blue.ipv4, PUBLISHED), (stage.box.ipv4, PORT)
    translations.source(stage.red, stage.world.ipv4)
    translations.publish(stage.blue, asked, real)

    def expect(pid: int, answer: Answer) -> list[Truth]:
        _, seen, server = answer
        inner = [flow(where, "tcp", seen, real, server) for where in ("gate", "box")]
        return [flow("red", "tcp", seen, asked, pid), flow("blue", "tcp", seen, asked, server), *inner]

    return _ask(stage.red, asked, stage.box, real, count, expect)


def nat_published_local(stage: Stage, count: int) -> list[Truth]:
    """Blue itself asks for its published port."""
    asked, real = (stage.blue.ipv4, PUBLISHED), (stage.box.ipv4, PORT)
    translations.publish(stage.blue, asked, real, local=True)

    def expect(pid: int, answer: Answer) -> list[Truth]:
        own, _, server = answer
        return [flow("gate", "tcp", own, real, pid), flow("box", "tcp", own, real, server)]

    return _ask(stage.blue, asked, stage.box, real, count, expect)
