"""The table of sockets: who connects, accepts, listens."""

from __future__ import annotations

from luytre_common.schema.model import VALUES, Column, Kind, Table
from luytre_common.schema.network import ENDPOINTS
from luytre_common.schema.owner import ATTRIBUTION, EVENT_TIME, PLACE, PROCESS

SOCKETS = Table(
    "sockets",
    "One row per socket event, with its owner; source is who opened the connection, as in flows",
    (
        EVENT_TIME,
        Column(
            "event_action",
            Kind.NAME,
            "connect, accept, bind, listen, close, or seed: it was there already",
            example="connect",
        ),
        Column("event_source", Kind.NAME, "How the agent knows: ebpf, or sock_diag", example="ebpf"),
        *ENDPOINTS,
        Column("socket_id", Kind.U64, "Socket cookie of the kernel; 0 if unknown", example="20483"),
        Column("network_namespace_id", Kind.U64, "Cookie of the network namespace; 0 if unknown", example="1"),
        Column(
            "source_payload_bytes",
            Kind.U64,
            "Payload bytes from the originator, by the kernel's count at close; sock_diag: when last seen",
            example="517",
        ),
        Column(
            "destination_payload_bytes",
            Kind.U64,
            "Payload bytes from the responder, by the kernel's count at close; sock_diag: when last seen",
            example="4096",
        ),
        Column(
            "tcp_rtt", Kind.U32, "Smoothed round-trip time at close (srtt), microseconds; 0 if unknown", example="412"
        ),
        *PROCESS,
        *PLACE,
        *ATTRIBUTION,
    ),
    event_time="event_time",
    order_by=("agent_id", "event_time"),
    indexes=(("source_ip", VALUES), ("destination_ip", VALUES), ("process_entity_id", VALUES)),
)
