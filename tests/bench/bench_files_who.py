"""Changes of files by tools that end at once: how many rows name the process, and the right one.

python -m tests.bench.bench_files_who [--count N] [RUNG...]

Every tool is a shell that appends a line to a file of its own, and is gone. `alone` is the floor: no process events,
only what /proc still shows when the change is heard of. Needs root.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from luytre_agent import _core
from luytre_agent.sources.base import SealedBatch
from luytre_agent.sources.files import Config, Files

Row = dict[str, object]
RUNGS = ("ebpf", "audit", "cn_proc", "proc", "alone")
#: Tools that run side by side.
_AT_ONCE = 4
_DEADLINE_S = 60.0


@dataclass
class Score:
    """Of `tools` that changed a file: rows that name the right process and command line, another process, or none."""

    tools: int = 0
    right: int = 0
    wrong: int = 0
    unknown: int = 0
    #: The right process and user, its command line cut or missing.
    partly: int = 0

    @property
    def named(self) -> float:
        """Rows with the right process, of all."""
        return (self.right + self.partly) / self.tools if self.tools else 0.0

    @property
    def full(self) -> float:
        """Those of them with the whole command line, of all."""
        return self.right / self.tools if self.tools else 0.0


@contextmanager
def telling(rung: str) -> Iterator[_core.Owners | None]:
    """Process events of a rung, taken in by a thread of their own; None for `alone`."""
    if rung == "alone":
        yield None
        return
    owners, stop = _core.Owners(), threading.Event()
    events = _core.ProcessEvents(rung, owners=owners, hashes=False)

    def run() -> None:
        while not stop.is_set():
            events.poll(0.2)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield owners
    finally:
        stop.set()
        thread.join()
        events.close()


def measure(rung: str, count: int) -> Score:
    """Run `count` tools, and hold the rows against what they were."""
    with tempfile.TemporaryDirectory() as made, telling(rung) as told:
        folder = Path(made).resolve()
        for number in range(count):
            (folder / str(number)).touch()
        config = Config(
            rung="fanotify", defaults=False, homes=False, paths=[str(folder)], fold_seconds=0.05, batch_seconds=0.05
        )
        source = Files(config, told)
        source.open()
        truth: dict[str, int] = {}
        tools = threading.Thread(target=_tools, args=(folder, count, truth.__setitem__))
        tools.start()
        rows: dict[str, Row] = {}
        deadline = time.monotonic() + _DEADLINE_S
        while (tools.is_alive() or len(rows) < count) and time.monotonic() < deadline:
            _take(source.poll(0.2), rows)
        tools.join()
        _take(source.close(), rows)
    return score(truth, rows)


def command(path: str) -> list[str]:
    """A tool that changes a file and ends."""
    return ["/bin/sh", "-c", f"echo x >> {path}"]


def _take(batches: Iterable[SealedBatch], rows: dict[str, Row]) -> None:
    for batch in batches:
        for row in map(json.loads, _core.to_json_lines(cast(_core.Sealed, batch)).splitlines()):
            if row["event_action"] == "modified":
                rows[row["file_path"]] = row


def _tools(folder: Path, count: int, begun: Callable[[str, int], None]) -> None:
    running: list[subprocess.Popen[bytes]] = []
    for number in range(count):
        path = str(folder / str(number))
        tool = subprocess.Popen(command(path))
        begun(path, tool.pid)
        running.append(tool)
        if len(running) == _AT_ONCE:
            for one in running:
                one.wait()
            running.clear()
    for one in running:
        one.wait()


def score(truth: dict[str, int], rows: dict[str, Row]) -> Score:
    """By path: who wrote, and what the row says."""
    result = Score(len(truth))
    for path, pid in truth.items():
        row, meant = rows.get(path, {}), " ".join(command(path))
        if not row.get("process_name"):
            result.unknown += 1
        elif row["process_pid"] != pid or not meant.startswith(str(row["process_command_line"])):
            result.wrong += 1
        elif row["process_command_line"] == meant:
            result.right += 1
        else:
            result.partly += 1
    return result


def main() -> int:
    """Print a line per rung; 0 if all rungs could be had."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_files_who", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500, help="tools per rung (default: %(default)s)")
    parser.add_argument("rungs", nargs="*", metavar="RUNG", help=f"of {', '.join(RUNGS)} (default: all)")
    arguments = parser.parse_args()
    print(
        f"{'rung':10} {'tools':>6} {'right':>6} {'partly':>6} {'wrong':>6} {'unknown':>7} {'named':>8} {'in full':>8}"
    )
    for rung in arguments.rungs or RUNGS:
        got = measure(rung, arguments.count)
        print(
            f"{rung:10} {got.tools:6} {got.right:6} {got.partly:6} {got.wrong:6} {got.unknown:7}"
            f" {got.named:8.2%} {got.full:8.2%}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
