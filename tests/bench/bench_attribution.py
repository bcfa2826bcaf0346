"""Flows and the processes they are attributed to, against the truth: recall and precision per case and rung.

python -m tests.bench.bench_attribution [--count N] [--rung RUNG] [--json] [CASE...]

Recall: flows with the right process, of all. Precision: flows with the right process, of those with any. Needs root.
Exit code 1 if a flow was attributed to the wrong process, or if the best rung did not find what the case demands.
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
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from luytre_agent import _core
from luytre_agent.sources import processes
from luytre_agent.sources.sockets import LADDER

from tests.bench.attribution.cases import CASES, Case
from tests.bench.attribution.stage import Stage, stage

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300
Row = dict[str, Any]


@dataclass
class Score:
    """What came out of one case on one rung."""

    case: str
    rung: str
    flows: int = 0
    right: int = 0
    wrong: int = 0
    none: int = 0
    unseen: int = 0
    #: A few flows that were attributed to somebody else, or to nobody.
    examples: list[str] = field(default_factory=list)
    #: How the right ones were known: flows by method and confidence.
    known_by: dict[str, int] = field(default_factory=dict)
    #: The source's own.
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def recall(self) -> float:
        """Flows with the right process, of all."""
        return self.right / self.flows if self.flows else 0.0

    @property
    def precision(self) -> float:
        """Flows with the right process, of those with any."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def good(self) -> bool:
        """Whether nothing is wrong and, on the best rung, as much is right as the case demands."""
        enough = self.rung != LADDER[0] or self.recall >= CASES[self.case].recall
        return self.flows > 0 and self.wrong == 0 and enough


class Watch:
    """The sources of an agent at some places of a stage, each polled by a thread of its own."""

    def __init__(self, where: Stage, places: tuple[str, ...], rung: str) -> None:
        self.owners = _core.Owners()
        self.sources: dict[str, Any] = {
            "processes": _process_events(self.owners),
            "sockets": _core.SocketEvents(rung, self.owners),
        }
        for place in places:
            interface, namespace = where.places[place]
            self.sources[place] = _core.LiveCapture(
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


def _process_events(owners: _core.Owners) -> _core.ProcessEvents:
    """By the best rung that holds here."""
    for rung in processes.LADDER:
        with suppress(OSError):
            return _core.ProcessEvents(rung, owners=owners)
    raise RuntimeError("process events cannot be had; are you root?")


@contextmanager
def _talking(case: Case, count: int, where: Stage) -> Iterator[subprocess.Popen[str]]:
    """The process that makes the traffic, up to the moment at which the agent may begin to watch."""
    command = [sys.executable, "-m", "tests.bench.attribution", case.name, str(count)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as load:  # type: ignore[call-overload]
        try:
            load.stdin.write(json.dumps(asdict(where)) + "\n")
            load.stdin.flush()
            if load.stdout.readline() != "ready\n":
                raise RuntimeError(load.communicate()[1])
            yield load
        finally:
            load.kill()


def run(name: str, count: int, rung: str = LADDER[0]) -> Score:
    """One case: the traffic, then the score of the rows. RuntimeError if the traffic failed."""
    case = CASES[name]
    with stage() as where, _talking(case, count, where) as load:
        watch = Watch(where, case.places, rung)
        try:
            truth, errors = load.communicate("watched\n", timeout=TIMEOUT_S)
        finally:
            watch.stop()
    if load.returncode:
        raise RuntimeError(errors)
    result = score(Score(name, rung), [json.loads(line) for line in truth.splitlines()], watch.rows)
    result.counters = watch.sources["sockets"].counters()
    return result


def score(result: Score, truth: list[dict[str, Any]], rows: dict[str, list[Row]]) -> Score:
    """Hold the rows against the truth; flows of one tuple in the order in which they began."""
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for where in rows.keys() - {"processes", "sockets"}:
        for row in rows[where]:
            if row["table"] == "flows":
                ends = (row["source_ip"], row["source_port"], row["destination_ip"], row["destination_port"])
                found[where, row["network_transport"], *ends].append(row)
    for same in found.values():
        same.sort(key=lambda row: str(row["flow_start"]), reverse=True)
    for one in truth:
        result.flows += 1
        candidates = found[one["where"], one["transport"], *one["source"], *one["destination"]]
        if not candidates:
            result.unseen += 1
            continue
        row = candidates.pop()
        if row["process_pid"] == one["pid"]:
            result.right += 1
            how = f"{row['attribution_method']} {row['attribution_confidence']} %"
            result.known_by[how] = result.known_by.get(how, 0) + 1
            continue
        if row["attribution_method"] == "":
            result.none += 1
        else:
            result.wrong += 1
        if len(result.examples) < 3:
            result.examples.append(f"{one} -> {row['process_pid']} ({row['attribution_confidence']} %)")
    return result


def _line(result: Score) -> str:
    verdict = "" if result.good else "  <- short of the goal"
    return (
        f"{result.case:22} {result.rung:10} {result.flows:6} {result.right:6} {result.wrong:6} {result.none:6}"
        f" {result.unseen:6} {result.recall:8.2%} {result.precision:9.2%}{verdict}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.bench_attribution", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--count", type=int, default=300, help="conversations per case (default: %(default)s)")
    parser.add_argument(
        "--rung", default=LADDER[0], choices=[*LADDER, "all"], help="how owners are learnt (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="one object per line instead of a table")
    parser.add_argument("--list", action="store_true", help="say what the cases are")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="default: all")
    return parser.parse_args()


def main() -> int:
    """Run the cases; 0 if all of them reached their goal."""
    options = _options()
    if options.list:
        for name, case in CASES.items():
            print(f"{name:22} {' '.join((case.run.__doc__ or '').split())}")
        return 0
    if not options.json:
        print(
            f"{'case':22} {'rung':10} {'flows':>6} {'right':>6} {'wrong':>6} {'none':>6}"
            f" {'unseen':>6} {'recall':>8} {'precision':>9}"
        )
    short = []
    for rung in LADDER if options.rung == "all" else [options.rung]:
        for name in options.cases or CASES:
            result = run(name, options.count, rung)
            if options.json:
                facts = {"recall": result.recall, "precision": result.precision, "good": result.good}
                print(json.dumps(asdict(result) | facts), flush=True)
            else:
                print(_line(result), *(f"    {example}" for example in result.examples), sep="\n", flush=True)
            short += [] if result.good else [f"{name} ({rung})"]
    if short:
        print(f"short of the goal: {', '.join(short)}", file=sys.stderr)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
