"""rtnetlink(7): links, addresses, routes, neighbours and rules as things. Formats: linux/if_link.h, if_addr.h,
rtnetlink.h, neighbour.h, fib_rules.h. No input or output here."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from luytre_agent.sources.host.netlink import Message, attributes, each_attribute, number, string
from luytre_agent.sources.host.things import Facts

#: Groups to subscribe to (RTNLGRP_*): link, neigh, ipv4 ifaddr, route, rule, ipv6 ifaddr, route, rule.
LINK, NEIGH, V4_ADDRESS, V4_ROUTE, V4_RULE, V6_ADDRESS, V6_ROUTE, V6_RULE = 1, 3, 5, 7, 8, 9, 11, 19

#: Message types RTM_NEW*; RTM_DEL* is one more, RTM_GET* two more.
_NEW = {16: "link", 20: "address", 24: "route", 28: "neighbour", 32: "rule"}

#: What to send to have everything of a kind: RTM_GET* and the fixed part of the message, all families.
DUMPS: dict[str, tuple[int, bytes]] = {
    "link": (18, bytes(16)),
    "address": (22, bytes(8)),
    "route": (26, bytes(12)),
    "neighbour": (30, bytes(12)),
    "rule": (34, bytes(12)),
}

_FAMILIES = {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6"}
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, ARPHRD type, index, flags, which flags changed
_IFLA_IFNAME = 3
_IFF_UP = 0x1
_TABLE_MAIN, _TABLE_LOCAL = 254, 255
_ROUTE_TYPES = {1: "unicast", 6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw"}
_RTM_F_CLONED = 0x200
_PROTOCOLS = {1: "redirect", 2: "kernel", 3: "boot", 4: "static", 9: "ra", 16: "dhcp", 186: "bgp", 188: "ospf"}
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
_OPERATION = ("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")
_RULE_ACTIONS = {1: "table", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_NUD_NOT_KNOWN = 0x01 | 0x20  # NUD_INCOMPLETE, NUD_FAILED


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing of the network. `key` stays while it is the same; `gateways` are the next hops of a default route."""

    kind: str
    key: tuple[object, ...]
    interface: str
    subject: str
    facts: Facts
    gateways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class News:
    """What a message says: a thing that is there (now), or is gone. doubtful: others may have changed in silence."""

    things: tuple[Thing, ...]
    gone: bool
    doubtful: bool = False


def read(message: Message, names: Mapping[int, str]) -> News | None:
    """The message's things; None if it is not about any that counts. `names` are the interfaces' by index."""
    gone = message.type - 1 in _NEW
    kind = _NEW.get(message.type - 1 if gone else message.type)
    if kind is None:
        return None
    try:
        things = _READERS[kind](message.body, names)
    except (struct.error, ValueError):
        return None
    if not things:
        return None
    # The kernel removes routes in silence when a link goes down or an address goes away, and IPv6 routes when others
    # take their place (NLM_F_REPLACE); NLM_F_APPEND makes two of one key.
    down = kind == "link" and things[0].facts.get("state") == "down"
    doubtful = down or (gone and kind in ("link", "address")) or (kind == "route" and bool(message.flags & 0x900))
    return News(tuple(things), gone, doubtful)


def link(message: Message) -> tuple[int, str, bool] | None:
    """Index and name of an interface, and whether it is up; None if the message is about something else."""
    if _NEW.get(message.type) != "link" or len(message.body) < _LINK.size:
        return None
    family, _, index, flags, _ = _LINK.unpack_from(message.body)
    name = string(attributes(message.body, _LINK.size).get(_IFLA_IFNAME))
    return (index, name, bool(flags & _IFF_UP)) if family == socket.AF_UNSPEC and name else None


def mac(data: bytes | None) -> str:
    """RFC 7042 notation; empty for none or all zero (loopback)."""
    return data.hex("-").upper() if data and any(data) else ""


def _ip(data: bytes) -> str:
    return str(ipaddress.ip_address(data))


def _links(body: bytes, _: Mapping[int, str]) -> list[Thing]:
    family, _, index, flags, _ = _LINK.unpack_from(body)
    if family != socket.AF_UNSPEC:
        return []  # bridge ports tell a second time, in their own family
    found = attributes(body, _LINK.size)
    if 11 in found:
        return []  # IFLA_WIRELESS: an event that tells nothing else
    name = string(found.get(_IFLA_IFNAME))
    kind = string(attributes(found.get(18, b"")).get(1))
    operation = number(found.get(16))
    facts = {
        "name": name,
        "state": "up" if flags & _IFF_UP else "down",
        "operation": _OPERATION[operation] if operation < len(_OPERATION) else str(operation),
        "mtu": str(number(found.get(4))),
        "mac": mac(found.get(1)),
        "promiscuous": "yes" if number(found.get(30)) else "no",
        "type": kind,
        "master": str(number(found.get(10)) or ""),
    }
    return [Thing("link", ("link", index), name, name, facts)]


