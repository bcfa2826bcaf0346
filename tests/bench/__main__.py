"""`make bench`: packets per second of `replay`, and rows per second from agent to table, each beside its floor.

python -m tests.bench [--packets N] [--rounds N] [--json]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from deploy.demo.screen import Screen, wants_colour
from deploy.demo.services import ServiceError, Site
from tests.bench import delivery, packets
from tests.bench.delivery import Delivery
from tests.bench.make_capture import cached
from tests.bench.measure import CommandError, Cost

_CACHE = Path(__file__).parents[2] / "build/bench"


def main() -> int:
    """Run the benches; 0 if all of them came to an end."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--packets", type=int, default=2_000_000, help="of the generated capture (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="of each bench, for medians (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="figures for programs")
    arguments = parser.parse_args()
    screen = Screen(sys.stderr if arguments.json else sys.stdout, "en", colour=wants_colour(sys.stdout))
    try:
        figures = _run(screen, arguments.packets, arguments.rounds)
    except (CommandError, ServiceError) as error:
        screen.failed(str(error))
        return 1
    if arguments.json:
        print(json.dumps(figures, indent=1))
    return 0


def _run(screen: Screen, count: int, rounds: int) -> dict[str, object]:
    begin = time.monotonic()
    capture = cached(_CACHE, count)
    size = capture.stat().st_size
    screen.section(f"Input: {count:,} packets, {size / 1e6:,.0f} MB", "")
    screen.note(
        f"{capture.name}, there after {time.monotonic() - begin:.1f} s; {os.cpu_count()} CPUs, {platform.release()}"
    )

    screen.section(f"Reading a capture file, medians of {rounds} rounds", "")
    with tempfile.TemporaryDirectory(prefix="luytre-bench-") as folder:
        site = Site(Path(folder))
        site.make()
        costs = packets.run(capture, site.agent_toml("bench", collector="127.0.0.1:9"), rounds)
    floor = costs[packets.FLOOR]
    screen.table(
        ["whole command, start-up included", "packets/s", "packets/CPU-s", "seconds", "CPU-s", "of the floor"],
        [_packet_row(name, cost, count, floor) for name, cost in costs.items()],
    )

    screen.section(f"From the capture file to the tables, medians of {rounds} rounds", "")
    deliveries = delivery.run(capture, rounds)
    best = deliveries[delivery.FLOOR]
    screen.table(
        ["", "rows", "inserts", "rows/s", "rows/CPU-s", "seconds", "CPU-s", "of the floor"],
        [_row(name, one, best) for name, one in deliveries.items()],
    )
    screen.note("CPU-s: agent and collector together; the agent's seconds include reading the packets")
    return {
        "packets": count,
        "bytes": size,
        "reading": {name: dataclasses.asdict(cost) for name, cost in costs.items()},
        "delivery": {name: dataclasses.asdict(one) for name, one in deliveries.items()},
    }


def _packet_row(name: str, cost: Cost, count: int, floor: Cost) -> list[str]:
    return [
        name, f"{count / cost.wall:,.0f}", f"{count / cost.cpu:,.0f}", f"{cost.wall:.2f}", f"{cost.cpu:.2f}",
        f"{floor.cpu / cost.cpu:.2f}",
    ]  # fmt: skip


def _row(name: str, one: Delivery, floor: Delivery) -> list[str]:
    return [
        name, f"{one.rows:,}", f"{one.inserts:,}", f"{one.rows / one.wall:,.0f}", f"{one.rows / one.cpu:,.0f}",
        f"{one.wall:.2f}", f"{one.cpu:.2f}", f"{floor.cpu / floor.rows / (one.cpu / one.rows):.2f}",
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
