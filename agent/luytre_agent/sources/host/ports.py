"""Listening ports and who holds them, as the kernel lists its sockets (sock_diag(7))."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from luytre_agent import _core
from luytre_agent.sources.host.files import content
from luytre_agent.sources.host.things import Facts


def read(root: Path) -> dict[str, Facts]:
    """TCP listeners and UDP sockets without a peer, by `TRANSPORT ADDRESS:PORT`, in our network namespace; with another
    root in that of the host's first process, or ours if we may not enter that one. UDP ports of the ephemeral range are
    those of clients, which come and go, and are left out."""
    proc = root / "proc"
    first = None if root == Path("/") else proc / "1/ns/net"
    ephemeral = _ephemeral(proc)
    things: dict[str, Facts] = {}
    for transport, address, port, uid, names, executables, units in _core.listening_ports(proc, first):
        if transport == "udp" and port in ephemeral:
            continue
        name = f"{transport} [{address}]:{port}" if ":" in address else f"{transport} {address}:{port}"
        facts = {
            "uid": str(uid),
            "process": _several(names),
            "executable": _several(executables),
            "unit": _several(units),
        }
        if not things.get(name, {}).get("process"):  # SO_REUSEPORT: several sockets of one port
            things[name] = facts
    return things


def _ephemeral(proc: Path) -> range:
    try:
        first, last = map(int, content(proc / "sys/net/ipv4/ip_local_port_range", 64).split()[:2])
    except (OSError, ValueError):
        first, last = 32768, 60999
    return range(first, last + 1)


def _several(values: Iterable[str]) -> str:
    """What the holders of one socket do not agree on is named all, in order."""
    return ", ".join(sorted(values))
