"""The network interfaces of this network namespace."""

from __future__ import annotations

import fcntl
import socket
import struct

_SIOCGIFFLAGS = 0x8913  # linux/sockios.h
_IFF_UP = 0x1  # linux/if.h


def interfaces_up() -> dict[str, int]:
    """Names of the interfaces that are up, loopback included, with their index (if_nameindex(3), netdevice(7))."""
    up: dict[str, int] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        for index, name in socket.if_nameindex():
            request = struct.pack("16sH14x", name.encode(), 0)
            try:
                flags = struct.unpack("16xH14x", fcntl.ioctl(query, _SIOCGIFFLAGS, request))[0]
            except OSError:  # gone since it was listed
                continue
            if flags & _IFF_UP:
                up[name] = index
    return up
