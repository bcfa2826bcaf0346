"""Two network namespaces, red and blue, joined by a veth pair, with no way out.

Names carry the pid and start time of the process that made them, so that what a killed run left behind is known for
sure and removed by the next run. Needs root and iproute2.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_CLONE_NEWNET = 0x40000000  # linux/sched.h
#: IPv4 and IPv6 of the story's hosts: red and world from RFC 5737 and RFC 3849, blue from RFC 1918 and RFC 4193.
RED = ("203.0.113.66", "2001:db8:66::66")
WORLD = ("198.51.100.7", "2001:db8:7::7")
BLUE = ("10.77.0.10", "fd77:7072::10")

_NAMES = Path("/run/netns")
_OURS = re.compile(r"luytre-(?:red|blue)-(\d+)-(\d+)")


@dataclass(frozen=True, slots=True)
class Side:
    """One host on the wire: a namespace with one interface, and the host's addresses on it."""

    namespace: str
    interface: str
    ipv4: str
    ipv6: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Blue is a server of ours (private addresses); at the other end sit red, an attacker, and world, everybody else
    (documentation addresses)."""

    red: Side
    world: Side
    blue: Side


class NamespaceError(RuntimeError):
    """`ip` refused: no root, no iproute2, or a kernel without namespaces or veth."""


@contextmanager
def pair() -> Iterator[Pair]:
    """Make the two namespaces; remove them on the way out, whatever happened. NamespaceError if it cannot be."""
    remove_stale()
    mark = f"{os.getpid()}-{_start_time(os.getpid())}"
    red = Side(f"luytre-red-{mark}", "red0", *RED)
    world = Side(red.namespace, red.interface, *WORLD)
    blue = Side(f"luytre-blue-{mark}", "blue0", *BLUE)
    try:
        for side in (red, blue):
            _ip("netns", "add", side.namespace)
        _ip("link", "add", red.interface, "netns", red.namespace, "type", "veth",
            "peer", "name", blue.interface, "netns", blue.namespace)  # fmt: skip
        for side in (red, blue):
            _ip("-n", side.namespace, "link", "set", "lo", "up")
            _ip("-n", side.namespace, "link", "set", side.interface, "up")
        for side in (red, world, blue):
            _ip("-n", side.namespace, "address", "add", f"{side.ipv4}/32", "dev", side.interface)
            _ip("-n", side.namespace, "address", "add", f"{side.ipv6}/128", "dev", side.interface, "nodad")
        for side, other in ((red, blue), (blue, red), (blue, world)):
            _ip("-n", side.namespace, "route", "add", f"{other.ipv4}/32", "dev", side.interface, "src", side.ipv4)
            _ip("-n", side.namespace, "route", "add", f"{other.ipv6}/128", "dev", side.interface)
        yield Pair(red, world, blue)
    finally:
        for side in (red, blue):
            _remove(side.namespace)


def remove_stale() -> list[str]:
    """Remove the namespaces of runs that no longer live; their names."""
    stale = []
    for path in sorted(_NAMES.glob("luytre-*")) if _NAMES.is_dir() else ():
        match = _OURS.fullmatch(path.name)
        if match and _start_time(int(match[1])) != match[2]:
            _remove(path.name)
            stale.append(path.name)
    return stale


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Sockets and processes that the calling thread makes in the block belong to `namespace` for good."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.open(_NAMES / namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(target)
        finally:
            os.close(target)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def _setns(descriptor: int) -> None:
    # os.setns came with Python 3.12.
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")


_libc = ctypes.CDLL(None, use_errno=True)


def _start_time(pid: int) -> str:
    """Start of the process in clock ticks since boot: field 22 of proc(5) stat; empty if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def _ip(*arguments: str) -> None:
    try:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NamespaceError(f"ip {' '.join(arguments)}: {error}") from None
    if done.returncode != 0:
        raise NamespaceError(f"ip {' '.join(arguments)}: {done.stderr.strip() or done.returncode}")


def _remove(namespace: str) -> None:
    if (_NAMES / namespace).exists():
        with suppress(NamespaceError):
            _ip("netns", "delete", namespace)
