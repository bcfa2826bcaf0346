"""The agent holds itself to a budget: under a flood of flows it goes down its ladder and comes back, every step is a
row, and every packet is in a flow or counted. A disk that stands still keeps nobody from
reading."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.demo.namespaces import Pair, inside, pair
from deploy.demo.services import Service, Site
from tests.integration.conftest import Start
from tests.integration.test_live import expected, gaps, talk, truth

pytestmark = pytest.mark.root


@pytest.fixture
def ends() -> Iterator[Pair]:
    with pair() as made:
        yield made


def until(ready: Callable[[], bool], seconds: float = 90.0, why: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, why()
        time.sleep(0.2)


def settings(ends: Pair, limits: str, packets: str = "") -> str:
    return f"""
[sources.packets]
interfaces = []
batch_seconds = 0.2
inactive_timeout_seconds = 2.0
{packets}
[[sources.packets.interface]]
name = "{ends.blue.interface}"
network_namespace = "{ends.blue.namespace}"

[limits]
{limits}
"""


@contextmanager
def flood(ends: Pair, per_second: int) -> Iterator[list[int]]:
    """Datagrams from red to blue, each a flow of its own, until the block ends; how many, when it has ended."""
    sent, stop = [0], threading.Event()
    with inside(ends.red.namespace):
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(16)]

    def send() -> None:
        port = 1
        while not stop.wait(0.02):
            for number in range(per_second // 50):
                port = port % 65_000 + 1
                sockets[number % 16].sendto(b"x", (ends.blue.ipv4, port))
                sent[0] += 1

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()
        for one in sockets:
            one.close()


def steps(site: Site) -> list[tuple[str, str, int]]:
    rows = site.query(
        "SELECT ledger_entry AS entry, ledger_cause AS cause, ledger_count AS step FROM ledger"
        " WHERE ledger_entry IN ('degraded', 'restored') ORDER BY sequence"
    )
    return [(str(row["entry"]), str(row["cause"]), int(row["step"])) for row in rows]


def newest(site: Site, component: str, counter: str, label: str | None = None) -> int:
    """The last value of a counter; without a label, the sum over all."""
    which = "" if label is None else f" AND label = '{label}'"
    (row,) = site.query(
        "SELECT sum(v) AS value FROM (SELECT argMax(value, event_time) AS v FROM agent_health"
        f" WHERE component = '{component}' AND counter LIKE '{counter}'{which} GROUP BY counter, label)"
    )
    return int(row["value"])


def test_over_its_budget_the_agent_goes_down_the_ladder_and_comes_back(site: Site, ours: Start, ends: Pair) -> None:
    ours(site.start_collector())
    limits = """
