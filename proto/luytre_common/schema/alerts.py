"""The table of alerts."""

from __future__ import annotations

from luytre_common.schema.model import Column, Kind, Maker, Table


def _made(name: str, kind: Kind, meaning: str, example: str, codec: str = "") -> Column:
    return Column(name, kind, meaning, codec=codec, maker=Maker.COLLECTOR, example=example)


ALERTS = Table(
    "alerts",
    "One row per alert. The id is a hash of the rule and its evidence, so that making an alert twice makes one",
    (
        _made(
            "alert_id",
            Kind.TEXT,
            "32 hexadecimal digits, the same however often the alert is made",
            "5f1c3a0b9d7e4c21a6b8d0e2f4a69c13",
        ),
        _made(
            "event_time",
            Kind.TIME,
            "Event time of the row that completed the match",
            "2026-11-23 02:11:03.120001",
            "Delta, ZSTD",
        ),
        _made("alert_created", Kind.TIME, "When the collector raised it", "2026-11-23 02:11:04.020001", "Delta, ZSTD"),
        Column(
            "alert_delay",
            Kind.U64,
            "Event to alert, microseconds",
            maker=Maker.SQL,
            example="900000",
            alias="toUInt64(greatest(0, toUnixTimestamp64Micro(alert_created) - toUnixTimestamp64Micro(event_time)))",
        ),
        _made("rule_id", Kind.NAME, "UUID of the rule", "0c9c3b7e-51a4-4b0c-8a0f-2f6f3c1e7d55"),
        _made("rule_name", Kind.NAME, "Title of the rule in English", "Reverse Shell From Web Server User"),
        _made("rule_name_vi", Kind.NAME, "Title of the rule in Vietnamese", "Shell ngược từ tài khoản máy chủ web"),
        _made("rule_level", Kind.NAME, "informational, low, medium, high, critical (Sigma)", "critical"),
        _made("rule_kind", Kind.NAME, "event, correlation or query", "event"),
        _made("threat_technique_id", Kind.TEXTS, "MITRE ATT&CK techniques", "['T1059.004']"),
        _made("threat_tactic_name", Kind.TEXTS, "MITRE ATT&CK tactics", "['execution']"),
        _made("source_ip", Kind.IP, "Originator, where the evidence has one", "::ffff:10.1.0.7"),
        _made("destination_ip", Kind.IP, "Responder, where the evidence has one", "::ffff:10.1.0.80"),
        _made("user_name", Kind.NAME, "User, where the evidence has one", "www-data"),
        _made(
            "evidence", Kind.TEXT, "The columns that say why, as one JSON object", '{"process_command_line": "bash -i"}'
        ),
        _made(
            "evidence_ids",
            Kind.TEXTS,
            "Rows behind the alert: table/agent_id/boot_id/stream/sequence",
            "['processes/web-01/0d4f…/processes/7']",
        ),
    ),
    event_time="event_time",
    order_by=("alert_id",),
    partition_by="toYYYYMM(event_time)",  # not by arrival: an alert made twice must meet itself
    engine="ReplacingMergeTree",
    from_agent=False,
)
