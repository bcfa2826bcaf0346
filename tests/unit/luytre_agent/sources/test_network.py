from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from luytre_agent import _core
from luytre_agent.sources import network
from luytre_agent.sources.host.netlink import NETLINK_ROUTE, in_namespace
from luytre_agent.sources.network import Config, Network
from luytre_common.errors import Unavailable

Row = dict[str, Any]
PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 1, 1  # linux/if_packet.h


class Watch:
    """A network namespace with a pair of interfaces, a default route, and a source that watches it."""

    def __init__(self, root: Path, namespace: str, **settings: Any) -> None:
        self.namespace = namespace
        self.rows: list[Row] = []
        given = {"batch_seconds": 0.05, "file_seconds": 0.1, **settings}
        self.source = Network(Config(network_namespace=namespace, root=root, **given))
        self.source.open()

    def ip(self, *words: str) -> None:
        subprocess.run(["ip", "-n", self.namespace, *words], check=True)

    def take(self, batches: Any) -> None:
        for batch in batches:
            self.rows += map(json.loads, _core.to_json_lines(batch).splitlines())

    def until(self, **wanted: str) -> Row:
        """Poll until there is a row like this, and forget all before it."""
        deadline = time.monotonic() + 10
        while True:
            for at, row in enumerate(self.rows):
                if all(row[key] == value for key, value in wanted.items()):
                    del self.rows[: at + 1]
                    return row
            assert time.monotonic() < deadline, f"not seen: {wanted} among {self.rows}"
            self.take(self.source.poll(0.1))

    def settle(self) -> list[Row]:
        """Poll for a while, and forget the rows."""
        deadline = time.monotonic() + 0.7
        while time.monotonic() < deadline:
            self.take(self.source.poll(0.1))
        rows, self.rows = self.rows, []
        return rows

    def count(self, name: str, label: str = "") -> int:
        return {(one.name, one.label): one.value for one in self.source.samples()}.get((name, label), 0)


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    name = f"lt-net-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    for line in (
        "link add v0 type veth peer name v1",
        "addr add 10.9.0.1/24 dev v0",
        "link set v0 up",
        "link set v1 up",
        "route add default via 10.9.0.254",
        "neigh add 10.9.0.254 lladdr 02:00:00:00:00:01 dev v0 nud permanent",
    ):
        subprocess.run(["ip", "-n", name, *line.split()], check=True)
    yield name
    subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.fixture
def watch(namespace: str, tmp_path: Path) -> Iterator[Watch]:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_text("nameserver 10.0.0.53\n")
    watch = Watch(tmp_path, namespace)
    watch.settle()
    yield watch
    watch.source.close()


