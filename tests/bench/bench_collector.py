"""What a collector takes: rows and CPU from gRPC to table with every shipped rule on, beside a bare insert.

python -m tests.bench.bench_collector [--engine server] [--workers N] [--rows N] [--agents N] [--rounds N] [--json]

Agents are processes that send batches made before, over mutual TLS on loopback, as fast as the collector lets them;
their own CPU is not counted, though they share the machine. Then the delay at a pace, and memory under an overload.

The floor, the bare insert of the same rows into the same store: a process that has them as Arrow tables already calls
`Store.insert`, in pieces as large as the collector's inserts were on average, and does nothing else. Beside it, each as
a share of the floor's figure, 1.00 being as good:

* rows/s: rows per second, from the first batch sent to the last one acknowledged. Everything on this machine shares its
  cores with the agents, which the floor has not got beside it, so this one says the least good.
* own: rows per second of CPU of the collector's process, beside those of the process that inserts.
* ends: the same with the CPU of the server added on both sides: what all of an insert costs. Where the engine is in the
  collector's process, both are one figure.

`--engine` may be given twice. With `server` the tables are behind the native protocol: the bridge of the tests, chDB in
a process of its own. Its speed, and with it rows per second, delays and what is under `ends`, says nothing of a real
server; `own` is the collector's alone. With a server several workers are measured, one after the other.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.demo.screen import Screen, wants_colour
from deploy.demo.services import ServiceError, Site
from tests.bench import delivery, overload, senders, supply
from tests.bench.make_capture import cached
from tests.bench.places import ENGINES, Floor, Place

_CACHE = Path(__file__).parents[2] / "build/bench"
#: The tables that each kind of supply fills.
KINDS = {"flows, dns, tls": ("flows", "dns", "tls"), "process events": ("processes",)}
_BATCH_ROWS = 10_000
_PACED_ROWS = 500


@dataclass(frozen=True, slots=True)
class Taken:
    """What the collector took in, its CPU and the server's, and its memory: resident before and at most, bytes."""

    rows: int
    inserts: int
    seconds: float
    cpu: float
    server_cpu: float
    idle_bytes: int
    most_bytes: int


