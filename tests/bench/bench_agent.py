"""What the whole agent costs under load, and what many agents that come back at once cost the collector.

    python -m tests.bench.bench_agent [--seconds N] [--levels idle,1000,10000] [--execs N] [--agents N] [--json]

A real collector, a real agent with every default source that watches one end of a veth pair; at each level a generator
puts so many connections a second on it, eight packets each, and a storm of processes runs beside it. Then a number of
simulated agents, each with a certificate and the back-off of the real one, that have waited for a collector: how long
until everything that they held is acknowledged, and how much memory that takes. Needs root, a C compiler, iproute2.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from luytre_collector import pki

from deploy.demo.namespaces import Pair, pair
from deploy.demo.screen import Screen, wants_colour
from deploy.demo.services import Service, Site
from tests.bench import storm
from tests.bench.footprint import between, moment
from tests.bench.reconnect import name

_IDLE = 0
_SETTLE_S = 5.0


@dataclass(frozen=True)
class Level:
    """The agent at one level. CPU in parts of a core; bytes a second."""

    flows_per_second: int
    execs_per_second: int
    seconds: float
    cpu: float
    resident: int
    written: float
    sent: float
    rows_per_second: float
    packets: int
    packets_generated: int
    kernel_dropped: int
    flows_missing: int


@dataclass(frozen=True)
class Storm:
    """A reconnect storm, from the moment that the collector listens. Seconds; bytes."""

    agents: int
    rows: int
    half_s: float
    all_s: float
    attempts: float
    refused: int
    stored: int
    idle_resident: int
    most_resident: int


def _compile(folder: Path) -> Path:
    program = folder / "traffic"
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise SystemExit("no C compiler: install gcc")
    subprocess.run([compiler, "-O2", "-o", str(program), str(Path(__file__).with_name("traffic.c"))], check=True)
    return program


def _counter(site: Site, component: str, counter: str) -> int:
    """The newest total of a counter of the one agent, all labels."""
    (row,) = site.query(
        "SELECT sum(v) AS total FROM (SELECT argMax(value, event_time) AS v FROM agent_health"
        f" WHERE component = '{component}' AND counter = '{counter}' GROUP BY label)"
    )
    return int(row["total"])


def _totals(site: Site) -> dict[str, int]:
    return {
        "sent": _counter(site, "uplink", "bytes_sent"),
        "rows": _counter(site, "spool", "rows_appended"),
        "packets": _counter(site, "packets", "packets"),
        "dropped": _counter(site, "packets", "kernel_dropped"),
    }


def _flows(site: Site) -> int:
    (row,) = site.query("SELECT uniqExact(flow_id) AS flows FROM flows WHERE destination_ip = toIPv6('192.0.2.1')")
    return int(row["flows"])


def level(
    site: Site, agent: Service, ends: Pair, programs: tuple[Path, Path], rate: int, execs: int, seconds: float
) -> Level:
    """Measure the agent at one level."""
    traffic, breeder = programs
    before_totals, before_flows = _totals(site), _flows(site)
    running: list[subprocess.Popen[bytes]] = []
    if rate:
        inside = ["ip", "netns", "exec", ends.red.namespace]
        command = [*inside, str(traffic), ends.red.interface, str(rate), str(int(seconds))]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE))
    if execs:
        running.append(subprocess.Popen([str(breeder), "bench-agent", "0", str(int(execs * seconds)), str(execs)]))
    before = moment([agent.pid])
    time.sleep(seconds)
    cost = between(before, moment([agent.pid]), [agent.pid])
    generated, connections = 0, 0
    for process in running:
        said, _ = process.communicate(timeout=seconds + 60)
        if said:
            connections, generated = map(int, said.split())
    time.sleep(10.0)  # flows linger before their rows are cut, and counters are written every second
    after = _totals(site)
    return Level(
        flows_per_second=rate,
        execs_per_second=execs,
        seconds=cost.seconds,
        cpu=cost.cpu,
        resident=cost.resident,
        written=cost.written,
        sent=(after["sent"] - before_totals["sent"]) / cost.seconds,
        rows_per_second=(after["rows"] - before_totals["rows"]) / cost.seconds,
        packets=after["packets"] - before_totals["packets"],
        packets_generated=generated,
        kernel_dropped=after["dropped"] - before_totals["dropped"],
        flows_missing=connections - (_flows(site) - before_flows) if rate else 0,
    )


def first_event_s(site: Site, config: Path) -> float:
    """Seconds from the start of the agent's process to the seal of the first batch that a source made."""
    agent = site.agent(config)
    begun = time.time()
    agent.start()
    try:
        agent.wait_until(lambda: "running: " in agent.log_text(), 60)
        time.sleep(5.0)
    finally:
        agent.stop(60)
    (row,) = site.query(
        "SELECT toUnixTimestamp64Micro(min(agent_time)) AS first FROM"
        " (SELECT agent_time FROM processes UNION ALL SELECT agent_time FROM inventory UNION ALL"
        " SELECT agent_time FROM sockets UNION ALL SELECT agent_time FROM flows)"
        f" WHERE agent_time >= fromUnixTimestamp64Micro({int(begun * 1e6)})"
    )
    return int(row["first"]) / 1e6 - begun


