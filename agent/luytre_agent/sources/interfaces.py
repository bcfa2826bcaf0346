"""The network interfaces of this network namespace, asked of the kernel by rtnetlink(7)."""

from __future__ import annotations

_IFF_UP = 0x1  # linux/if.h


def interfaces_up() -> dict[str, int]:
    """Names of the interfaces that are up, loopback included, with their index. OSError if the kernel does not say."""
    # Imported when needed: it costs a quarter of a second and 25 MB, which commands that read files can do without.
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as kernel:
            return {link.get("ifname"): link["index"] for link in kernel.get_links() if link["flags"] & _IFF_UP}
    except NetlinkError as error:
        raise OSError(error.code, str(error)) from error
