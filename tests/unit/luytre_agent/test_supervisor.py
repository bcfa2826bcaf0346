from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from luytre_agent.sources import packets
from luytre_agent.sources.interfaces import interfaces_up
from luytre_agent.supervisor import Supervisor
from luytre_agent.worker import State, Worker
from luytre_common.errors import LuytreError
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from tests.support.sources import Batch, Scripted
from tests.support.waiting import until


def make(wanted: Any, got: list[Any], refresh_s: float = 600.0) -> Supervisor:
    return Supervisor(wanted, lambda batch, patient: got.append(batch), lambda failures: 600.0, refresh_s)


def test_without_any_source_it_does_not_start_and_says_every_reason() -> None:
    sources = {"a": lambda: Scripted(unavailable="no ring"), "b": lambda: Scripted(unavailable="no kernel")}
    reasons = "no source is available: a: no ring; help it; b: no kernel; help it"
    with pytest.raises(LuytreError, match=reasons) as caught:
        make(lambda: sources, []).start()
    assert caught.value.exit_code == 1
    with pytest.raises(LuytreError, match=r"none is configured; see \[sources\]"):
        make(dict, []).start()


def test_interfaces_that_cannot_be_listed_stop_the_start() -> None:
    def wanted() -> Any:
        raise OSError(1, "no netlink here")

    with pytest.raises(LuytreError, match=r"cannot list the interfaces: .*no netlink here; name them"):
        make(wanted, []).start()


def test_one_that_is_available_is_enough() -> None:
    got: list[Any] = []
    sources = {
        "bad": lambda: Scripted(unavailable="no ring"),
        "good": lambda: Scripted(name="good", polls=[[Batch()]], finishes=True),
    }
    supervisor = make(lambda: sources, got)
    supervisor.start()
    supervisor.stop()
    assert len(got) == 1
    assert supervisor.counters.get("source_available", "bad") == 0
    assert ("good", 1) in [(sample.component, sample.value) for sample in supervisor.samples()]


def test_it_is_finished_when_every_source_is() -> None:
    supervisor = make(lambda: {"file": lambda: Scripted(finishes=True)}, [])
    supervisor.start()
    for worker in supervisor.workers():
        worker.join()
    assert supervisor.finished()
    supervisor.stop()


def test_sources_that_come_are_started_and_those_that_go_are_closed() -> None:
    seen = {"old": threading.Event(), "new": threading.Event()}
    old = Scripted(name="old", on_idle=seen["old"].set)
    sources: dict[str, Any] = {"old": lambda: old}
    supervisor = make(lambda: dict(sources), [], refresh_s=0.01)
    supervisor.start()
    assert seen["old"].wait(20)
    sources.clear()
    sources["new"] = lambda: Scripted(name="new", on_idle=seen["new"].set)
    assert seen["new"].wait(20)
    supervisor.stop()
    assert old.closed == 1
    assert not supervisor.finished()
    assert supervisor.counters.get("sources_appeared") == 1
    assert supervisor.counters.get("sources_vanished") == 1


def test_when_the_interfaces_cannot_be_listed_it_goes_on() -> None:
    counted, calls = threading.Event(), []

    def wanted() -> Any:
        calls.append(1)
        if len(calls) == 3:
            counted.set()
        if len(calls) > 1:
            raise OSError("no netlink")
        return {"one": Scripted}

    supervisor = make(wanted, [], refresh_s=0.01)
    supervisor.start()
    assert counted.wait(20)
    assert supervisor.counters.get("refresh_failures") >= 1
    assert [worker.name for worker in supervisor.workers()] == ["one"]
    supervisor.stop()


