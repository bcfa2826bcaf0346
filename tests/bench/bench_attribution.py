"""Flows and the processes they are attributed to, against the truth: recall and precision per case.

python -m tests.bench.bench_attribution [--count N] [--rung RUNG] [CASE...]

Recall: flows with the right process, of all. Precision: flows with the right process, of those with any. Needs root.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luytre_agent import _core

from deploy.demo.namespaces import Pair, pair
from tests.bench.attribution_load import CASES

ROOT = Path(__file__).parents[2]
Row = dict[str, Any]


@dataclass
class Score:
    """What came out of one case."""

    flows: int = 0
    right: int = 0
    wrong: int = 0
    none: int = 0
    unseen: int = 0
    #: A few flows that were attributed to somebody else.
    examples: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """Flows with the right process, of all."""
        return self.right / self.flows if self.flows else 0.0

    @property
    def precision(self) -> float:
        """Flows with the right process, of those with any."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0


class Watch:
    """The sources of an agent in two namespaces, each polled by a thread of its own."""

    def __init__(self, ends: Pair, rung: str) -> None:
        self.owners = _core.Owners()
        red, blue = ends.red, ends.blue
        where = {
            "red": (red.interface, red.namespace),
            "blue": (blue.interface, blue.namespace),
            "red-lo": ("lo", red.namespace),
            "blue-lo": ("lo", blue.namespace),
        }
        self.sources: dict[str, Any] = {
            "processes": _core.ProcessEvents("ebpf", owners=self.owners),
            "sockets": _core.SocketEvents(rung, self.owners),
        }
        for name, (interface, namespace) in where.items():
            self.sources[name] = _core.LiveCapture(
                interface, network_namespace=namespace, ring_bytes=8 << 20, owners=self.owners
            )
        self.rows: dict[str, list[Row]] = defaultdict(list)
        self._running = set(self.sources)
        self._threads = {name: threading.Thread(target=self._run, args=(name,)) for name in self.sources}
        for thread in self._threads.values():
            thread.start()

    def _run(self, name: str) -> None:
        while name in self._running:
            self._take(name, self.sources[name].poll(0.2))

    def _take(self, name: str, batches: list[_core.Sealed]) -> None:
        for batch in batches:
            self.rows[name] += map(json.loads, _core.to_json_lines(batch).splitlines())

    def stop(self) -> None:
        """Close all; captures first, for their last flows ask whose they are."""
        time.sleep(0.3)
        for name in reversed(self.sources):
            if name in self._running:
                self._running.discard(name)
                self._threads[name].join()
                self._take(name, self.sources[name].close())


@contextmanager
def watching(rung: str) -> Iterator[tuple[Watch, Pair]]:
    """Two namespaces and an agent's sources in them."""
    with pair() as ends:
        watch = Watch(ends, rung)
        try:
            yield watch, ends
        finally:
            watch.stop()


def run(case: str, count: int, rung: str = "ebpf") -> tuple[Score, Watch]:
    """One case: the traffic, then the score of the rows."""
    with watching(rung) as (watch, ends):
        arguments = [case, str(count), ends.red.namespace, ends.red.ipv4, ends.blue.namespace, ends.blue.ipv4]
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.attribution_load", *arguments],
            cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        watch.stop()
    if done.returncode:
        raise RuntimeError(done.stderr)
    return score([json.loads(line) for line in done.stdout.splitlines()], watch.rows), watch


def score(truth: list[dict[str, Any]], rows: dict[str, list[Row]]) -> Score:
    """Hold the rows against the truth; flows of one tuple in the order in which they began."""
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for where in ("red", "blue", "red-lo", "blue-lo"):
        for row in rows[where]:
            if row["table"] == "flows":
                ends = (row["source_ip"], row["source_port"], row["destination_ip"], row["destination_port"])
                found[where, row["network_transport"], *ends].append(row)
    for same in found.values():
        same.sort(key=lambda row: str(row["flow_start"]), reverse=True)
    result = Score()
    for one in truth:
        result.flows += 1
        candidates = found[one["where"], one["transport"], *one["source"], *one["destination"]]
        if not candidates:
            result.unseen += 1
            continue
        row = candidates.pop()
        if row["attribution_method"] == "":
            result.none += 1
        elif row["process_pid"] == one["pid"]:
            result.right += 1
        else:
            result.wrong += 1
            if len(result.examples) < 3:
                result.examples.append(f"{one} -> {row['process_pid']} ({row['attribution_confidence']} %)")
    return result


def main() -> int:
    """Run the cases; 0 if all of them came to an end."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.bench_attribution", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--count", type=int, default=500, help="conversations per case (default: %(default)s)")
    parser.add_argument("--rung", default="ebpf", help="how owners are learnt (default: %(default)s)")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)} (default: all)")
    arguments = parser.parse_args()
    print(
        f"{'case':18} {'rung':10} {'flows':>6} {'right':>6} {'wrong':>6} {'none':>6}"
        f" {'unseen':>6} {'recall':>8} {'precision':>9}"
    )
    for case in arguments.cases or CASES:
        result, _ = run(case, arguments.count, arguments.rung)
        print(
            f"{case:18} {arguments.rung:10} {result.flows:6} {result.right:6} {result.wrong:6} {result.none:6}"
            f" {result.unseen:6} {result.recall:8.2%} {result.precision:9.2%}",
            flush=True,
        )
        for example in result.examples:
            print(f"    {example}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
