"""Translations of addresses, as nftables makes them for administrators and container runtimes."""

from __future__ import annotations

import socket
from typing import Any

from pyroute2.netlink.nfnetlink.nftsocket import Cmp, Meta, Regs
from pyroute2.nftables.expressions import genex
from pyroute2.nftables.main import NFTables

from deploy.demo.namespaces import Side, inside

#: linux/netfilter/nf_tables.h: enum nft_nat_types; headers a payload expression may read.
_SNAT, _DNAT = 0, 1
_NETWORK, _TRANSPORT = 1, 2
#: linux/netfilter_ipv4.h: NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC.
_PRIORITY = {"prerouting": -100, "output": -100, "input": 100, "postrouting": 100}
_RANDOM = frozenset({"NF_NAT_RANGE_PROTO_RANDOM_FULLY"})

Expression = dict[str, Any]


def publish(side: Side, at: tuple[str, int], to: tuple[str, int], local: bool = False) -> None:
    """What comes in for one end goes to another; with `local`, what processes of `side` themselves say."""
    (address, port), values = at, [_load(Regs.NFT_REG_1, socket.inet_aton(to[0])), _load(Regs.NFT_REG_2, _port(to[1]))]
    nat = genex(
        "nat",
        {"type": _DNAT, "family": socket.AF_INET, "reg_addr_min": Regs.NFT_REG_1, "reg_proto_min": Regs.NFT_REG_2},
    )
    match = [*_said(_NETWORK, 16, socket.inet_aton(address)), *_said(_TRANSPORT, 2, _port(port))]
    _rule(side, "output" if local else "prerouting", [*match, *values, nat])


def redirect(side: Side, port: int, to: int) -> None:
    """What comes in for a port goes to another one of `side`."""
    redir = [_load(Regs.NFT_REG_1, _port(to)), genex("redir", {"reg_proto_min": Regs.NFT_REG_1})]
    _rule(side, "prerouting", [*_said(_TRANSPORT, 2, _port(port)), *redir])


def masquerade(side: Side) -> None:
    """What leaves `side` by its interface gets its address, and a port unlike the one it had."""
    name = genex("meta", {"key": Meta.NFT_META_OIFNAME, "dreg": Regs.NFT_REG_1})
    out = [name, _equal(side.interface.encode().ljust(16, b"\0"))]
    _rule(side, "postrouting", [*out, genex("masq", {"flags": _RANDOM})])


def source(side: Side, to: str) -> None:
    """What leaves `side` gets another source address."""
    nat = genex("nat", {"type": _SNAT, "family": socket.AF_INET, "reg_addr_min": Regs.NFT_REG_1})
    _rule(side, "postrouting", [_load(Regs.NFT_REG_1, socket.inet_aton(to)), nat])


def _port(port: int) -> bytes:
    return port.to_bytes(2, "big")


def _load(register: Regs, value: bytes) -> Expression:
    return genex("immediate", {"dreg": register, "data": {"attrs": [("NFTA_DATA_VALUE", value)]}})


def _equal(value: bytes) -> Expression:
    data = {"attrs": [("NFTA_DATA_VALUE", value)]}
    return genex("cmp", {"sreg": Regs.NFT_REG_1, "op": Cmp.NFT_CMP_EQ, "data": data})


def _said(header: int, offset: int, value: bytes) -> list[Expression]:
    """Packets of which a header holds a value."""
    where = {"dreg": Regs.NFT_REG_1, "base": header, "offset": offset, "len": len(value)}
    return [genex("payload", where), _equal(value)]


def _rule(side: Side, hook: str, expressions: list[Expression]) -> None:
    with inside(side.namespace):
        nft = NFTables(nfgen_family=socket.AF_INET)
        try:
            nft.table("add", name="bench")
            nft.chain("add", table="bench", name=hook, hook=hook, type="nat", policy=1, priority=_PRIORITY[hook])
            nft.rule("add", table="bench", chain=hook, expressions=(expressions,))
        finally:
            nft.close()