def test_whatever_fails_while_it_looks_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that has no thread to give must not end the looks, nor be in the way of the stop."""
    sources: dict[str, Any] = {"one": Scripted}
    start, failed, started = Worker.start, threading.Event(), threading.Event()

    def scarce(worker: Worker) -> None:
        if worker.name == "two" and not failed.is_set():
            failed.set()
            raise RuntimeError("can't start new thread")
        start(worker)
        if worker.name == "two":
            started.set()

    monkeypatch.setattr(Worker, "start", scarce)
    supervisor = make(lambda: dict(sources), [], refresh_s=0.01)
    supervisor.start()
    sources["two"] = Scripted
    assert failed.wait(20)
    assert started.wait(20)
    assert supervisor.counters.get("refresh_failures") == 1
    supervisor.stop()
    assert [worker.state for worker in supervisor.workers()] == [State.UNAVAILABLE] * 2


def test_one_whose_worker_cannot_be_started_is_not_in_the_way_of_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()
    sources: dict[str, Any] = {"one": Scripted}
    start = Worker.start

    def scarce(worker: Worker) -> None:
        if worker.name == "two":
            failed.set()
            raise RuntimeError("can't start new thread")
        start(worker)

    monkeypatch.setattr(Worker, "start", scarce)
    supervisor = make(lambda: dict(sources), [], refresh_s=0.01)
    supervisor.start()
    sources["two"] = Scripted
    assert failed.wait(20)
    supervisor.stop()
    assert [worker.name for worker in supervisor.workers()] == ["one"]


@pytest.mark.root
def test_a_real_interface_that_comes_goes_and_comes_again() -> None:
    def ours() -> dict[str, int]:
        return {name: index for name, index in interfaces_up().items() if name.startswith("luytre-s")}

    def ip(*words: str) -> None:
        subprocess.run(["ip", "link", *words], check=True)

    def open_now() -> list[str]:
        return [worker.name for worker in supervisor.workers() if worker.state is State.AVAILABLE]

    config = packets.Config(ring_bytes=1 << 20)
    makers = {"one": lambda: Scripted(on_idle=lambda: time.sleep(0.01))}
    got: list[Any] = []
    supervisor = make(lambda: makers | packets.build(config, [], ours), got, refresh_s=0.05)
    supervisor.start()
    try:
        ip("add", "luytre-s0", "type", "veth", "peer", "name", "luytre-s1")
        for name in ("luytre-s0", "luytre-s1"):
            ip("set", name, "up")
        until(lambda: len(open_now()) == 3)
        first = set(open_now())
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind(("luytre-s0", 0))
            sender.send(bytes(Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / b"x"))
        ip("del", "luytre-s0")
        until(lambda: open_now() == ["one"])
        until(lambda: {batch.table for batch in got} == {"flows"})
        ip("add", "luytre-s0", "type", "veth", "peer", "name", "luytre-s1")
        ip("set", "luytre-s0", "up")
        until(lambda: len(open_now()) == 2)
        assert not set(open_now()) & first - {"one"}
    finally:
        subprocess.run(["ip", "link", "del", "luytre-s0"], check=False, stderr=subprocess.DEVNULL)
        supervisor.stop()
    assert supervisor.counters.get("sources_appeared") == 3
    assert supervisor.counters.samples() == [
        one for one in supervisor.counters.samples() if one.name != "source_failures"
    ]


def test_reconfigured_only_what_changed_is_made_anew() -> None:
    made: dict[str, list[Scripted]] = {name: [] for name in ("files", "packets:a", "packets:b", "sockets")}

    def maker(name: str) -> Callable[[], Scripted]:
        def one() -> Scripted:
            source = Scripted(name=name)
            made[name].append(source)
            return source

        return one

    wanted = {name: maker(name) for name in ("files", "packets:a", "sockets")}
    supervisor = make(lambda: wanted, [])
    supervisor.reconfigure(lambda: wanted, 600.0, lambda name: True)  # before the start it is only taken down
    assert supervisor.workers() == []
    supervisor.start()
    after = {name: maker(name) for name in ("files", "packets:a", "packets:b")}
    supervisor.reconfigure(lambda: after, 0.01, lambda name: name == "files")
    assert [worker.name for worker in supervisor.workers()] == ["packets:a", "files", "packets:b"]
    for worker in supervisor.workers():
        assert worker.settled.wait(20)
    assert {name: [source.closed for source in sources] for name, sources in made.items()} == {
        "files": [1, 0],
        "packets:a": [0],
        "packets:b": [0],
        "sockets": [1],
    }

    def unknown() -> Any:
        raise OSError(1, "no netlink here")

    with pytest.raises(OSError, match="no netlink here"):
        supervisor.reconfigure(unknown, 600.0, lambda name: True)
    assert len(supervisor.workers()) == 3
    supervisor.stop()
    assert {sources[-1].closed for sources in made.values()} == {1}


def test_failures_are_counted_for_each_source() -> None:
    wanted = {"good": lambda: Scripted(name="good"), "bad": lambda: Scripted(polls=[ValueError("x")])}
    supervisor = make(lambda: wanted, [])
    supervisor.start()
    (bad,) = (worker for worker in supervisor.workers() if worker.name == "bad")
    until(lambda: bad.state is State.UNAVAILABLE)
    assert (supervisor.failures("bad"), supervisor.failures("good")) == (1, 0)
    supervisor.stop()
