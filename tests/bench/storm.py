"""Storms of short processes whose truth is known, and what the process source saw of them, watched as an agent does it:
from a process of its own.
"""

from __future__ import annotations

import json
import multiprocessing as mp
import os
import resource
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from luytre_agent import _core
from luytre_agent.sources.processes import Config, Processes
from luytre_common.errors import Unavailable

_SOURCE = Path(__file__).with_name("storm.c")
_TIMEOUT_S = 120.0


def build(folder: Path) -> Path:
    """The helper that makes storms, compiled. RuntimeError without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise RuntimeError("no C compiler: install gcc")
    program = folder / "storm"
    command = [compiler, "-O2", "-o", str(program), str(_SOURCE)]
    # A static program begins and ends in half the time.
    if subprocess.run([*command, "-static"], capture_output=True, check=False).returncode:
        subprocess.run(command, check=True)
    return program


@dataclass(frozen=True)
class Storm:
    """A storm that has passed: `count` processes, numbered from 0, all with `token` in their arguments."""

    token: str
    count: int
    wall_s: float
    #: User and system time of the storm itself: the one that starts, and all that it started.
    cpu_s: float


def blow(program: Path, count: int, rate: int) -> Storm:
    """Make a storm and wait for its end. RuntimeError if not all ran."""
    token = f"storm-{os.getpid()}-{time.monotonic_ns()}"
    begin = time.perf_counter()
    process = subprocess.Popen([program, token, "0", str(count), str(rate)], stderr=subprocess.PIPE)
    assert process.stderr is not None
    with process.stderr:
        said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the storm ended with {process.returncode}: {said.decode(errors='replace').strip()}")
    return Storm(token, count, time.perf_counter() - begin, usage.ru_utime + usage.ru_stime)


@dataclass(frozen=True)
class Seen:
    """What a watcher saw of a storm, and of everything else on the host between two moments."""

    #: Distinct processes of the storm by what was right about them.
    execs: int
    arguments_right: int
    exits: int
    exit_codes_right: int
    #: Rows beyond the first of a process.
    doubled: int
    #: Rows of all processes between the two moments, and all records that found no room since the start.
    rows: int
    lost: int
    #: Events taken in since the start, and the CPU that took.
    events: int
    cpu_s: float
    counters: Mapping[str, int]


class Watcher:
    """The process source in another process, polled as the agent polls it."""

    def __init__(self, config: Config) -> None:
        context = mp.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_watch, args=(theirs, config), daemon=True)
        self._process.start()
        theirs.close()
        refused = self._answer()
        if refused:
            self._process.join()
            raise Unavailable(*refused)

    def stall(self, on: bool) -> None:
        """Leave what the kernel tells where it is, or go on."""
        self._ours.send(("stall", on))
        self._answer()

    def close(self, storm: Storm, begin: datetime, end: datetime) -> Seen:
        """Stop, and say what was seen of the storm, and of all between two moments."""
        self._ours.send(("close", (storm.token, storm.count, begin, end)))
        seen: Seen = self._answer()
        self._process.join()
        return seen

    def abandon(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.join()

    def _answer(self) -> Any:
        if not self._ours.poll(_TIMEOUT_S):
            self.abandon()
            raise RuntimeError("the watcher does not answer")
        return self._ours.recv()


@contextmanager
def watching(config: Config) -> Iterator[Watcher]:
    """A watcher that does not outlive the block."""
    watcher = Watcher(config)
    try:
        yield watcher
    finally:
        watcher.abandon()


def _watch(pipe: Connection, config: Config) -> None:
    source = Processes(config)
    try:
        source.open()
    except Unavailable as error:
        pipe.send((error.reason, error.remedy))
        return
    batches: list[Any] = []
    before = source.samples()
    begin = _cpu_s()
    stalled, stopping = threading.Event(), threading.Event()

    def poll() -> None:
        while not stopping.is_set():
            if stalled.is_set():
                time.sleep(0.01)
            else:
                batches.extend(source.poll(0.5))

    thread = threading.Thread(target=poll)
    thread.start()
    pipe.send(None)
    while True:
        match pipe.recv():
            case "stall", bool() as on:
                (stalled.set if on else stalled.clear)()
                time.sleep(0.6)  # longer than a poll: it has begun, or it has caught up
                pipe.send(None)
            case "close", (token, count, since, until):
                break
    stopping.set()
    thread.join()
    batches += source.close()
    spent = _cpu_s() - begin
    counters = {sample.name: int(sample.value) for sample in source.samples()}
    earlier = {sample.name: int(sample.value) for sample in before}
    events = sum(counters[name] - earlier.get(name, 0) for name in ("fork", "exec", "exit"))
    rows = (json.loads(line) for batch in batches for line in _core.to_json_lines(batch).splitlines())
    pipe.send(_judge(rows, token, count, (since, until), counters, events, spent))


def _judge(
    rows: Iterator[dict[str, Any]],
    token: str,
    count: int,
    window: tuple[datetime, datetime],
    counters: Mapping[str, int],
    events: int,
    cpu_s: float,
) -> Seen:
    numbers: dict[int, int] = {}
    right, exits, codes, doubled, within = set(), set(), set(), 0, 0
    for row in rows:
        within += row["event_action"] != "seed" and window[0] <= datetime.fromisoformat(row["event_time"]) <= window[1]
        entity, arguments = row["process_entity_id"], row["process_args"]
        if row["event_action"] == "exec" and arguments[1:2] == [token] and arguments[3:4] == ["two words"]:
            doubled += entity in numbers
            numbers[entity] = int(arguments[2])
            if arguments == ["storm", token, arguments[2], "two words", ""] and 0 <= numbers[entity] < count:
                right.add(numbers[entity])
        elif row["event_action"] == "exit" and entity in numbers:
            doubled += entity in exits
            exits.add(entity)
            if row["process_exit_code"] == numbers[entity] % 200:
                codes.add(numbers[entity])
    execs = len(set(numbers.values()))
    return Seen(
        execs, len(right), len(exits), len(codes), doubled, within, counters["lost"], events, cpu_s, dict(counters)
    )


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