cpu_percent = 1.5
over_seconds = 1.5
under_seconds = 4.0
interval_seconds = 0.5
grace_seconds = 0.0
batch_seconds = 1.0
rest_seconds = 1.0
sample_one_in = 8
"""
    # Small batches cost most, and what this host does besides must not: so packets alone.
    quiet = "".join(
        f"[sources.{name}]\nenabled = false\n"
        for name in ("processes", "sockets", "files", "network", "inventory", "logins")
    )
    agent = ours(site.agent(site.agent_toml("web-01", settings(ends, limits, "batch_rows = 100") + quiet)))
    agent.start()
    until(lambda: newest(site, "packets", "packets") > 0, why=agent.log_text)
    with flood(ends, per_second=8_000) as sent:
        until(lambda: "step 3, sampled_flows" in agent.log_text(), why=agent.log_text)
    until(lambda: agent.log_text().splitlines()[-1].endswith("back to step 0, full"), why=agent.log_text)
    # What has gathered meanwhile must be stored before the end.
    until(lambda: newest(site, "limits", "degradation_step") == 0 and steps(site)[-1][2] == 1, 240, agent.log_text)
    assert agent.stop(120) == 0, agent.log_text()

    told = steps(site)
    assert told[0] == ("restored", "start", 0)
    step = 0
    for entry, cause, number in told[1:]:
        assert cause in ("cpu", "stop")
        if entry == "degraded":
            step += 1
            assert number == step, told
        else:
            assert number == step, told
            step -= 1
    assert step == 0, "every step has an end"
    assert "over the budget of cpu: step 3, sampled_flows" in agent.log_text()

    rates = {int(row["rate"]) for row in site.query("SELECT DISTINCT flow_sampling_rate AS rate FROM flows")}
    assert rates == {1, 8}
    # Every packet is in a flow's row, or among those that were left out, or could not be decoded.
    (rows,) = site.query("SELECT sum(source_packets + destination_packets) AS n FROM flows")
    left_out, undecoded = newest(site, "packets", "unsampled_packets/%"), newest(site, "packets", "undecoded/%")
    assert left_out > 0
    assert int(rows["n"]) + left_out + undecoded == newest(site, "packets", "packets")
    (entry,) = site.query("SELECT sum(ledger_count) AS n FROM ledger WHERE ledger_entry = 'unsampled'")
    assert int(entry["n"]) == left_out
    assert newest(site, "packets", "kernel_dropped") <= sent[0] // 100
    assert gaps(site) == []


def test_the_agent_is_ended_before_the_servers_own_work(site: Site, ours: Start, ends: Pair) -> None:
    ours(site.start_collector())
    agent = ours(site.agent(site.agent_toml("web-01", settings(ends, "nice = 5"))))
    agent.start()
    until(lambda: newest(site, "packets", "packets") > 0, why=agent.log_text)
    assert Path(f"/proc/{agent.pid}/oom_score_adj").read_text().strip() == "500"
    for task in Path(f"/proc/{agent.pid}/task").iterdir():
        nice = int((task / "stat").read_text().rpartition(")")[2].split()[16])
        assert nice >= min(19, os.nice(0) + 5), "every thread, those of gRPC too"
    assert agent.stop(60) == 0


@contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """A file system of its own that can be frozen."""
    image, mount = folder / "disk.img", folder / "disk"
    image.touch()
    with image.open("r+b") as file:
        file.truncate(96 << 20)
    mount.mkdir()
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, mount], check=False, capture_output=True).returncode:
        pytest.skip("no loop devices here")
    try:
        yield mount
    finally:
        subprocess.run(["umount", "-l", mount], check=True)


@contextmanager
def frozen(mount: Path) -> Iterator[None]:
    """Every write waits until the block ends."""
    subprocess.run(["fsfreeze", "-f", mount], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "-u", mount], check=True)


def on_disk(site: Site, mount: Path, settings: str) -> Service:
    config = site.agent_toml("web-01", settings)
    config.write_text(config.read_text().replace(f"{site.folder}/spool-web-01", f"{mount}/spool"))
    return site.agent(config)


@pytest.mark.parametrize("queue_bytes", [16 << 20, 1 << 16])
def test_a_disk_that_stands_still_keeps_nobody_from_reading(
    queue_bytes: int, site: Site, ours: Start, ends: Pair, tmp_path: Path
) -> None:
    ours(site.start_collector())
    with disk(tmp_path) as mount:
        small = settings(ends, f"queue_bytes = {queue_bytes}\nenabled = false", "ring_bytes = 1048576\nbatch_rows = 50")
        agent = ours(on_disk(site, mount, small))
        agent.start()
        until(lambda: newest(site, "packets", "packets") > 0, why=agent.log_text)
        with frozen(mount):
            talk(ends, 1200)
        assert agent.stop(90) == 0, agent.log_text()
    assert newest(site, "packets", "kernel_dropped") == 0, "the ring was read all the time"
    lost = newest(site, "keeper", "rows_lost")
    (row,) = site.query(
        "SELECT sumIf(ledger_count, ledger_entry = 'rows_lost' AND ledger_cause = 'queue') AS lost,"
        " sumIf(ledger_count, ledger_entry = 'rows_cut' AND ledger_stream = 'flows') AS cut,"
        " sumIf(ledger_count, ledger_entry = 'rows_spooled' AND ledger_stream = 'flows') AS spooled,"
        " sumIf(ledger_count, ledger_entry = 'rows_lost' AND ledger_stream = 'flows') AS lost_flows FROM ledger"
    )
    assert int(row["lost"]) == lost
    assert gaps(site) == []
    if queue_bytes > 1 << 20:
        assert lost == 0
        assert truth(site) == expected(1200)
    else:
        assert newest(site, "keeper", "rows_lost", "flows") > 0
        assert newest(site, "keeper", "rows_lost", "processes") == 0, "the most important last"
        assert int(row["cut"]) == int(row["spooled"]) + int(row["lost_flows"])
