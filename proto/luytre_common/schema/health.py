"""Tables of the system's own counters, one row per counter and interval."""

from __future__ import annotations

from luytre_common.schema.model import Column, Kind, Table

_SAMPLE = (
    Column(
        "event_time",
        Kind.TIME,
        "When the counters were read",
        codec="Delta, ZSTD",
        example="2026-11-23 02:11:05.000000",
    ),
    Column("component", Kind.NAME, "Who counts", example="packets"),
    Column("counter", Kind.NAME, "What is counted", example="kernel_dropped"),
    Column("label", Kind.NAME, "Split of the counter: an interface, a table, a cause", example="eth0"),
    Column("value", Kind.U64, "The count since the process started, or a gauge's value", example="0"),
)

AGENT_HEALTH = Table(
    "agent_health",
    "The agents' counters",
    _SAMPLE,
    event_time="event_time",
    order_by=("agent_id", "component", "counter", "event_time"),
)

COLLECTOR_HEALTH = Table(
    "collector_health",
    "The collectors' own counters; agent_id is the collector's name",
    _SAMPLE,
    event_time="event_time",
    order_by=("agent_id", "component", "counter", "event_time"),
    from_agent=False,
)
