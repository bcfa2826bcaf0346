"""What rows cost on the line: bytes of both directions, counted by the interface, with TCP/IP, TLS, HTTP/2 and gRPC.

python -m tests.bench.bench_wire [--seconds N] [--json]

A real collector and the agent's own spool and uplink, in two network namespaces with segments of 1,448 bytes between
them (no offloading, which would hide headers). Flows, DNS and TLS are those of the capture of `make_capture`, whose
addresses and names are drawn independently: real ones compress better. Process events are of real programs. An agent
to which nothing happens is a real one with every source; what its host does besides is told apart by table. Root.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from luytre_agent import _core
from luytre_agent.spool import Config as SpoolConfig
from luytre_agent.spool import Spool
from luytre_agent.uplink import Config as UplinkConfig
from luytre_agent.uplink import Uplink, encode
from luytre_agent.uplink.pace import on_wire
from luytre_collector import pki
from luytre_common import tls
from luytre_common.wire.v1 import ingest_pb2 as pb

from deploy.demo.namespaces import Pair, Side, pair
from deploy.demo.services import COLLECTOR, Service, Site
from tests.bench import make_capture

_CACHE = Path(__file__).parents[2] / "build/bench"
PORT = 7071
#: Rows of a batch: a busy server, after an outage or in a second; and one where little happens.
SIZES = (10_000, 1_000, 100, 10)
PROGRAMS = ("/bin/ls -l /etc", "/bin/date +%s", "/usr/bin/id -u", "/bin/cat /proc/uptime", "/bin/sh -c exit",
            "/usr/bin/find /opt -maxdepth 1", "/usr/bin/env true", "/bin/uname -a")  # fmt: skip
#: A line of 2 Mbit/s, bytes per second, and a server of a small office: rows per second by table.
LINE = 250_000
OFFICE = {"flows": 1.0, "dns": 2.0, "tls": 0.5, "processes": 0.2}


@dataclass(frozen=True, slots=True)
class Cost:
    """Rows of a table in batches of so many: bytes on the line, those of the batches, and what the pace counts."""

    table: str
    batch_rows: int
    rows: int
    wire: float
    batches: float
    estimate: float

    def per_row(self) -> float:
        return self.wire / self.rows


def carried(side: Side) -> int:
    """Bytes that the interface has sent and received."""
    command = ["ip", "-n", side.namespace, "-s", "-j", "link", "show", "dev", side.interface]
    (link,) = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return int(link["stats64"]["rx"]["bytes"]) + int(link["stats64"]["tx"]["bytes"])


def sealed(what: str, batch_rows: int, most: int) -> list[_core.Sealed]:
    """Batches of a table: of the capture, or of programs that are run now."""
    found: list[_core.Sealed] = []
    if what == "processes":
        events = _core.ProcessEvents("ebpf", batch_rows=batch_rows, batch_seconds=600.0, seed=False)
        for number in range(most // 2):  # each is an exec and an exit
            subprocess.run(random.Random(number).choice(PROGRAMS).split(), check=False, capture_output=True)
            found += events.poll(0.0)
        return [*found, *events.close()]
    capture = make_capture.cached(_CACHE, packets=400_000)
    file = _core.FileReplay(str(capture), batch_rows=batch_rows)
    while not file.finished:
        found += [batch for batch in file.read(20_000) if batch.table == what]
    found += [batch for batch in file.close() if batch.table == what]
    while found and sum(batch.rows for batch in found) > max(most, batch_rows):
        found.pop()
    return found


def send(what: str, batch_rows: int, most: int, folder: Path, address: str) -> None:
    """In blue's namespace: deliver, and print what was delivered."""
    spool = Spool(SpoolConfig(directory=folder / "spool", ledger_seconds=600.0), encode, time.time, "bench")
    spool.open()
    batches = sealed(what, batch_rows, most) if what else []
    kept = [tls.Config(*(folder / "pki" / name for name in ("authority.pem", "wire.pem", "wire.key")))]
    for batch in batches:
        spool.append(batch, time.time())
    sizes = [len(one.record.batch) for one in spool.pending()]
    uplink = Uplink(
        UplinkConfig(address, spread_seconds=0.0),
        kept[0],
        tls.read(kept[0], "agent"),
        spool,
        lambda: pb.Hello(protocol=1, agent_version="0.1.0", host_name="wire", boot_id=spool.boot_id),
        random.random,
    )
    uplink.start()
    deadline = time.monotonic() + 60
    while not uplink.counters.get("connects") and time.monotonic() < deadline:
        time.sleep(0.01)
    done = uplink.drain(120) and bool(uplink.counters.get("connects"))
    uplink.stop()
    spool.close()
    rows = sum(batch.rows for batch in batches)
    print(json.dumps({"done": done, "rows": rows, "batches": sum(sizes), "estimate": sum(map(on_wire, sizes))}))


