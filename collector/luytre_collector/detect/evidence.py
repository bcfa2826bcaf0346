"""From a matched row to an alert: what it shows, who is in it, and the identity that makes making it twice one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from luytre_common.schema import TABLES, Column, Kind

from luytre_collector.detect.alert import NO_ADDRESS, Alert, alert_id
from luytre_collector.detect.columnar import Batch
from luytre_collector.detect.model import EventRule
from luytre_collector.detect.predicates import address_text
from luytre_collector.detect.tree import columns

#: Shown with every alert of a table, if not empty, besides the columns that decided.
CONTEXT: dict[str, tuple[str, ...]] = {
    "flows": (
        "source_ip",
        "destination_ip",
        "destination_port",
        "network_transport",
        "connection_state",
        "process_executable",
    ),
    "dns": ("source_ip", "destination_ip", "dns_question_name", "dns_question_type", "dns_response_code"),
    "tls": ("source_ip", "destination_ip", "destination_port", "tls_client_server_name"),
    "processes": (
        "process_command_line",
        "process_executable",
        "process_parent_executable",
        "process_pid",
        "user_name",
    ),
    "network_changes": (
        "event_action",
        "network_change_kind",
        "network_interface_name",
        "network_change_subject",
        "network_change_before",
        "network_change_after",
        "network_change_notes",
    ),
    "inventory": ("event_action", "inventory_kind", "inventory_name", "inventory_before", "inventory_after"),
    "sockets": (
        "event_action",
        "source_ip",
        "destination_ip",
        "destination_port",
        "network_transport",
        "process_executable",
        "process_command_line",
        "user_name",
    ),
    "logins": (
        "event_action",
        "event_outcome",
        "process_name",
        "user_name",
        "user_target_name",
        "source_ip",
        "message",
    ),
    "files": (
        "event_action",
        "file_path",
        "file_previous_path",
        "file_hash_sha256",
        "file_mode",
        "process_executable",
        "process_command_line",
        "user_name",
    ),
}
MAX_TEXT = 2048
_IDENTITY = ("agent_id", "boot_id", "stream", "sequence")


def event_alerts(rule: EventRule, batch: Batch, rows: Sequence[int], now_us: int) -> list[Alert]:
    """One alert for each of `rows`."""
    table = TABLES[rule.table]
    shown = {column.name: column for column in (*columns(rule.tree), *rule.fields)}
    for name in CONTEXT[rule.table]:
        shown.setdefault(name, table.column(name))
    wanted = {**shown, **{name: table.column(name) for name in (*_IDENTITY, "host_name", table.event_time)}}
    for name in ("source_ip", "destination_ip", "user_name"):
        if any(column.name == name for column in table.columns):
            wanted[name] = table.column(name)
    picked = pa.array(list(rows), pa.int64())
    values = {name: _taken(batch, column, picked) for name, column in wanted.items()}
    return [
        _alert(rule, shown, {name: column[index] for name, column in values.items()}, now_us)
        for index in range(len(rows))
    ]


def _taken(batch: Batch, column: Column, rows: Any) -> list[Any]:
    if column.kind is Kind.TIME:
        return list(batch.array(column).take(rows).cast(pa.int64()).to_pylist())
    return batch.take(column, False, rows)


def _alert(rule: EventRule, shown: dict[str, Column], row: dict[str, Any], now_us: int) -> Alert:
    evidence = {name: show(row[name]) for name in shown if row[name] not in ("", 0, NO_ADDRESS, [])}
    identity = f"{rule.table}/" + "/".join(str(row[name]) for name in _IDENTITY)
    return Alert(
        alert_id=alert_id(rule.head.id, identity),
        event_time=row[TABLES[rule.table].event_time],
        alert_created=now_us,
        rule_id=rule.head.id,
        rule_name=rule.head.title,
        rule_name_vi=rule.head.title_vi,
        rule_level=rule.head.level,
        rule_kind="event",
        threat_technique_id=rule.head.techniques,
        threat_tactic_name=rule.head.tactics,
        source_ip=row.get("source_ip", NO_ADDRESS),
        destination_ip=row.get("destination_ip", NO_ADDRESS),
        user_name=row.get("user_name", ""),
        agent_id=row["agent_id"],
        host_name=row["host_name"],
        evidence=evidence,
        evidence_ids=(identity,),
    )


def show(value: Any) -> Any:
    """A value as JSON can hold it: addresses as text, long text cut."""
    if isinstance(value, bytes):
        return address_text(value) if len(value) == 16 else value.hex()
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return value[:MAX_TEXT] + "…"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, list | tuple):
        return [show(one) for one in value]
    return value