@pytest.mark.root
def test_everything_is_seen_at_the_start(namespace: str, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").write_text("10.0.0.7 db\n")
    watch = Watch(tmp_path, namespace)
    rows = watch.settle()
    assert {row["event_action"] for row in rows} == {"seen"}
    assert {row["network_change_kind"] for row in rows} >= {"link", "address", "route", "neighbour", "rule", "hosts"}
    found = {(row["network_change_kind"], row["network_change_subject"]): row for row in rows}
    assert found["address", "10.9.0.1/24"]["network_interface_name"] == "v0"
    assert found["neighbour", "10.9.0.254"]["network_change_after"] == "mac=02-00-00-00-00-01"
    assert found["route", "0.0.0.0/0"]["network_change_notes"] == "default_route"
    assert found["hosts", "db"]["network_change_after"] == "address=10.0.0.7"
    watch.source.close()


@pytest.mark.root
def test_the_gateway_gets_another_mac(watch: Watch) -> None:
    watch.ip("neigh", "change", "10.9.0.254", "lladdr", "02:00:00:00:00:66", "dev", "v0", "nud", "permanent")
    row = watch.until(network_change_kind="neighbour", event_action="changed")
    assert row["network_change_before"] == "mac=02-00-00-00-00-01"
    assert row["network_change_after"] == "mac=02-00-00-00-00-66"
    assert row["network_change_notes"] == "gateway_mac_changed"
    watch.ip("neigh", "change", "10.9.0.254", "lladdr", "02:00:00:00:00:01", "dev", "v0", "nud", "permanent")
    watch.until(network_change_kind="neighbour", event_action="changed")


@pytest.mark.root
def test_a_sniffer_makes_the_interface_promiscuous(watch: Watch) -> None:
    def sniff() -> socket.socket:
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        wanted = struct.pack("=iHH8s", socket.if_nametoindex("v1"), PACKET_MR_PROMISC, 0, b"")
        sniffer.setsockopt(263, PACKET_ADD_MEMBERSHIP, wanted)  # SOL_PACKET
        return sniffer

    with in_namespace(watch.namespace, sniff):
        row = watch.until(network_change_kind="link", network_change_notes="promiscuous")
        assert (row["network_interface_name"], row["event_source"]) == ("v1", "rtnetlink")
    assert "promiscuous=no" in watch.until(network_change_kind="link")["network_change_after"]


@pytest.mark.root
def test_routes_that_the_kernel_removes_in_silence(watch: Watch) -> None:
    watch.ip("link", "add", "d0", "type", "veth", "peer", "name", "d1")
    watch.ip("addr", "add", "10.8.0.1/24", "dev", "d0")
    watch.ip("link", "set", "d0", "up")
    watch.ip("route", "add", "10.7.0.0/16", "via", "10.8.0.9")
    watch.until(network_change_kind="route", network_change_subject="10.7.0.0/16", event_action="added")
    watch.ip("link", "set", "d0", "down")
    watch.until(network_change_kind="route", network_change_subject="10.7.0.0/16", event_action="removed")
    watch.ip("link", "del", "d0")
    watch.until(network_change_kind="link", network_change_subject="d0", event_action="removed")


@pytest.mark.root
def test_a_rule_and_another_table(watch: Watch) -> None:
    watch.ip("rule", "add", "from", "10.0.0.0/8", "table", "100")
    row = watch.until(network_change_kind="rule", event_action="added")
    assert "from=10.0.0.0/8" in row["network_change_after"]
    assert "table=100" in row["network_change_after"]
    watch.ip("rule", "del", "from", "10.0.0.0/8", "table", "100")
    watch.until(network_change_kind="rule", event_action="removed")


@pytest.mark.root
def test_lost_messages_are_counted_and_made_good(namespace: str, tmp_path: Path) -> None:
    watch = Watch(tmp_path, namespace, receive_bytes=4096)
    watch.settle()
    before = watch.count("resyncs")
    batch = "".join(f"addr add 10.6.{at // 250}.{at % 250 + 1}/32 dev v1\n" for at in range(400))
    subprocess.run(["ip", "-n", namespace, "-batch", "-"], input=batch, text=True, check=True)
    rows = watch.settle()
    assert watch.count("overruns") >= 1
    assert watch.count("resyncs") > before
    assert watch.count("messages") > 0
    added = {row["network_change_subject"] for row in rows if row["network_change_kind"] == "address"}
    assert len({one for one in added if one.startswith("10.6.")}) == 400, "each once, heard or dumped"
    watch.ip("addr", "flush", "dev", "v1")
    watch.source.close()


@pytest.mark.root
def test_what_cannot_be_asked_for_is_counted_and_asked_for_again(watch: Watch) -> None:
    watch.source._route_dump.close()  # type: ignore[union-attr]
    watch.ip("link", "set", "v1", "down")
    watch.until(network_change_kind="link", event_action="changed")
    watch.settle()
    assert watch.count("dump_failures", "route") >= 2
    watch.ip("link", "set", "v1", "up")


@pytest.mark.root
def test_messages_of_strangers_are_dropped(watch: Watch) -> None:
    port = watch.source._route.port  # type: ignore[union-attr]

    def send() -> None:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as stranger:
            stranger.bind((0, 0))
            stranger.sendto(bytes(32), (port, 0))

    in_namespace(watch.namespace, send)
    assert watch.settle() == []
    assert watch.count("messages_foreign") == 1


@pytest.mark.root
def test_files_of_names(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "etc/resolv.conf").write_text("nameserver 203.0.113.66\n")
    row = watch.until(network_change_kind="resolver", event_action="changed")
    assert row["event_source"] == "file"
    assert row["network_change_before"] == "nameserver=10.0.0.53"
    assert row["network_change_after"] == "nameserver=203.0.113.66"
    (tmp_path / "etc/resolv.conf").unlink()
    watch.until(network_change_kind="resolver", event_action="removed")
    os.mkfifo(tmp_path / "etc/hosts")
    watch.settle()
    assert watch.count("file_failures", "hosts") == 1, "told once, and nobody waited"


def firewall(namespace: str, work: Callable[[Any], None]) -> None:
    from pyroute2.nftables.main import NFTables

    def run() -> None:
        nft = NFTables()
        try:
            work(nft)
        finally:
            nft.close()

    in_namespace(namespace, run)


@pytest.mark.root
def test_firewall_rules(watch: Watch) -> None:
    from pyroute2.nftables.expressions import genex, verdict

    if not watch.count("firewall_available"):
        pytest.skip("this kernel has no nftables")
    ours = {"network_change_kind": "firewall", "event_source": "nftables"}
    firewall(watch.namespace, lambda nft: nft.table("add", name="filter"))
    watch.until(**ours, event_action="added", network_change_subject="ip filter")
    chain = {"table": "filter", "name": "input", "hook": "input", "type": "filter", "policy": 0}
    firewall(watch.namespace, lambda nft: nft.chain("add", **chain))
    row = watch.until(**ours, event_action="added", network_change_subject="ip filter input")
    assert "hook=input policy=drop priority=0 rules=0 type=filter" in row["network_change_after"]
    drop = ([genex("counter", {"packets": 0, "bytes": 0})], verdict(code=0))
    firewall(watch.namespace, lambda nft: nft.rule("add", table="filter", chain="input", expressions=drop))
    row = watch.until(**ours, event_action="changed", network_change_subject="ip filter input")
    assert "rules=1 sha256=" in row["network_change_after"]
    firewall(watch.namespace, lambda nft: nft.table("del", name="filter"))
    watch.until(**ours, event_action="removed", network_change_subject="ip filter input")
    assert watch.count("firewall_failures") == 0


@pytest.mark.root
def test_without_rights_the_rest_runs(tmp_path: Path) -> None:
    code = (
        "from luytre_agent.sources.network import *\n"
        "one = Network(Config(batch_seconds=0.05)); one.open(); rows = 0\n"
        "for _ in range(5): rows += sum(batch.rows for batch in one.poll(0.1))\n"
        "print(rows, [s.label for s in one.samples() if s.name == 'firewall_failures'])"
    )
    done = subprocess.run(
        ["setpriv", "--inh-caps=-all", "--bounding-set=-all", sys.executable, "-c", code],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows, causes = done.stdout.split(maxsplit=1)
    assert int(rows) > 0
    assert causes.strip() == "['EPERM']"


def test_what_cannot_be_watched_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"no such folder; correct \[sources.network\] root"):
        Network(Config(root=tmp_path / "none")).open()


def test_it_can_be_switched_off() -> None:
    assert network.build(Config(enabled=False)) == {}
    made = network.build(Config())["network"]()
    assert (made.name, made.finished, list(made.poll(0.0)), list(made.close())) == ("network", False, [], [])
