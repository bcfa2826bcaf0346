"""The alerts that the collector itself raises about agents: their texts in both languages, and how findings become
alerts. Pure.

Ids follow from the agent and its story, so that several collectors that find the same, or one that finds it again after
a restart, make one alert.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from luytre_collector.detect.alert import Alert, alert_id
from luytre_collector.ingest.finding import Finding, Kind

_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Text:
    """An alert of the collector about an agent: its id as a rule, its level, and its name in both languages."""

    rule_id: str
    level: str
    title: str
    title_vi: str
    techniques: tuple[str, ...] = ()
    tactics: tuple[str, ...] = ()


_STOPPED_TOOL, _BLOCKED, _REMOVED = "T1562.001", "T1562.006", "T1070"
_EVASION = ("defense-evasion",)

#: Every one. Ids never change.
TEXTS: Mapping[Kind, Text] = {
    Kind.SILENT: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a9101",
        "high",
        "Agent Silent",
        "Agent mất liên lạc",
        (_STOPPED_TOOL, _BLOCKED),
        _EVASION,
    ),
    Kind.HEARD_AGAIN: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a9102", "informational", "Agent Heard Again", "Agent đã liên lạc trở lại"
    ),
    Kind.STOPPED: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a9103", "low", "Agent Stopped", "Agent đã bị dừng", (_STOPPED_TOOL,), _EVASION
    ),
    Kind.FINISHED: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a9104",
        "informational",
        "Agent Has Read Its Capture Files",
        "Agent đã đọc xong các tệp bắt gói",
    ),
    Kind.NOT_BACK: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a9105",
        "high",
        "Agent Stopped and Not Back",
        "Agent đã bị dừng và chưa chạy lại",
        (_STOPPED_TOOL,),
        _EVASION,
    ),
    Kind.SOURCE_LOST: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a9106",
        "medium",
        "Agent Lost a Source of Events",
        "Agent mất một nguồn sự kiện",
        (_STOPPED_TOOL, _BLOCKED),
        _EVASION,
    ),
    Kind.SOURCE_BACK: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a9107",
        "informational",
        "Source of an Agent Back",
        "Nguồn sự kiện của agent đã hoạt động trở lại",
    ),
    Kind.DEGRADED: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a9108",
        "medium",
        "Agent Watches Less Than It Should",
        "Agent đang giảm mức giám sát",
        (_BLOCKED,),
        _EVASION,
    ),
    Kind.RESTORED: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a9109",
        "informational",
        "Agent Watches Everything Again",
        "Agent đã giám sát đầy đủ trở lại",
    ),
    Kind.CLOCK_OFF: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a910a", "medium", "Clock of a Host Is Off", "Đồng hồ của máy chủ bị lệch"
    ),
    Kind.CLOCK_RIGHT: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a910b",
        "informational",
        "Clock of a Host Is Right Again",
        "Đồng hồ của máy chủ đã đúng trở lại",
    ),
    Kind.BATCH_BROKEN: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a910c",
        "high",
        "Batch Altered or Replaced on Its Way",
        "Lô dữ liệu bị sửa hoặc bị thay thế trên đường đi",
        ("T1565.001", "T1565.002"),
        ("impact",),
    ),
    Kind.ROWS_MISSING: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a910d",
        "high",
        "Rows of an Agent Missing Without Explanation",
        "Thiếu dữ liệu của agent mà không rõ lý do",
        (_REMOVED, "T1565.001"),
        ("defense-evasion", "impact"),
    ),
    Kind.SPOOL_DAMAGED: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a910e",
        "medium",
        "Rows of an Agent Lost to a Damaged Spool",
        "Mất dữ liệu của agent do hàng đợi trên đĩa bị hỏng",
        (_REMOVED, "T1565.001"),
        ("defense-evasion", "impact"),
    ),
}


def alert_of(found: Finding, collector: str = "") -> Alert:
    """The alert about it; `collector` is the name of the one that found it. Of the facts, times (`*_us`) are shown as
    RFC 3339 has them."""
    text = TEXTS[found.kind]
    evidence = {
        name.removesuffix("_us") if name.endswith("_us") else name: _shown(name, value)
        for name, value in found.facts.items()
    }
    return Alert(
        alert_id=alert_id(text.rule_id, found.agent_id, found.story),
        event_time=found.at_us,
        alert_created=found.at_us,
        rule_id=text.rule_id,
        rule_name=text.title,
        rule_name_vi=text.title_vi,
        rule_level=text.level,
        rule_kind="query",
        threat_technique_id=text.techniques,
        threat_tactic_name=text.tactics,
        agent_id=found.agent_id,
        host_name=found.host_name,
        evidence={**evidence, "collector": collector} if collector else evidence,
        evidence_ids=found.rows,
    )


def _shown(name: str, value: object) -> object:
    if not name.endswith("_us") or not isinstance(value, int):
        return value
    try:
        return datetime.fromtimestamp(value / _SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return value
