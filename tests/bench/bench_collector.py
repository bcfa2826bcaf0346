"""What a collector takes: rows and CPU from gRPC to table with every shipped rule on, beside a bare insert.

python -m tests.bench.bench_collector [--engine server] [--rows N] [--agents N] [--rounds N] [--packets N] [--json]

Agents are processes that send batches made before, over mutual TLS on loopback, as fast as the collector lets them.
Only the collector's own CPU is counted. The floor inserts the same rows, Arrow already, into the same kind of store in
pieces as large as the collector's were. Then the delay at a pace, and memory while several agents send at full speed.

`--engine` may be given twice. With `server` the tables are behind the native protocol: the bridge of the tests, chDB in
a process of its own, which is not counted on either side. Rows per CPU-second are the collector's own, with decode,
rules and the blocks that it sends; rows per second and delays are the bridge's, and say nothing of a real server.
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

from luytre_collector import pki

from deploy.demo.screen import Screen, wants_colour
from deploy.demo.services import Service, ServiceError, Site
from tests.bench import delivery, supply
from tests.bench.delivery import Delivery
from tests.bench.make_capture import cached
from tests.bench.places import ENGINES, Place

_ROOT = Path(__file__).parents[2]
_CACHE = _ROOT / "build/bench"
#: The tables that each kind of supply fills.
KINDS = {"flows, dns, tls": ("flows", "dns", "tls"), "process events": ("processes",)}
_BATCH_ROWS = 10_000
_PACED_ROWS = 500


@dataclass(frozen=True, slots=True)
class Taken:
    """What the collector took in, its CPU, and its memory: resident before and at most, bytes."""

    rows: int
    inserts: int
    seconds: float
    cpu: float
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
        for kind, file in files.items():
            ours, floor = _rounds(file, KINDS[kind], arguments, engine)
            figures[kind] = {"collector": dataclasses.asdict(ours), "floor": dataclasses.asdict(floor)}
            table += _rows(kind, ours, floor)
        screen.table(
            ["", "rows", "inserts", "rows/s", "rows/CPU-s", "CPU-s per M rows", "of the floor", "MB idle", "MB most"],
            table,
        )
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
    return figures


_DELAYS = ("answer_p50", "answer_p99", "visible_p50", "visible_p99")


def _supplies(folder: Path, packets: int) -> dict[str, Path]:
    flows, processes = folder / "flows.batches", folder / "processes.batches"
    supply.write(flows, supply.flows(cached(_CACHE, packets), _BATCH_ROWS))
    supply.write(processes, supply.processes(100_000, _BATCH_ROWS))
    return dict(zip(KINDS, (flows, processes), strict=True))


def _rounds(file: Path, names: Sequence[str], arguments: argparse.Namespace, engine: str) -> tuple[Taken, Delivery]:
    found = [_round(file, names, arguments, engine) for _ in range(arguments.rounds)]
    ours = sorted((one for one, _ in found), key=lambda one: one.cpu / one.rows)[len(found) // 2]
    floor = sorted((one for _, one in found), key=lambda one: one.cpu / one.rows)[len(found) // 2]
    return ours, floor


def _round(file: Path, names: Sequence[str], arguments: argparse.Namespace, engine: str) -> tuple[Taken, Delivery]:
    with tempfile.TemporaryDirectory(prefix="luytre-bench-") as folder, Place(Path(folder), engine) as place:
        site = place.site
        collector = site.start_collector()
        try:
            idle, cpu = _resident(collector, "VmRSS"), collector.cpu_seconds()
            each = max(1, round(arguments.rows / arguments.agents / _rows_in(file)))
            sent = _send(site, file, [f"agent-{number}" for number in range(arguments.agents)], each)
            cpu = collector.cpu_seconds() - cpu
            most = _resident(collector, "VmHWM")
        finally:
            collector.stop(120)
        total, seconds = sum(one["rows"] for one in sent), max(one["seconds"] for one in sent)
        inserted = delivery.inserts(site, names)
        floor = place.floor(names, max(1, total // inserted))
        if floor.rows != total:
            raise ServiceError(f"{total:,} rows were acknowledged, {floor.rows:,} are in the tables")
        return Taken(total, inserted, seconds, cpu, idle, most), floor


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
            process = _start(site, file, "agent-0", rounds, rows_per_second)
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


def _send(site: Site, file: Path, names: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    processes = [_start(site, file, name, rounds, 0) for name in names]
    answers = [process.communicate(timeout=600)[0] for process in processes]
    if any(process.returncode for process in processes):
        raise ServiceError("a sender failed; see above")
    return [json.loads(answer) for answer in answers]


def _start(site: Site, file: Path, name: str, rounds: int, rows_per_second: int) -> subprocess.Popen[bytes]:
    pki.issue(site.certificates, name, "agent")
    command = [sys.executable, "-m", "tests.bench.sender", site.address, str(site.certificates), name, str(file),
               str(rounds), str(rows_per_second)]  # fmt: skip
    return subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE)


def _resident(service: Service, key: str) -> int:
    for line in Path(f"/proc/{service.pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return 0


def _quantile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else sum(values)


def _rows(kind: str, ours: Taken, floor: Delivery) -> list[list[str]]:
    ratio = (floor.cpu / floor.rows) / (ours.cpu / ours.rows)
    return [
        [kind, *_figures(ours.rows, ours.inserts, ours.seconds, ours.cpu), f"{ratio:.2f}",
         f"{ours.idle_bytes / 1e6:,.0f}", f"{ours.most_bytes / 1e6:,.0f}"],
        ["bare insert of the same rows (floor)", *_figures(floor.rows, floor.inserts, floor.wall, floor.cpu), "1.00",
         "", ""],
    ]  # fmt: skip


def _figures(rows: int, inserts: int, seconds: float, cpu: float) -> list[str]:
    return [f"{rows:,}", f"{inserts:,}", f"{rows / seconds:,.0f}", f"{rows / cpu:,.0f}", f"{1e6 * cpu / rows:.2f}"]


if __name__ == "__main__":
    sys.exit(main())
