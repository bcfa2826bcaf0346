"""`network_direction` (ECS): internal, inbound, outbound or external, by the configured networks.

Every distinct address of a batch is looked up once, in sorted ranges; rows only carry indices.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from luytre_common.settings import setting

_MAPPED = 0xFFFF << 32  # ::ffff:0:0/96, where IPv4 lives (RFC 4291, 2.5.5.2)

#: Private (RFC 1918, RFC 4193), this host, link-local, and multicast and broadcast, which routers do not pass on.
DEFAULT_INTERNAL = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "0.0.0.0/32",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "::/127",
    "fe80::/10",
    "ff00::/8",
]


def networks(values: list[str]) -> str | None:
    """A setting's check: every entry is a network in CIDR notation."""
    for value in values:
        try:
            ipaddress.ip_network(value)
        except ValueError as error:
            return f"has a wrong entry: {error}"
    return None


@dataclass(frozen=True)
class Config:
    """Which addresses are ours."""

    internal: list[str] = setting(DEFAULT_INTERNAL, "networks of the organisation, in CIDR notation", networks)


class Direction:
    """Fills `network_direction` from `source_ip` and `destination_ip`."""

    #: Index 2 * (source is ours) + (destination is ours).
    NAMES = ("external", "inbound", "outbound", "internal")

    def __init__(self, config: Config) -> None:
        self._starts, self._ends = _merge(_ranges(config.internal))
        self._names = pa.array(self.NAMES, pa.string())

    def ours(self, address: bytes) -> bool:
        """Whether a 16-byte address is of our networks."""
        number = int.from_bytes(address, "big")
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number <= self._ends[at]

    def __call__(self, rows: pa.Table) -> pa.Table:
        """The rows with their direction."""
        source = self._ours_column(rows.column("source_ip"))
        destination = self._ours_column(rows.column("destination_ip"))
        index: Any = pc.add(pc.multiply(source, pa.scalar(2, pa.int32())), destination)
        names = pa.DictionaryArray.from_arrays(index, self._names)
        at = rows.schema.get_field_index("network_direction")
        return rows.set_column(at, rows.schema.field(at), pa.chunked_array([names]))

    def _ours_column(self, addresses: Any) -> Any:
        coded: Any = addresses.combine_chunks().dictionary_encode()
        ours = pa.array([int(self.ours(one)) for one in coded.dictionary.to_pylist()], pa.int32())
        return ours.take(coded.indices)


def _ranges(values: Iterable[str]) -> list[tuple[int, int]]:
    found = []
    for value in values:
        network = ipaddress.ip_network(value)
        base = _MAPPED if network.version == 4 else 0
        found.append((base + int(network.network_address), base + int(network.broadcast_address)))
    return sorted(found)


def _merge(ranges: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    starts: list[int] = []
    ends: list[int] = []
    for start, end in ranges:
        if ends and start <= ends[-1] + 1:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    return starts, ends
