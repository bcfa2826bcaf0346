"""The table of cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.attribution import handed, nat, older, tcp, udp
from tests.bench.attribution.stage import Stage
from tests.bench.attribution.talk import Truth

#: What the best rung must reach; nothing may ever be wrong.
GOAL = 0.999


@dataclass(frozen=True, slots=True)
class Case:
    """Traffic with its truth."""

    run: Callable[[Stage, int], list[Truth]]
    #: Of the flows whose process can be known.
    recall: float = GOAL
    #: It begins before the agent watches, and calls `Stage.watched`.
    early: bool = False
    #: Where packets are looked at.
    places: tuple[str, ...] = ("red", "blue")

    @property
    def name(self) -> str:
        """As it is called for."""
        return self.run.__name__


_LOOPBACK = ("red-lo", "blue-lo")
_BEHIND = ("red", "blue", "gate", "box")

CASES = {
    case.name: case
    for case in (
        Case(tcp.tcp_short),
        Case(tcp.tcp_prefork),
        Case(tcp.tcp_ipv6),
        Case(tcp.tcp_mapped),
        Case(tcp.tcp_multipath),
        Case(tcp.tcp_port_reuse),
        Case(tcp.tcp_port_storm),
        Case(tcp.loopback, places=_LOOPBACK),
        Case(tcp.same_addresses, places=_LOOPBACK),
        Case(handed.tcp_inherited),
        Case(handed.tcp_passed),
        Case(handed.tcp_exec),
        Case(older.tcp_lasting),
        Case(older.older_talking, early=True),
        Case(older.older_silent, early=True),
        Case(older.older_udp_server, early=True),
        Case(udp.udp_connected),
        Case(udp.udp_unconnected),
        Case(udp.udp_ipv6),
        Case(udp.udp_ipv6_unconnected),
        Case(udp.udp_mapped),
        # Which of the workers it was is only known to them.
        Case(udp.udp_prefork, recall=0.0),
        Case(udp.udp_shared_port, recall=0.0),
        Case(udp.udp_port_reuse),
        Case(udp.udp_trailing),
        Case(nat.nat_destination),
        Case(nat.nat_redirect),
        Case(nat.nat_redirect_udp),
        Case(nat.nat_source),
        Case(nat.nat_masquerade, places=_BEHIND),
        Case(nat.nat_published, places=_BEHIND),
        Case(nat.nat_published_local, places=_BEHIND),
    )
}