def under_load(
    work: Path, rates: Sequence[int], execs: int, seconds: float, screen: Screen
) -> tuple[list[Level], float]:
    """The agent at each level, and the time to its first event."""
    site = Site(work)
    site.make()
    found = []
    collector = site.start_collector()
    try:
        with pair() as ends:
            settings = f"""
[sources.packets]
interfaces = []
[[sources.packets.interface]]
name = "{ends.blue.interface}"
network_namespace = "{ends.blue.namespace}"
"""
            config = site.agent_toml("bench", settings)
            first = first_event_s(site, config)
            programs = _compile(work), storm.build(work)
            agent = site.agent(config)
            agent.start()
            try:
                agent.wait_until(lambda: "running: " in agent.log_text(), 60)
                time.sleep(_SETTLE_S)
                for rate in rates:
                    screen.note(f"{rate:,} flows/s for {seconds:g} s")
                    found.append(level(site, agent, ends, programs, rate, execs if rate else 0, seconds))
            finally:
                agent.stop(60)
    finally:
        collector.stop(60)
    return found, first


def _resident(pid: int, what: str) -> int:
    match = re.search(rf"^{what}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024


def reconnect(work: Path, agents: int, batches: int, rows: int, processes: int) -> Storm:
    """Agents that wait, a collector that comes."""
    site = Site(work)
    site.make(listen="127.0.0.1:0")
    for number in range(agents):
        pki.issue(site.certificates, name(number), "agent")
    collector = site.start_collector()  # for a port that is free, and tables that are there
    address, idle = site.address, _resident(collector.pid, "VmRSS")
    collector.stop(60)
    text = site.collector_toml.read_text()
    text = text.replace('listen = "127.0.0.1:0"', f'listen = "{address}"\nmax_streams = {agents + 10}')
    site.collector_toml.write_text(text)
    share = -(-agents // processes)
    senders = []
    for first in range(0, agents, share):
        part = (str(first), str(min(share, agents - first)), str(batches), str(rows))
        command = [sys.executable, "-m", "tests.bench.reconnect", address, str(site.certificates), *part]
        senders.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    for sender in senders:
        assert sender.stdout is not None
        assert sender.stdout.readline() == "ready\n"
    time.sleep(8.0)  # all have failed some times, and wait for as long as their dice say
    collector = site.start_collector()
    begun = time.time()
    try:
        answers = [json.loads(sender.communicate(timeout=600)[0]) for sender in senders]
        (row,) = site.query("SELECT count() AS rows FROM agent_health WHERE startsWith(agent_id, 'storm-')")
        most = _resident(collector.pid, "VmHWM")
    finally:
        for sender in senders:
            sender.kill()
        collector.stop(60)
    done = sorted(at - begun for answer in answers for at in answer["done_at"])
    attempts = [count for answer in answers for count in answer["attempts"]]
    return Storm(
        agents=agents,
        rows=agents * batches * rows,
        half_s=done[len(done) // 2],
        all_s=done[-1],
        attempts=sum(attempts) / len(attempts),
        refused=sum(len(answer["refused"]) for answer in answers),
        stored=int(row["rows"]),
        idle_resident=idle,
        most_resident=most,
    )


def main() -> int:
    """Run it; 1 if a packet, a flow or a row is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_agent", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="measured, at each level (default: %(default)s)")
    parser.add_argument("--levels", default="idle,1000,10000", help="connections a second (default: %(default)s)")
    parser.add_argument("--execs", type=int, default=500, help="processes a second beside them (default: %(default)s)")
    parser.add_argument("--agents", type=int, default=2000, help="that come back; 0: none (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="figures for programs")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("needs root: packet rings, network namespaces, eBPF")
    screen = Screen(sys.stderr if arguments.json else sys.stdout, "en", colour=wants_colour(sys.stdout))
    rates = [_IDLE if text == "idle" else int(text) for text in arguments.levels.split(",") if text]
    levels: list[Level] = []
    first, returned = 0.0, None
    with tempfile.TemporaryDirectory(prefix="luytre-bench-") as folder:
        if rates:
            work = Path(folder) / "load"
            work.mkdir()
            levels, first = under_load(work, rates, arguments.execs, arguments.seconds, screen)
            _show_levels(screen, levels, first)
        if arguments.agents:
            work = Path(folder) / "storm"
            work.mkdir()
            returned = reconnect(work, arguments.agents, batches=5, rows=100, processes=4)
            _show_storm(screen, returned)
    if arguments.json:
        shown = [asdict(one) for one in levels]
        print(json.dumps({"levels": shown, "first_event_s": first, "storm": asdict(returned) if returned else None}))
    lost = any(one.kernel_dropped or one.flows_missing for one in levels)
    return int(lost or (returned is not None and returned.stored != returned.rows))


def _show_levels(screen: Screen, levels: Sequence[Level], first: float) -> None:
    screen.section("The whole agent", "")
    heads = ("flows/s", "execs/s", "CPU of a core", "resident MB", "written kB/s", "sent kB/s", "rows/s", "packets",
             "dropped", "flows missing")  # fmt: skip
    rows = [
        [f"{one.flows_per_second:,}", f"{one.execs_per_second:,}", f"{one.cpu:.2%}", f"{one.resident / 1e6:.1f}",
         f"{one.written / 1e3:,.1f}", f"{one.sent / 1e3:,.1f}", f"{one.rows_per_second:,.0f}", f"{one.packets:,}",
         f"{one.kernel_dropped:,}", f"{one.flows_missing:,}"]
        for one in levels
    ]  # fmt: skip
    screen.table(heads, rows)
    screen.note(f"from start to the first batch: {first:.2f} s")


def _show_storm(screen: Screen, found: Storm) -> None:
    screen.section(f"{found.agents:,} agents come back", "")
    screen.table(
        ("rows", "stored", "half done s", "all done s", "attempts each", "refused", "collector MB", "at most MB"),
        [[f"{found.rows:,}", f"{found.stored:,}", f"{found.half_s:.1f}", f"{found.all_s:.1f}", f"{found.attempts:.1f}",
          f"{found.refused:,}", f"{found.idle_resident / 1e6:.0f}", f"{found.most_resident / 1e6:.0f}"]],
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
