"""An alert in words, in Vietnamese and English. Pure."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from luytre_collector.detect.alert import NO_ADDRESS, Alert
from luytre_collector.notify.base import Language

LEVELS: dict[Language, dict[str, str]] = {
    "en": {},
    "vi": {
        "informational": "thông tin",
        "low": "thấp",
        "medium": "trung bình",
        "high": "cao",
        "critical": "nghiêm trọng",
    },
}

_WORDS: dict[Language, dict[str, str]] = {
    "en": {"on": "on", "user": "user", "why": "evidence"},
    "vi": {"on": "trên", "user": "người dùng", "why": "bằng chứng"},
}
_EVIDENCE_LENGTH = 400


def time_zone(value: str) -> str | None:
    """A setting's check: a name of the IANA time zone database."""
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "is not a time zone known here; use a name like Asia/Ho_Chi_Minh or UTC"
    return None


def title(alert: Alert, language: Language) -> str:
    """The rule's name in the language, in English where there is no other."""
    return alert.rule_name_vi if language == "vi" and alert.rule_name_vi else alert.rule_name


def level(alert: Alert, language: Language) -> str:
    """The rule's level in the language."""
    return LEVELS[language].get(alert.rule_level, alert.rule_level)


def address(packed: bytes) -> str:
    """An address as people write it; empty for the absent one."""
    if packed == NO_ADDRESS or len(packed) != 16:
        return ""
    given = ipaddress.IPv6Address(packed)
    return str(given.ipv4_mapped or given)


def local_time(time_us: int, zone: str) -> str:
    """`2026-11-23 09:11:03 +07`; microseconds since 1970 where the calendar does not reach."""
    try:
        return datetime.fromtimestamp(time_us / 1_000_000, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S %Z")
    except (ValueError, OverflowError, OSError):
        return f"{time_us} us"


def line(alert: Alert, language: Language, zone: str) -> str:
    """One readable line. Control characters of hostile text are shown escaped."""
    words = _WORDS[language]
    parts = [local_time(alert.event_time, zone), f"[{level(alert, language).upper()}]", title(alert, language)]
    if alert.host_name or alert.agent_id:
        parts.append(f"{words['on']} {alert.host_name or alert.agent_id}")
    source, destination = address(alert.source_ip), address(alert.destination_ip)
    if source and destination:
        parts.append(f"{source} -> {destination}")
    elif source or destination:
        parts.append(source or destination)
    if alert.user_name:
        parts.append(f"{words['user']} {alert.user_name}")
    if alert.threat_technique_id:
        parts.append(",".join(alert.threat_technique_id))
    if alert.evidence:
        shown = ", ".join(f"{key}={value}" for key, value in alert.evidence.items())
        more = "…" if len(shown) > _EVIDENCE_LENGTH else ""
        parts.append(f"{words['why']}: {shown[:_EVIDENCE_LENGTH]}{more}")
    return printable(" | ".join(parts))


def printable(text: str) -> str:
    """The text without anything that a terminal would obey."""
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)


def document(alert: Alert, language: Language, zone: str) -> dict[str, Any]:
    """The alert as one JSON object: the columns of table `alerts`, and `text` for chat services."""
    return {
        "text": line(alert, language, zone),
        "alert_id": alert.alert_id,
        "event_time": _rfc3339(alert.event_time),
        "alert_created": _rfc3339(alert.alert_created),
        "rule_id": alert.rule_id,
        "rule_name": alert.rule_name,
        "rule_name_vi": alert.rule_name_vi,
        "rule_level": alert.rule_level,
        "rule_kind": alert.rule_kind,
        "threat_technique_id": list(alert.threat_technique_id),
        "threat_tactic_name": list(alert.threat_tactic_name),
        "source_ip": address(alert.source_ip),
        "destination_ip": address(alert.destination_ip),
        "user_name": alert.user_name,
        "agent_id": alert.agent_id,
        "host_name": alert.host_name,
        "evidence": dict(alert.evidence),
        "evidence_ids": list(alert.evidence_ids),
    }


def _rfc3339(time_us: int) -> str:
    try:
        return datetime.fromtimestamp(time_us / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (ValueError, OverflowError, OSError):
        return str(time_us)
