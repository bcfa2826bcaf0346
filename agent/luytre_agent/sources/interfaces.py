"""The network interfaces of this network namespace, asked of the kernel by rtnetlink(7)."""

from __future__ import annotations

from luytre_agent.sources.host import rtnetlink
from luytre_agent.sources.host.netlink import NETLINK_ROUTE, Dumper


def interfaces_up() -> dict[str, int]:
    """Names of the interfaces that are up, loopback included, with their index. OSError if the kernel does not say."""
    kernel = Dumper(NETLINK_ROUTE)
    try:
        answers = kernel.dump(*rtnetlink.DUMPS["link"])
    finally:
        kernel.close()
    return {name: index for index, name, up in filter(None, map(rtnetlink.link, answers)) if up}
