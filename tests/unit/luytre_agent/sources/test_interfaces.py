from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest
from luytre_agent.sources.interfaces import interfaces_up

from deploy.demo.namespaces import inside
from deploy.demo.namespaces import pair as pair_of_namespaces


def test_loopback_is_among_them_with_its_index() -> None:
    assert interfaces_up()["lo"] == socket.if_nametoindex("lo")


def test_it_can_be_asked_in_any_thread() -> None:
    found: list[dict[str, int]] = []
    threads = [threading.Thread(target=lambda: found.append(interfaces_up())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [interfaces_up()] * 3


@pytest.fixture
def pair() -> Iterator[tuple[str, str]]:
    names = ("luytre-t0", "luytre-t1")
    subprocess.run(["ip", "link", "add", names[0], "type", "veth", "peer", "name", names[1]], check=True)
    yield names
    subprocess.run(["ip", "link", "del", names[0]], check=False, stderr=subprocess.DEVNULL)


@pytest.mark.root
def test_only_those_that_are_up(pair: tuple[str, str]) -> None:
    assert not set(pair) & interfaces_up().keys()
    subprocess.run(["ip", "link", "set", pair[0], "up"], check=True)
    assert pair[0] in interfaces_up()
    assert pair[1] not in interfaces_up()


@pytest.mark.root
def test_pyroute2_finds_the_same() -> None:
    from pyroute2 import IPRoute

    with pair_of_namespaces() as ends:
        with IPRoute(netns=ends.red.namespace) as kernel:
            kernel.link("add", ifname="down0", kind="veth", peer="down1")
            links = list(kernel.get_links())
        with inside(ends.red.namespace):
            ours = interfaces_up()
    assert len(links) == 4
    assert ours == {link.get("ifname"): link["index"] for link in links if link["flags"] & 1}
    assert ours.keys() == {"lo", "red0"}
