"""What the control group that we are in allows, and what it did to us: cgroup v2, and memory and cpu of v1.

Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst, scheduler/sched-bwc.rst of the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: v1 says "no limit" with the largest page-aligned number.
_UNLIMITED = 1 << 62


@dataclass(frozen=True, slots=True)
class Allowance:
    """cores and memory_bytes: the least that any group above us allows, None for no limit. throttled_us: how long our
    own group was kept from running; ooms: how often it had no memory left."""

    cores: float | None = None
    memory_bytes: int | None = None
    throttled_us: int = 0
    ooms: int = 0


NO_LIMITS = Allowance()


class Cgroup:
    """The groups of this process, found once."""

    def __init__(self, proc: Path = Path("/proc/self"), root: Path = Path("/sys/fs/cgroup")) -> None:
        self._unified, self._cpu, self._memory = [], [], []  # type: list[Path], list[Path], list[Path]
        try:
            lines = (proc / "cgroup").read_text().splitlines()
        except OSError:
            return
        for line in lines:
            _, controllers, path = line.split(":", 2)
            if not controllers:
                hybrid = root / "unified"
                self._unified = _chain(hybrid if hybrid.is_dir() else root, path)
            names = controllers.split(",")
            if "cpu" in names:
                self._cpu = _chain(root / "cpu", path) or _chain(root / controllers, path)
            if "memory" in names:
                self._memory = _chain(root / "memory", path)

    def read(self) -> Allowance:
        """What is so now. What cannot be read does not limit."""
        cores = [*map(_cores, self._unified), *map(_cores_v1, self._cpu)]
        memory = [_number(folder / name) for folder in self._unified for name in ("memory.max", "memory.high")]
        memory += [_number(folder / "memory.limit_in_bytes") for folder in self._memory]
        # Not how often a limit was met: the page cache of the spool does that, and gives way.
        ooms = _pairs(self._unified[0] / "memory.events").get("oom", 0) if self._unified else 0
        throttled = _pairs(self._unified[0] / "cpu.stat").get("throttled_usec", 0) if self._unified else 0
        if self._cpu:
            throttled += _pairs(self._cpu[0] / "cpu.stat").get("throttled_time", 0) // 1000
        return Allowance(
            min((one for one in cores if one), default=None),
            min((one for one in memory if one is not None and one < _UNLIMITED), default=None),
            throttled,
            ooms,
        )


def _chain(root: Path, path: str) -> list[Path]:
    """The group and those above it, ours first; as far as they are to be seen from here."""
    group = root / path.lstrip("/")
    if ".." in group.parts:  # we were moved out of what our cgroup namespace shows
        group = root
    return [one for one in (group, *group.parents) if one.is_relative_to(root) and one.is_dir()]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _pairs(path: Path) -> dict[str, int]:
    words = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].isdecimal()}


def _cores(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.strip().isdecimal() else None


def _cores_v1(folder: Path) -> float | None:
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota / period if quota and period else None
