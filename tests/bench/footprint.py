"""What processes cost while they run: CPU time and wake-ups of every thread, and memory by what it is used for.

From proc(5): schedstat (nanoseconds on a CPU), status (how often a thread slept), smaps.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PROC = Path("/proc")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)$")


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread at one moment: nanoseconds of CPU, and how often it went to sleep."""

    name: str
    cpu_ns: int
    sleeps: int


@dataclass(frozen=True, slots=True)
class Moment:
    """Processes at one moment. cpu_s also has the threads and the children that have ended."""

    time_s: float
    cpu_s: float
    written: int
    threads: dict[int, Thread]


@dataclass(frozen=True, slots=True)
class Footprint:
    """What processes cost between two moments, per second; memory, bytes, as of the second one."""

    seconds: float
    cpu: float
    wakeups: float
    written: float
    resident: int
    proportional: int
    parts: dict[str, int] = field(default_factory=dict)
    threads: list[tuple[str, float, float]] = field(default_factory=list)


def family(pids: Sequence[int]) -> list[int]:
    """The processes and their children, and theirs."""
    found = list(pids)
    for pid in found:
        for thread in _numbers(_PROC / str(pid) / "task"):
            found += map(int, _text(_PROC / str(pid) / "task" / str(thread) / "children").split())
    return found


def moment(pids: Sequence[int]) -> Moment:
    """The processes and their children now."""
    threads: dict[int, Thread] = {}
    cpu_s = written = 0.0
    for pid in family(pids):
        fields = _text(_PROC / str(pid) / "stat").rpartition(")")[2].split()
        if len(fields) > 15:
            cpu_s += sum(map(int, fields[11:15])) * _TICK_S
        written += _number(r"^write_bytes: (\d+)$", _text(_PROC / str(pid) / "io"))
        for number in _numbers(_PROC / str(pid) / "task"):
            folder = _PROC / str(pid) / "task" / str(number)
            spent = _text(folder / "schedstat").split()
            sleeps = _number(r"^voluntary_ctxt_switches:\s+(\d+)$", _text(folder / "status"))
            if spent:
                threads[number] = Thread(_text(folder / "comm").strip(), int(spent[0]), sleeps)
    return Moment(time.monotonic(), cpu_s, int(written), threads)


def between(before: Moment, after: Moment, pids: Sequence[int]) -> Footprint:
    """The cost between two moments, and the memory now."""
    seconds = after.time_s - before.time_s
    rows: list[tuple[str, float, float]] = []
    for number, thread in after.threads.items():
        old = before.threads.get(number, Thread("", 0, 0))
        rows.append((thread.name, (thread.cpu_ns - old.cpu_ns) / 1e9 / seconds, (thread.sleeps - old.sleeps) / seconds))
    parts: Counter[str] = Counter()
    resident = proportional = 0
    for pid in family(pids):
        roll = _text(_PROC / str(pid) / "smaps_rollup")
        resident += _number(r"^Rss:\s+(\d+) kB$", roll) * 1024
        proportional += _number(r"^Pss:\s+(\d+) kB$", roll) * 1024
        parts += memory(_text(_PROC / str(pid) / "smaps"))
    return Footprint(
        seconds=seconds,
        cpu=(after.cpu_s - before.cpu_s) / seconds,
        wakeups=sum(row[2] for row in rows),
        written=(after.written - before.written) / seconds,
        resident=resident,
        proportional=proportional,
        parts=dict(parts.most_common()),
        threads=sorted(rows, key=lambda row: -row[1]),
    )


def memory(smaps: str) -> Counter[str]:
    """Resident bytes by use: heap, packet rings, eBPF maps, stacks, each library by itself."""
    parts: Counter[str] = Counter()
    use = ""
    for line in smaps.splitlines():
        if match := _MAPPING.match(line):
            use = _use(match[1])
        elif line.startswith("Rss:"):
            parts[use] += int(line.split()[1]) * 1024
    return +parts


def _use(name: str) -> str:
    if name.startswith("socket:"):
        return "packet rings"
    if name.startswith("anon_inode:bpf"):
        return "eBPF rings"
    if name in ("", "[heap]") or name.startswith("[anon"):
        return "heap"
    return name if name.startswith("[") else Path(name).name


def kernel_threads(name: str) -> list[int]:
    """Kernel threads that work for somebody, such as kauditd."""
    return [pid for pid in _numbers(_PROC) if _text(_PROC / str(pid) / "comm").strip() == name]


def _numbers(folder: Path) -> list[int]:
    try:
        return sorted(int(one.name) for one in folder.iterdir() if one.name.isdecimal())
    except OSError:
        return []


def _text(path: Path) -> str:
    """Empty if the process has gone meanwhile."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _number(pattern: str, text: str) -> int:
    match = re.search(pattern, text, re.MULTILINE)
    return int(match[1]) if match else 0
