"""The table of what became of policies."""

from __future__ import annotations

from luytre_common.schema.model import Column, Kind, Maker, Table

POLICY_REPORTS = Table(
    "policy_reports",
    "What agents say of policies; boot_id and sequence are the collector's",
    (
        Column(
            "event_time",
            Kind.TIME,
            "When the collector heard of it",
            codec="Delta, ZSTD",
            maker=Maker.COLLECTOR,
            example="2026-11-23 02:11:05.000000",
        ),
        Column("policy_version", Kind.U64, "The policy's version", maker=Maker.COLLECTOR, example="12"),
        Column(
            "policy_state",
            Kind.NAME,
            "trying, applied, refused, rolled_back, expired",
            maker=Maker.COLLECTOR,
            example="rolled_back",
        ),
        Column(
            "policy_message",
            Kind.TEXT,
            "Why, or what the agent does not do of it",
            maker=Maker.COLLECTOR,
            example="packets is not available any more: No such device",
        ),
    ),
    event_time="event_time",
    order_by=("agent_id", "event_time"),
    from_agent=False,
)
