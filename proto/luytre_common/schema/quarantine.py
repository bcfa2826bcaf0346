"""The table of rows that cannot have happened when they say."""

from __future__ import annotations

from luytre_common.schema.model import Column, Kind, Maker, Table

QUARANTINE = Table(
    "quarantine",
    "Rows whose event lies too far ahead of their arrival, or behind it, instead of in their own table; rules saw them."
    " Here stream is TABLE/STREAM, and with their table's rows the sequences are without gaps",
    (
        Column(
            "event_time",
            Kind.TIME,
            "When it happened, as the row says",
            codec="Delta, ZSTD",
            maker=Maker.COLLECTOR,
            example="2036-11-23 02:11:03.120000",
        ),
        Column("quarantine_table", Kind.NAME, "The row's own table", maker=Maker.COLLECTOR, example="flows"),
        Column("quarantine_reason", Kind.NAME, "ahead, behind", maker=Maker.COLLECTOR, example="ahead"),
        Column(
            "quarantine_row",
            Kind.TEXT,
            "The row's own columns as one JSON object, those left out that are zero or empty",
            maker=Maker.COLLECTOR,
            example='{"source_ip": "10.1.0.7", "destination_port": 443}',
        ),
    ),
    event_time="event_time",
    order_by=("agent_id", "quarantine_table", "collector_time"),
    from_agent=False,
)
