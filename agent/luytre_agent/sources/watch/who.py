"""Who did it: a process as proc(5) shows it at once, because it may soon be gone."""

from __future__ import annotations

import hashlib
import os
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from luytre_agent.sources.watch.names import Names

_ARGS_MAX = 4096  # as table processes
#: A container's id in a cgroup path: docker, containerd, cri-o, podman.
_CONTAINER = re.compile(r"([0-9a-f]{64})(?:\.scope)?(?:/|$)")
_UNIT = re.compile(r"/([^/]+\.(?:service|scope|socket|mount))(?=/|$)")


#: As table processes has it for a user that is not known.
NO_USER = 4_294_967_295


@dataclass(frozen=True, slots=True)
class Who:
    """A process. Texts that could not be read are empty; of one that is gone only the pid is known."""

    pid: int
    entity_id: int = 0
    name: str = ""
    executable: str = ""
    command_line: str = ""
    uid: int = NO_USER
    user: str = ""
    unit: str = ""
    container: str = ""


def entity_id(boot_id: str, pid: int, ticks: int) -> int:
    """The identity of a process as in table `processes`: the first 8 bytes of SHA-1, big-endian, never 0.

    ticks: clock ticks from boot to its start, field 22 of /proc/PID/stat.
    """
    digest = hashlib.sha1(f"{boot_id} {pid} {ticks}".encode(), usedforsecurity=False).digest()
    return max(int.from_bytes(digest[:8], "big"), 1)


class Processes:
    """Looks processes up, and remembers the last ones: many die between two events of theirs."""

    def __init__(
        self,
        users: Names,
        clock: Callable[[], float],
        root: Path = Path("/proc"),
        keep: int = 512,
        keep_s: float = 2.0,
    ) -> None:
        self._root = root
        self._users = users
        self._clock = clock
        self._keep = keep
        self._keep_s = keep_s
        self._seen: OrderedDict[int, tuple[float, Who]] = OrderedDict()
        try:
            self._boot_id = (root / "sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            self._boot_id = ""

    def find(self, pid: int, alive: bool = True) -> Who | None:
        """The process; only its pid if it is gone, and was not seen shortly before either; None for pid 0.

        alive: whether the process that is meant was there just now; if not, `pid` may already be another's.
        """
        if pid <= 0:
            return None
        now = self._clock()
        found = self._read(pid) if alive else None
        when, before = self._seen.get(pid, (0.0, None))
        if before and now - when <= self._keep_s:
            if found is None:
                return before
            if found.entity_id == before.entity_id and not found.executable:  # it has just ended
                found = replace(found, executable=before.executable, command_line=before.command_line)
        if found:
            self._seen[pid] = (now, found)
            self._seen.move_to_end(pid)
            if len(self._seen) > self._keep:
                self._seen.popitem(last=False)
        return found or Who(pid)

    def _read(self, pid: int) -> Who | None:
        folder = f"{self._root}/{pid}"
        try:
            executable = os.readlink(f"{folder}/exe")  # noqa: PTH115
        except OSError:
            executable = ""
        arguments = _some(f"{folder}/cmdline", _ARGS_MAX)
        stat = _some(f"{folder}/stat", 4096)
        if (fields := parse_stat(stat)) is None:
            return None
        name, ticks = fields
        uid = _real_uid(_some(f"{folder}/status", 16_384))
        if uid is None:
            return None
        unit, container = place(_some(f"{folder}/cgroup", 16_384).decode(errors="replace"))
        line = arguments.removesuffix(b"\0").replace(b"\0", b" ").decode(errors="replace")
        entity = entity_id(self._boot_id, pid, ticks) if self._boot_id else 0
        return Who(pid, entity, name, text(executable), line, uid, self._users.name(uid), unit, container)


def parse_stat(stat: bytes) -> tuple[str, int] | None:
    """comm and starttime of /proc/PID/stat. The name is in brackets and may hold brackets and spaces itself."""
    begin, end = stat.find(b"("), stat.rfind(b")")
    fields = stat[end + 1 :].split()
    if begin < 0 or end < begin or len(fields) < 20 or not fields[19].isdigit():
        return None
    return stat[begin + 1 : end].decode(errors="replace"), int(fields[19])


def _real_uid(status: bytes) -> int | None:
    found = re.search(rb"^Uid:\s*(\d+)", status, re.MULTILINE)
    return int(found[1]) if found else None


def place(cgroup: str) -> tuple[str, str]:
    """systemd unit and container id (12 characters) of the paths in /proc/PID/cgroup; the innermost of each."""
    units = containers = ""
    for line in cgroup.splitlines():
        path = line.split(":", 2)[-1]
        if found := _CONTAINER.findall(path):
            containers = found[-1][:12]
        if line.startswith("0::") or ":name=systemd:" in line:
            units = (_UNIT.findall(path) or [units])[-1]
    return units, containers


def text(path: str) -> str:
    """A path for people: bytes that are not UTF-8 are replaced."""
    return os.fsencode(path).decode(errors="replace")


def _some(path: str, limit: int) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 # some microseconds faster, thousands of times
            return file.read(limit) or b""
    except OSError:
        return b""