class Bench:
    """Two namespaces, a collector in red."""

    def __init__(self, ends: Pair, work: Path) -> None:
        self.ends, self.site = ends, Site(work)
        self.site.make(listen=f"{ends.red.ipv4}:{PORT}")
        for kind in ("pem", "key"):
            (self.site.certificates / f"collector.{kind}").unlink()
        pki.issue(self.site.certificates, "collector", "collector", [ends.red.ipv4])
        pki.issue(self.site.certificates, "wire", "agent")
        for side in (ends.red, ends.blue):
            whole = ["gso_max_size", "1514", "gso_max_segs", "1"]
            subprocess.run(["ip", "-n", side.namespace, "link", "set", side.interface, *whole], check=True)
        self.address = f"{ends.red.ipv4}:{PORT}"

    def collector(self) -> Service:
        command = ["ip", "netns", "exec", self.ends.red.namespace, *COLLECTOR, "run", "--config"]
        command += [str(self.site.collector_toml), "--ready-file", str(self.site.ready_file)]
        service = Service("collector", command, self.site.folder / "collector.log")
        service.start()
        service.wait_until(self.site.ready_file.exists, 60)
        return service

    def deliver(self, what: str, batch_rows: int = 0, most: int = 0) -> tuple[int, dict[str, Any]]:
        """What the line carried for it, and what was delivered."""
        command = ["ip", "netns", "exec", self.ends.blue.namespace, sys.executable, "-m", "tests.bench.bench_wire"]
        command += ["--send", what, str(batch_rows), str(most), str(self.site.folder), self.address]
        before = carried(self.ends.blue)
        done = subprocess.run(command, check=True, capture_output=True, timeout=600, text=True)
        told = json.loads(done.stdout)
        if not told["done"]:
            raise RuntimeError(f"not delivered: {done.stderr[-400:]}")
        return carried(self.ends.blue) - before, told

    def cost(self, table: str, batch_rows: int, most: int, connection: int) -> Cost:
        wire, told = self.deliver(table, batch_rows, most)
        return Cost(table, batch_rows, told["rows"], wire - connection, told["batches"], told["estimate"])

    def idle(self, seconds: float) -> dict[str, float]:
        """Bytes a second of an agent with its defaults: on the line, and by table as its pace counts them."""
        interfaces = f'[sources.packets]\ninterfaces = ["{self.ends.blue.interface}"]\n'
        config = self.site.agent_toml("idle", interfaces, self.address)
        text = config.read_text().replace("interval_seconds = 1.0", "interval_seconds = 10.0")
        config.write_text(text)
        agent = self.site.agent(config)
        agent.command = ["ip", "netns", "exec", self.ends.blue.namespace, *agent.command]
        agent.start()
        try:
            agent.wait_until(lambda: "running: " in agent.log_text(), 60)
            time.sleep(30)
            before, then = self._by_table(), time.monotonic()
            line = carried(self.ends.blue)
            time.sleep(seconds)
            line, passed = carried(self.ends.blue) - line, time.monotonic() - then
            after = self._by_table()
        finally:
            agent.stop()
        grown = {table: (count - before.get(table, 0)) / passed for table, count in after.items()}
        return {"line": line / passed, **grown}

    def _by_table(self) -> dict[str, int]:
        rows = self.site.query(
            "SELECT label, max(value) AS value FROM agent_health WHERE agent_id = 'idle' AND counter = 'wire_bytes'"
            " GROUP BY label"
        )
        return {str(row["label"]): int(row["value"]) for row in rows}


def report(connection: int, costs: Sequence[Cost], idle: dict[str, float]) -> str:
    lines = [f"connection (TLS handshake, Hello, Welcome, end): {connection:,} bytes", ""]
    lines.append(f"{'table':12} {'rows a batch':>12} {'bytes a row':>12} {'of it batch':>12} {'pace counts':>12}")
    for cost in costs:
        shares = f"{cost.batches / cost.wire:>12.0%} {cost.estimate / cost.wire:>12.0%}"
        lines.append(f"{cost.table:12} {cost.batch_rows:>12,} {cost.per_row():>12.1f} {shares}")
    standing = idle.get("agent_health", 0.0) + idle.get("ledger", 0.0)
    small = {cost.table: cost.per_row() for cost in costs if cost.batch_rows == SIZES[-1]}
    office = standing + sum(rate * small[table] for table, rate in OFFICE.items())
    lines += ["", f"an agent to which nothing happens: {standing:,.0f} bytes a second (agent_health, ledger)"]
    lines.append("  by table, this host's own events among them: " + ", ".join(
        f"{table} {rate:,.0f}" for table, rate in sorted(idle.items()) if table != "line"
    ) + f"; on the line {idle['line']:,.0f}")  # fmt: skip
    told = ", ".join(f"{rate:g} {table}" for table, rate in OFFICE.items())
    lines.append(f"a server of a small office ({told} a second, batches of {SIZES[-1]}): {office:,.0f} bytes a second")
    lines.append(f"of these, 2 Mbit/s carry {LINE / standing:,.0f} and {LINE / office:,.0f}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_wire", description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=120, help="how long the idle agent is watched (120)")
    parser.add_argument("--json", action="store_true", help="figures for machines")
    parser.add_argument("--send", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.send:
        what, batch_rows, most, folder, address = arguments.send
        send(what, int(batch_rows), int(most), Path(folder), address)
        return 0
    with tempfile.TemporaryDirectory() as work, pair() as ends, ExitStack() as ending:
        bench = Bench(ends, Path(work))
        ending.callback(bench.collector().stop)
        connection, _ = bench.deliver("")
        costs = []
        for table in ("flows", "dns", "tls", "processes"):
            for batch_rows in SIZES if table != "processes" else SIZES[1:]:
                most = {10_000: 20_000, 1_000: 6_000, 100: 2_000, 10: 500}[batch_rows]
                most = min(most, 2_000) if table == "processes" else most
                costs.append(bench.cost(table, batch_rows, most, connection))
        idle = bench.idle(arguments.seconds)
    if arguments.json:
        told = {"connection": connection, "idle": idle, "costs": [asdict(one) for one in costs]}
        print(json.dumps(told))
    else:
        print(report(connection, costs, idle))
    return 0


if __name__ == "__main__":
    sys.exit(main())
