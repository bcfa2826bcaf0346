"""Tables of what a host is and how that changes: its network, and everything else as an inventory."""

from __future__ import annotations

from luytre_common.schema.model import Column, Kind, Table
from luytre_common.schema.owner import EVENT_TIME

NETWORK_CHANGES = Table(
    "network_changes",
    "One row per change of the host's network configuration",
    (
        EVENT_TIME,
        Column("event_action", Kind.NAME, "added, changed, removed, or seen (first snapshot)", example="changed"),
        Column("event_source", Kind.NAME, "How the agent knows: rtnetlink, nftables, file", example="rtnetlink"),
        Column(
            "network_change_kind",
            Kind.NAME,
            "link, address, route, neighbour, rule, resolver, hosts, firewall",
            example="neighbour",
        ),
        Column("network_interface_name", Kind.NAME, "Interface, if it is about one", example="eth0"),
        Column("network_change_subject", Kind.TEXT, "What changed: an address, a prefix, a name", example="192.0.2.1"),
        Column(
            "network_change_before",
            Kind.TEXT,
            "How it was: key=value pairs; empty if added",
            example="mac=52-54-00-12-34-56",
        ),
        Column(
            "network_change_after",
            Kind.TEXT,
            "How it is: key=value pairs; empty if removed",
            example="mac=52-54-00-65-43-21",
        ),
        Column(
            "network_change_notes",
            Kind.NAME,
            "What makes it remarkable: promiscuous, gateway_mac_changed, default_route; space-separated",
            example="gateway_mac_changed",
        ),
    ),
    event_time="event_time",
    order_by=("agent_id", "event_time"),
)

INVENTORY = Table(
    "inventory",
    "What a host consists of: a full snapshot a day, and every difference in between",
    (
        EVENT_TIME,
        Column("event_action", Kind.NAME, "snapshot, added, changed, removed", example="added"),
        Column(
            "event_source",
            Kind.NAME,
            "How the agent knows: os-release, dpkg, rpm, passwd, systemd, proc, sock_diag, sysctl, bpf, clock",
            example="dpkg",
        ),
        Column(
            "inventory_kind",
            Kind.NAME,
            "os, kernel, package, user, group, unit, timer, mount, listening_port, kernel_module, bpf_program, sysctl, "
            "clock",
            example="package",
        ),
        Column("inventory_name", Kind.TEXT, "What it is called", example="openssh-server"),
        Column(
            "inventory_before", Kind.TEXT, "How it was: key=value pairs; empty if added", example="version=1:9.2p1-2"
        ),
        Column(
            "inventory_after", Kind.TEXT, "How it is: key=value pairs; empty if removed", example="version=1:9.2p1-3"
        ),
    ),
    event_time="event_time",
    order_by=("agent_id", "inventory_kind", "event_time"),
)