def main() -> int:
    """Run the benches; 0 if all of them came to an end."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_collector", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=600_000, help="rows to send, per bench (default: %(default)s)")
    parser.add_argument("--agents", type=int, default=4, help="agents at a time (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of each bench, for medians (default: %(default)s)")
    parser.add_argument("--packets", type=int, default=2_000_000, help="of the capture (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the run at a pace (default: %(default)s)")
    parser.add_argument("--workers", type=int, action="append", help="pipeline.workers, with a server (default: 1, 2)")
    parser.add_argument("--overload", type=float, default=30.0, help="seconds of each overload (default: %(default)s)")
    parser.add_argument("--engine", choices=sorted(ENGINES), action="append", help="the store (default: embedded)")
    parser.add_argument("--json", action="store_true", help="figures for programs")
    arguments = parser.parse_args()
    screen = Screen(sys.stderr if arguments.json else sys.stdout, "en", colour=wants_colour(sys.stdout))
    try:
        figures = {engine: _run(screen, arguments, engine) for engine in arguments.engine or ["embedded"]}
    except (ServiceError, subprocess.SubprocessError) as error:
        screen.failed(str(error))
        return 1
    if arguments.json:
        print(json.dumps(figures, indent=1))
    return 0


def _run(screen: Screen, arguments: argparse.Namespace, engine: str) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="luytre-bench-") as name:
        files = _supplies(Path(name), arguments.packets)
        screen.section(
            f"Store {engine}: full speed, {arguments.agents} agents, medians of {arguments.rounds} rounds", ""
        )
        table = []
        speeds: dict[str, float] = {}
        for kind, file in files.items():
            for workers in (arguments.workers or [1, 2]) if engine == "server" else [1]:
                ours, floor = _rounds(file, KINDS[kind], arguments, engine, workers)
                found = figures.setdefault(kind, {})[f"workers {workers}"] = {
                    "collector": dataclasses.asdict(ours), "floor": dataclasses.asdict(floor), **_shares(ours, floor)
                }  # fmt: skip
                table += _rows(f"{kind}, {workers} worker{'s' * (workers > 1)}", ours, floor, found)
                speeds.setdefault(kind, ours.rows / ours.seconds)
        screen.table(
            ["", "rows", "inserts", "rows/s", "rows/CPU-s", "CPU-s per M rows", "of the floor: rows/s", "own", "ends",
             "MB idle", "MB most"],
            table,
        )  # fmt: skip
        for line in ENGINES[engine]:
            screen.note(line)
        screen.section(f"Store {engine}: at a pace, batches of {_PACED_ROWS} rows, {arguments.seconds:g} s", "")
        paces = [_paced(Path(name), arguments, engine, rows) for rows in (500, 5_000, 20_000)]
        figures["paced"] = paces
        screen.table(
            ["rows/s", "batches", "answer ms p50", "p99", "visible ms p50", "p99", "CPU %"],
            [[f"{one['rows_per_second']:,}", f"{one['batches']:,}", *(f"{one[key]:,.0f}" for key in _DELAYS),
              f"{one['cpu_percent']:.1f}"] for one in paces],
        )  # fmt: skip
        screen.note("from the moment an agent hands a batch to gRPC, to its acknowledgement and to its rows in a query")
        if arguments.overload:
            _overload(screen, arguments, engine, files, speeds, figures)
    return figures


def _overload(
    screen: Screen,
    arguments: argparse.Namespace,
    engine: str,
    files: dict[str, Path],
    speeds: dict[str, float],
    figures: dict[str, Any],
) -> None:
    limit = f"{overload.WAITING_BYTES / 1e6:.0f} MB may wait"
    screen.section(f"Store {engine}: overload, {overload.AGENTS} agents, {arguments.overload:g} s, {limit}", "")
    table = []
    for kind, file in files.items():
        found = overload.run(kind, file, engine, speeds[kind], arguments.overload)
        figures[kind]["overload"] = {**dataclasses.asdict(found), "over_bytes": found.over_bytes}
        table.append([
            kind, f"{found.stored_per_second:,.0f}", f"{found.idle_bytes / 1e6:,.0f}", f"{found.most_bytes / 1e6:,.0f}",
            f"{found.over_bytes / 1e6:,.0f}",
        ])  # fmt: skip
    screen.table(["", "rows/s stored", "MB idle", "MB most", "MB beyond both"], table)
    if engine == "server":
        screen.note("the way to the server carries a tenth of what was stored at full speed")
    screen.note("MB beyond both: what is opened, judged and inserted, and a batch or two per connection")


_DELAYS = ("answer_p50", "answer_p99", "visible_p50", "visible_p99")


def _supplies(folder: Path, packets: int) -> dict[str, Path]:
    flows, processes = folder / "flows.batches", folder / "processes.batches"
    supply.write(flows, supply.flows(cached(_CACHE, packets), _BATCH_ROWS))
    supply.write(processes, supply.processes(100_000, _BATCH_ROWS))
    return dict(zip(KINDS, (flows, processes), strict=True))


def _rounds(
    file: Path, names: Sequence[str], arguments: argparse.Namespace, engine: str, workers: int
) -> tuple[Taken, Floor]:
    found = [_round(file, names, arguments, engine, workers) for _ in range(arguments.rounds)]
    ours = sorted((one for one, _ in found), key=lambda one: one.cpu / one.rows)[len(found) // 2]
    floor = sorted((one for _, one in found), key=lambda one: one.insert.cpu / one.insert.rows)[len(found) // 2]
    return ours, floor


def _round(
    file: Path, names: Sequence[str], arguments: argparse.Namespace, engine: str, workers: int
) -> tuple[Taken, Floor]:
    settings = f"[pipeline]\nworkers = {workers}\n"
    with (
        tempfile.TemporaryDirectory(prefix="luytre-bench-") as folder,
        Place(Path(folder), engine, settings=settings) as place,
    ):
        site = place.site
        collector = site.start_collector()
        try:
            idle, cpu, server_cpu = senders.resident(collector, "VmRSS"), collector.cpu_seconds(), place.server_cpu()
            each = max(1, round(arguments.rows / arguments.agents / _rows_in(file)))
            sent = senders.send(site, file, [f"agent-{number}" for number in range(arguments.agents)], each)
            cpu, server_cpu = collector.cpu_seconds() - cpu, place.server_cpu() - server_cpu
            most = senders.resident(collector, "VmHWM")
        finally:
            collector.stop(120)
        total, seconds = sum(one["rows"] for one in sent), max(one["seconds"] for one in sent)
        inserted = delivery.inserts(site, names)
        floor = place.floor(names, max(1, total // inserted))
        if floor.insert.rows != total:
            raise ServiceError(f"{total:,} rows were acknowledged, {floor.insert.rows:,} are in the tables")
        return Taken(total, inserted, seconds, cpu, server_cpu, idle, most), floor


def _paced(folder: Path, arguments: argparse.Namespace, engine: str, rows_per_second: int) -> dict[str, Any]:
    file, seconds = folder / f"paced-{rows_per_second}.batches", arguments.seconds
    batches = supply.flows(cached(_CACHE, arguments.packets), _PACED_ROWS)
    supply.write(file, (one for one in batches if one.table == "flows"))
    with tempfile.TemporaryDirectory(prefix="luytre-bench-") as work, Place(Path(work), engine) as place:
        site = place.site
        collector = site.start_collector()
        try:
            rounds = max(1, round(rows_per_second * seconds / _rows_in(file)))
            _cut(file, int(rows_per_second * seconds) if rounds == 1 else 0)
            cpu, begin = collector.cpu_seconds(), time.monotonic()
            process = senders.start(site, file, "agent-0", rounds, rows_per_second)
            visible = _watch(site, process)
            sent = json.loads(process.communicate(timeout=60)[0])
            cpu = (collector.cpu_seconds() - cpu) / (time.monotonic() - begin)
        finally:
            collector.stop(120)
    answers = sent["waits_ms"]
    return {
        "rows_per_second": rows_per_second, "batches": len(answers), "cpu_percent": 100 * cpu,
        "answer_p50": _quantile(answers, 50), "answer_p99": _quantile(answers, 99),
        "visible_p50": _quantile(visible, 50), "visible_p99": _quantile(visible, 99),
    }  # fmt: skip


def _watch(site: Site, process: subprocess.Popen[bytes]) -> list[float]:
    """Milliseconds from the sending of each batch until a query that is asked again and again finds it."""
    seen: dict[str, float] = {}
    last = "0"
    while True:
        ended = process.poll() is not None
        sql = f"SELECT DISTINCT toUnixTimestamp64Micro(agent_time) AS at FROM flows WHERE at > {last}"
        found = [str(row["at"]) for row in site.query(sql)]
        now = time.time() * 1000
        seen |= {at: now - int(at) / 1000 for at in found}
        last = max([last, *found], key=int)
        if ended:
            return list(seen.values())
        time.sleep(0.01)


def _cut(file: Path, rows: int) -> None:
    """Leave only the first batches of the file, about `rows` rows; 0: all."""
    if rows:
        kept = supply.read(file)[: max(1, rows // _PACED_ROWS)]
        supply.write_messages(file, kept)


def _rows_in(file: Path) -> int:
    return supply.rows_of(supply.read(file))


def _quantile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else sum(values)


def _shares(ours: Taken, floor: Floor) -> dict[str, float]:
    """Of the floor's rows per second, rows per second of the process's CPU, and of the CPU of both ends."""
    rows, bare = ours.rows, floor.insert
    return {
        "rows_per_second": (rows / ours.seconds) / (bare.rows / bare.wall),
        "own": (rows / ours.cpu) / (bare.rows / bare.cpu),
        "ends": (rows / (ours.cpu + ours.server_cpu)) / (bare.rows / (bare.cpu + floor.server_cpu)),
    }


def _rows(kind: str, ours: Taken, floor: Floor, shares: dict[str, Any]) -> list[list[str]]:
    bare = floor.insert
    return [
        [kind, *_figures(ours.rows, ours.inserts, ours.seconds, ours.cpu),
         *(f"{shares[name]:.2f}" for name in ("rows_per_second", "own", "ends")),
         f"{ours.idle_bytes / 1e6:,.0f}", f"{ours.most_bytes / 1e6:,.0f}"],
        ["bare insert of the same rows (floor)", *_figures(bare.rows, bare.inserts, bare.wall, bare.cpu),
         "1.00", "1.00", "1.00", "", ""],
    ]  # fmt: skip


def _figures(rows: int, inserts: int, seconds: float, cpu: float) -> list[str]:
    return [f"{rows:,}", f"{inserts:,}", f"{rows / seconds:,.0f}", f"{rows / cpu:,.0f}", f"{1e6 * cpu / rows:.2f}"]


if __name__ == "__main__":
    sys.exit(main())
