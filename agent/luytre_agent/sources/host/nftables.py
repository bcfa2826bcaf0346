"""The nftables rule sets of a network namespace, as things. Formats: linux/netfilter/nf_tables.h.

Of each chain the number of its rules and a hash over them, counters and handles left out: enough to see that somebody
changed it, small enough to keep. Elements of constant sets (`{ 22, 80 }` in a rule) count, those of others do not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

from luytre_agent.sources.host.netlink import Message, attributes, each_attribute, number, string
from luytre_agent.sources.host.rtnetlink import Thing

#: NFNLGRP_NFTABLES
GROUP = 7
_SUBSYSTEM = 10 << 8
_TABLES, _CHAINS, _RULES, _SETS, _ELEMENTS = (_SUBSYSTEM | kind for kind in (1, 4, 7, 10, 13))
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_HOOKS = {0: "prerouting", 1: "input", 2: "forward", 3: "output", 4: "postrouting", 5: "ingress"}
_SET_FIXED = 0x1 | 0x2  # NFT_SET_ANONYMOUS, NFT_SET_CONSTANT
#: Expressions whose state changes with the packets.
_COUNTING = (b"counter\0", b"quota\0", b"last\0", b"connlimit\0")

Dump = Callable[[int, bytes], Sequence[Message]]


def rule_sets(dump: Dump) -> Iterator[Thing]:
    """All tables, chains and constant sets. OSError if the kernel does not tell."""
    rules: dict[tuple[str, str, str], list[bytes]] = {}
    for family, found in _each(dump(_RULES, _request())):
        place = (family, string(found.get(1)), string(found.get(2)))
        rules.setdefault(place, []).append(_fingerprint(found.get(4, b"")))
    for family, found in _each(dump(_TABLES, _request())):
        dormant = "yes" if number(found.get(2), "big") & 1 else ""
        yield _thing((family, string(found.get(1))), {"element": "table", "dormant": dormant})
    for family, found in _each(dump(_CHAINS, _request())):
        place = (family, string(found.get(1)), string(found.get(3)))
        yield _thing(place, {"element": "chain", **_chain(found), **_digest("rules", rules.get(place, []))})
    for family, found in _each(dump(_SETS, _request())):
        if number(found.get(3), "big") & _SET_FIXED:
            number_of_family = next(code for code, name in _FAMILIES.items() if name == family)
            wanted = _attribute(1, found.get(1, b"")) + _attribute(2, found.get(2, b""))
            elements = [
                element
                for _, answer in _each(dump(_ELEMENTS, _request(number_of_family) + wanted))
                for _, element in each_attribute(answer.get(3, b""))
            ]
            place = (family, string(found.get(1)), string(found.get(2)))
            yield _thing(place, {"element": "set", **_digest("elements", sorted(elements))})


def _request(family: int = 0) -> bytes:
    return bytes((family, 0, 0, 0))  # struct nfgenmsg


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return length.to_bytes(2, "little") + kind.to_bytes(2, "little") + value + bytes(-length % 4)


def _each(messages: Sequence[Message]) -> Iterator[tuple[str, dict[int, bytes]]]:
    for message in messages:
        if len(message.body) >= 4 and message.body[0] in _FAMILIES:
            yield _FAMILIES[message.body[0]], attributes(message.body, 4)


def _fingerprint(expressions: bytes) -> bytes:
    kept = [element for _, element in each_attribute(expressions) if attributes(element).get(1) not in _COUNTING]
    return hashlib.sha256(b"".join(len(one).to_bytes(4, "little") + one for one in kept)).digest()


def _chain(found: dict[int, bytes]) -> dict[str, str]:
    if 4 not in found:
        return {}
    hook = attributes(found[4])
    priority = number(hook.get(2), "big")
    return {
        "hook": _HOOKS.get(number(hook.get(1), "big"), "unknown"),
        "priority": str(priority - (1 << 32) if priority >> 31 else priority),
        "policy": "drop" if 5 in found and number(found[5], "big") == 0 else "accept",
        "type": string(found.get(7)),
    }


def _digest(name: str, parts: Sequence[bytes]) -> dict[str, str]:
    return {name: str(len(parts)), "sha256": hashlib.sha256(b"\0".join(parts)).hexdigest() if parts else ""}


def _thing(place: tuple[str, ...], facts: dict[str, str]) -> Thing:
    return Thing("firewall", ("firewall", facts["element"], *place), "", " ".join(place), facts)
