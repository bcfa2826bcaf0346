"""Listening ports and who holds them: /proc/net (proc(5)) and the descriptors of processes that we may look into."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from luytre_agent.sources.host.files import content
from luytre_agent.sources.host.things import Facts, text

_LISTEN = {"tcp": "0A", "udp": "07"}  # TCP_LISTEN; TCP_CLOSE, which is a UDP socket without a peer
_MAX_SOCKETS = 200_000


def sockets(data: bytes, transport: str, ephemeral_from: int = 65536) -> Iterator[tuple[str, int, str]]:
    """The listening sockets of a /proc/net file: `ADDRESS:PORT`, inode, uid. UDP ports from `ephemeral_from` on are
    those of clients, which come and go, and are left out."""
    for line in text(data).split("\n")[1:]:
        parts = line.split()
        if len(parts) < 10 or parts[3] != _LISTEN[transport]:
            continue
        address, _, port = parts[1].partition(":")
        try:
            number, inode = int(port, 16), int(parts[9])
            host = _address(address)
        except (ValueError, struct.error):
            continue
        if transport == "tcp" or number < ephemeral_from:
            yield f"{host}:{number}", inode, parts[7]


def _address(word: str) -> str:
    words = [int(word[at : at + 8], 16) for at in range(0, len(word), 8)]
    found = ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return f"[{found}]" if found.version == 6 else str(found)


def owners(proc: Path, inodes: set[int]) -> dict[int, tuple[str, str]]:
    """Name and executable of a process that holds each socket, the one of the lowest pid; those of processes that
    vanish or that we may not look into stay unknown."""
    found: dict[int, tuple[str, str]] = {}
    for pid in sorted(int(one.name) for one in proc.iterdir() if one.name.isascii() and one.name.isdigit()):
        if found.keys() >= inodes:
            break
        try:
            descriptors = list((proc / str(pid) / "fd").iterdir())
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                target = str(descriptor.readlink())
                inode = int(target[8:-1]) if target.startswith("socket:[") else -1
                if inode in inodes and inode not in found:
                    name = text(content(proc / str(pid) / "comm", 64)).strip()
                    found[inode] = (name, str((proc / str(pid) / "exe").readlink()))
            except (OSError, ValueError):
                continue
    return found


def read(root: Path) -> dict[str, Facts]:
    """The listening ports of the host's first network namespace, or ours if we may not see that one."""
    proc = root / "proc"
    net = proc / "1/net" if (proc / "1/net").is_dir() and root != Path("/") else proc / "self/net"
    if not (net / "tcp").exists() and (proc / "net/tcp").exists():
        net = proc / "net"
    try:
        first = int(content(proc / "sys/net/ipv4/ip_local_port_range", 64).split()[0])
    except (OSError, ValueError, IndexError):
        first = 32768
    found: list[tuple[str, int, str]] = []
    for name in ("tcp", "tcp6", "udp", "udp6"):
        try:
            data = content(net / name)
        except FileNotFoundError:
            if name == "tcp":
                raise
            continue
        transport = name[:3]
        found += [(f"{transport} {where}", inode, uid) for where, inode, uid in sockets(data, transport, first)]
    found = found[:_MAX_SOCKETS]
    return _things(found, owners(proc, {inode for _, inode, _ in found}))


def _things(found: list[tuple[str, int, str]], holders: Mapping[int, tuple[str, str]]) -> dict[str, Facts]:
    things: dict[str, Facts] = {}
    for where, inode, uid in found:
        name, executable = holders.get(inode, ("", ""))
        facts = {"uid": uid, "process": name, "executable": executable}
        if not things.get(where, {}).get("process"):  # SO_REUSEPORT: several sockets of one port
            things[where] = facts
    return things