def _addresses(body: bytes, names: Mapping[int, str]) -> list[Thing]:
    family, length, flags, scope, index = struct.unpack_from("=BBBBI", body)
    if family not in _FAMILIES:
        return []
    found = attributes(body, 8)
    address = found.get(2) or found.get(1)  # IFA_LOCAL, or IFA_ADDRESS where there is no peer
    if not address:
        return []
    flags = number(found.get(8)) or flags
    subject = f"{_ip(address)}/{length}"
    peer = _ip(found[1]) if 1 in found and found[1] != address else ""
    facts = {
        "address": subject,
        "scope": _SCOPES.get(scope, str(scope)),
        "dynamic": "no" if flags & 0x80 else "yes",
        "temporary": "yes" if family == socket.AF_INET6 and flags & 0x01 else "",
        "peer": peer,
    }
    return [Thing("address", ("address", index, subject), _name(index, names), subject, facts)]


def _routes(body: bytes, names: Mapping[int, str]) -> list[Thing]:
    family, length, source_length, tos, table, protocol, scope, kind, flags = struct.unpack_from("=BBBBBBBBI", body)
    found = attributes(body, 12)
    table = number(found.get(15)) or table
    if family not in _FAMILIES or table == _TABLE_LOCAL or kind not in _ROUTE_TYPES or flags & _RTM_F_CLONED:
        return []
    destination = found.get(1, bytes(4 if family == socket.AF_INET else 16))
    subject = f"{_ip(destination)}/{length}"
    priority = number(found.get(6))
    facts = {
        "family": _FAMILIES[family],
        "table": "main" if table == _TABLE_MAIN else str(table),
        "metric": str(priority) if priority else "",
        "protocol": _PROTOCOLS.get(protocol, str(protocol)),
        "type": _ROUTE_TYPES[kind],
        "scope": _SCOPES.get(scope, str(scope)),
        "source": _ip(found[7]) if 7 in found else "",
        "from": f"{_ip(found[2])}/{source_length}" if 2 in found else "",
    }
    key = ("route", family, table, subject, tos, priority, facts["from"])
    default = length == 0 and kind == 1
    hops = _hops(found.get(9, b""), names) or [(_via(found), _name(number(found.get(4)), names))]
    things = []
    for group in [[hop] for hop in hops] if family == socket.AF_INET6 else [hops]:
        ways = {"via": ",".join(via for via, _ in group if via), "interface": ",".join(dev for _, dev in group if dev)}
        own = (*key, *ways.values()) if family == socket.AF_INET6 else key
        gateways = tuple(via for via, _ in group if via) if default else ()
        things.append(Thing("route", own, group[0][1], subject, {**facts, **ways}, gateways))
    return things


def _via(found: Mapping[int, bytes]) -> str:
    if 5 in found:  # RTA_GATEWAY
        return _ip(found[5])
    return _ip(found[18][2:]) if 18 in found else ""  # RTA_VIA: family, address


def _hops(data: bytes, names: Mapping[int, str]) -> list[tuple[str, str]]:
    hops = []
    at = 0
    while at + 8 <= len(data):  # struct rtnexthop
        length, _, _, index = struct.unpack_from("=HBBi", data, at)
        if length < 8 or at + length > len(data):
            break
        hops.append((_via(attributes(data[at + 8 : at + length])), _name(index, names)))
        at += (length + 3) & ~3
    return hops


def _neighbours(body: bytes, names: Mapping[int, str]) -> list[Thing]:
    family, index, state, _, _ = struct.unpack_from("=BxxxiHBB", body)
    found = attributes(body, 12)
    address = mac(found.get(2))
    if family not in _FAMILIES or 1 not in found or state & _NUD_NOT_KNOWN or not address:
        return []
    ip = _ip(found[1])
    return [Thing("neighbour", ("neighbour", index, ip), _name(index, names), ip, {"mac": address})]


def _rules(body: bytes, _: Mapping[int, str]) -> list[Thing]:
    family, to_length, from_length, tos, table, _, _, action, flags = struct.unpack_from("=BBBBBBBBI", body)
    if family not in _FAMILIES:
        return []
    found = dict(each_attribute(body, 12))
    facts = {
        "family": _FAMILIES[family],
        "priority": str(number(found.get(6))),
        "from": f"{_ip(found[2])}/{from_length}" if 2 in found else "all",
        "to": f"{_ip(found[1])}/{to_length}" if 1 in found else "",
        "iif": string(found.get(3)),
        "oif": string(found.get(17)),
        "fwmark": hex(number(found.get(10))) if 10 in found else "",
        "tos": str(tos or ""),
        "inverted": "yes" if flags & 0x2 else "",
        "action": _RULE_ACTIONS.get(action, str(action)),
        "table": str(number(found.get(15)) or table),
    }
    subject = f"{facts['priority']} from {facts['from']}" + (f" to {facts['to']}" if facts["to"] else "")
    return [Thing("rule", ("rule", *facts.items()), facts["iif"] or facts["oif"], subject, facts)]


def _name(index: int, names: Mapping[int, str]) -> str:
    return names.get(index, f"#{index}") if index else ""


_READERS = {"link": _links, "address": _addresses, "route": _routes, "neighbour": _neighbours, "rule": _rules}
