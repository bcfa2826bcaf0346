"""`network_direction` (ECS): internal, inbound, outbound or external, by the configured networks.

An address is two 64-bit halves, and a network a mask over them. Masks do not care for the order of bytes, so the halves
are read as they lie in the column. Networks of one length are looked up together: the cost grows with the number of
different prefix lengths, not of networks.
"""

from __future__ import annotations

import ipaddress
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute
from luytre_common.settings import setting

# The stubs do not know these kernels for what they are given here.
pc: Any = pyarrow.compute

_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96, where IPv4 lives (RFC 4291, 2.5.5.2)

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
        self._groups = list(_groups(config.internal))
        self._names = pa.array(self.NAMES, pa.string())

    def __call__(self, rows: pa.Table) -> pa.Table:
        """The rows with their direction."""
        source = self.ours(rows.column("source_ip")).cast(pa.int32())
        destination = self.ours(rows.column("destination_ip")).cast(pa.int32())
        index = pc.add(pc.multiply(source, pa.scalar(2, pa.int32())), destination)
        names = pa.DictionaryArray.from_arrays(index, self._names)
        at = rows.schema.get_field_index("network_direction")
        return rows.set_column(at, rows.schema.field(at), pa.chunked_array([names]))

    def ours(self, addresses: Any) -> Any:
        """For a chunked column of 16-byte addresses, whether each is of our networks."""
        high, low = _halves(addresses)
        found = pa.repeat(pa.scalar(False), len(high))
        beginnings: dict[int, Any] = {}
        for group in self._groups:
            if group.high is None:
                hit = _among(pc.bit_wise_and(high, group.mask), group.values)
            else:
                if group.high not in beginnings:
                    beginnings[group.high] = pc.equal(high, pa.scalar(group.high, pa.uint64()))
                hit = pc.and_(_among(pc.bit_wise_and(low, group.mask), group.values), beginnings[group.high])
            found = pc.or_(found, hit)
        return found


def _among(numbers: Any, values: Any) -> Any:
    """Which of the numbers are values. A comparison costs a fifth of a look-up."""
    if len(values) > _FEW:
        return pc.is_in(numbers, value_set=values)
    found = pc.equal(numbers, values[0])
    for value in values[1:]:
        found = pc.or_(found, pc.equal(numbers, value))
    return found


_FEW = 4


@dataclass(frozen=True, slots=True)
class _Group:
    """Networks of one prefix length. `high`: the half that all of them begin with, None if they end within it."""

    high: int | None
    mask: Any
    values: Any


def _groups(networks: Iterable[str]) -> Iterator[_Group]:
    sets: defaultdict[tuple[int | None, int], set[int]] = defaultdict(set)
    for one in map(ipaddress.ip_network, networks):
        length = one.prefixlen + (96 if one.version == 4 else 0)
        address = one.network_address.packed if one.version == 6 else _MAPPED + one.network_address.packed
        high, low = _number(address[:8]), _number(address[8:])
        if length <= 64:
            sets[None, length].add(high)
        else:
            sets[high, length - 64].add(low)
    for (beginning, length), values in sets.items():
        mask = _number((((1 << length) - 1) << (64 - length)).to_bytes(8, "big"))
        yield _Group(beginning, pa.scalar(mask, pa.uint64()), pa.array(sorted(values), pa.uint64()))


def _number(half: bytes) -> int:
    return int.from_bytes(half, sys.byteorder)


def _halves(addresses: Any) -> tuple[Any, Any]:
    array: Any = pa.concat_arrays(addresses.chunks or [pa.array([], pa.binary(16))])
    halves = pa.Array.from_buffers(pa.uint64(), 2 * len(array), [None, array.buffers()[1]], offset=2 * array.offset)
    pairs = pa.FixedSizeListArray.from_arrays(halves, 2)
    return pc.list_element(pairs, 0), pc.list_element(pairs, 1)
