"""Alerts to deliver."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from luytre_collector.detect.alert import Alert, alert_id

from tests.support.batches import NOW_US, ip


def alert(number: int = 0, **changes: Any) -> Alert:
    """An alert like those of the rules; every number is another one."""
    made = Alert(
        alert_id=alert_id("rule", str(number)),
        event_time=NOW_US,
        alert_created=NOW_US + 900_000,
        rule_id="0c9c3b7e-51a4-4b0c-8a0f-2f6f3c1e7d55",
        rule_name="Reverse Shell From Web Server User",
        rule_name_vi="Shell ngược từ tài khoản máy chủ web",
        rule_level="critical",
        rule_kind="event",
        threat_technique_id=("T1059.004",),
        threat_tactic_name=("execution",),
        source_ip=ip("10.1.0.7"),
        destination_ip=ip("10.1.0.80"),
        user_name="www-data",
        agent_id="web-01",
        host_name="web-01.hue.example",
        evidence={"process_command_line": "bash -i", "number": number},
        evidence_ids=("processes/web-01/0d4f/processes/7",),
    )
    return replace(made, **changes)
