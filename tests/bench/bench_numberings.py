"""What it costs to ask the tables for the last numbers of agents that come back.

python -m tests.bench.bench_numberings [--agents N] [--rows N] [--parts N]

A table of flows in the embedded store, filled by the engine itself, every agent in every part. Milliseconds of CPU of
this process, the engine included, least of five, for one numbering and for many in one question.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from luytre_collector.store.base import Numbering
from luytre_collector.store.embedded import EmbeddedStore

from deploy.demo.screen import Screen, wants_colour
from tests.bench.bare import opened

_BOOT = "00000000-0000-4000-8000-000000000000"
_ROUNDS = 5


def main() -> int:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_numberings")
    parser.add_argument("--agents", type=int, default=2_000, help="numberings in the table (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=6_400_000, help="rows of the table (default: %(default)s)")
    parser.add_argument("--parts", type=int, default=32, help="inserts that they came by (default: %(default)s)")
    arguments = parser.parse_args()
    screen = Screen(sys.stdout, "en", colour=wants_colour(sys.stdout))
    with tempfile.TemporaryDirectory(prefix="luytre-bench-") as folder:
        store = opened(Path(folder) / "store")
        for part in range(arguments.parts):
            _fill(store, arguments.agents, arguments.rows // arguments.parts, part)
        table = []
        for count in (1, 10, 100, 1_000):
            cost = min(_ask(store, count, attempt) for attempt in range(_ROUNDS))
            table.append([f"{count:,}", f"{cost * 1e3:.1f}", f"{cost * 1e3 / count:.3f}"])
        store.close()
    screen.table(["numberings asked for at once", "CPU ms", "CPU ms each"], table)
    return 0


def _fill(store: EmbeddedStore, agents: int, rows: int, part: int) -> None:
    store.command(
        "INSERT INTO luytre.flows (agent_id, boot_id, stream, sequence, collector_time, flow_start, flow_end)"
        f" SELECT concat('agent-', toString(number % {agents})), '{_BOOT}', 'flows',"
        f" intDiv(number, {agents}) + {part * (rows // agents)}, now64(6), now64(6), now64(6) FROM numbers({rows})"
    )


def _ask(store: EmbeddedStore, count: int, attempt: int) -> float:
    asked: list[Numbering] = [(f"agent-{attempt * count + number}", _BOOT, "flows") for number in range(count)]
    begin = time.process_time()
    store.last_sequences("flows", asked)
    return time.process_time() - begin


if __name__ == "__main__":
    sys.exit(main())
