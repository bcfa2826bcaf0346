"""Where the other end of a connection is: gRPC's names of peers, `ipv4:192.0.2.7:41234`, `ipv6:%5B2001:db8::1%5D:41234`
(doc/naming.md). Pure."""

from __future__ import annotations

import ipaddress
from urllib.parse import unquote


def host_of(peer: str) -> str:
    """The address without port and zone; empty if there is none."""
    return unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]").partition("%")[0]


def address_of(peer: str) -> bytes:
    """The address as 16 bytes, as in `Kind.IP`; zeros if there is none."""
    try:
        found = ipaddress.ip_address(host_of(peer))
    except ValueError:
        return bytes(16)
    return found.packed if found.version == 6 else bytes(10) + b"\xff\xff" + found.packed
