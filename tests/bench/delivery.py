"""Rows per second from a capture file to the tables: agent, mutual TLS over loopback, collector, embedded store.

Beside it the floor: the same rows, Arrow tables already, inserted in pieces as large as the collector's inserts were,
by one process that has nothing else to do.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.services import AGENT, Service, Site
from tests.bench import measure
from tests.bench.measure import Cost

_ROOT = Path(__file__).parents[2]
#: The tables that a capture file fills.
NAMES = ("flows", "dns", "tls")
_COUNTS = " UNION ALL ".join(f"SELECT count() AS rows FROM {name}" for name in NAMES)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a run moved into the tables, and what that cost."""

    rows: int
    inserts: int
    wall: float
    cpu: float


DELIVERY = "agent to table, mTLS"
FLOOR = "bare insert of the same rows (floor)"


def run(capture: Path, rounds: int) -> dict[str, Delivery]:
    """Medians of several deliveries, each into a fresh store, and of bare inserts of the same rows into others."""
    found: dict[str, list[Delivery]] = {DELIVERY: [], FLOOR: []}
    for _ in range(rounds):
        for name, one in _round(capture).items():
            found[name].append(one)
    return {name: _median(several) for name, several in found.items()}


def _median(rounds: Sequence[Delivery]) -> Delivery:
    cost = measure.median([Cost(one.wall, one.cpu) for one in rounds])
    return Delivery(rounds[-1].rows, rounds[-1].inserts, cost.wall, cost.cpu)


def _round(capture: Path) -> dict[str, Delivery]:
    with tempfile.TemporaryDirectory(prefix="luytre-bench-") as folder:
        site = Site(Path(folder))
        site.make()
        collector = site.start_collector()
        try:
            agent_toml = site.agent_toml("bench")
            cost, cpu = _deliver(capture, agent_toml, collector)
            rows = sum(int(row["rows"]) for row in site.query(_COUNTS))
        finally:
            collector.stop(60)
        inserted = inserts(site, NAMES)
        return {
            DELIVERY: Delivery(rows, inserted, cost.wall, cpu),
            FLOOR: bare(site.folder, NAMES, max(1, rows // inserted)),
        }


def _deliver(capture: Path, agent_toml: Path, collector: Service) -> tuple[Cost, float]:
    """The agent's cost, and the CPU of agent and collector together."""
    before = collector.cpu_seconds()
    cost = measure.command([*AGENT, "replay", str(capture), "--config", str(agent_toml), "--deliver"])
    return cost, cost.cpu + collector.cpu_seconds() - before


def inserts(site: Site, names: Sequence[str]) -> int:
    """How many inserts the collector, which has ended, made into these tables."""
    tables = ", ".join(f"'{name}'" for name in names)
    found = site.query(
        "SELECT sum(most) AS inserts FROM (SELECT max(value) AS most FROM collector_health"
        f" WHERE component = 'pipeline' AND counter = 'inserts' AND label IN ({tables}) GROUP BY label)"
    )
    return int(found[0]["inserts"])


def bare(
    folder: Path, names: Sequence[str], rows_at_once: int, source: Path | None = None, target: str = ""
) -> Delivery:
    """The floor: the rows of the store in `folder`, or of that in `source`, into a fresh one, or into `target`."""
    arrows = folder / "arrows"
    arrows.mkdir()
    _step("take", source or folder / "store", arrows, *names)
    cost = json.loads(_step("put", arrows, target or folder / "bare", rows_at_once))
    return Delivery(int(cost["rows"]), int(cost["inserts"]), cost["wall"], cost["cpu"])


def _step(*arguments: object) -> bytes:
    command = [sys.executable, "-m", "tests.bench.bare", *map(str, arguments)]
    return subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, check=True, timeout=300).stdout
