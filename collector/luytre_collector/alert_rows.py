"""Alerts as rows of table `alerts`. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from luytre_common.schema import TABLES

from luytre_collector.columns import arrow_type, stored_schema
from luytre_collector.detect.alert import Alert

STREAM = "alerts"


def alert_rows(alerts: Sequence[Alert]) -> pa.Table:
    """The alerts as an insert takes them. `agent_id` and `host_name` are those of the evidence; an alert has no number
    of its own, because the same one may be made twice and is one row all the same."""
    table = TABLES["alerts"]
    values: dict[str, list[Any]] = {
        column.name: [_value(one, column.name) for one in alerts] for column in table.stored_columns
    }
    arrays = [pa.array(values[column.name], arrow_type(column.kind)) for column in table.stored_columns]
    return pa.Table.from_arrays(arrays, schema=stored_schema(table))


def evidence_json(alert: Alert) -> str:
    """The evidence as one JSON object; what JSON does not know is written as text."""
    return json.dumps(dict(alert.evidence), ensure_ascii=False, default=str)


def _value(alert: Alert, name: str) -> Any:
    match name:
        case "boot_id":
            return ""
        case "stream":
            return STREAM
        case "sequence":
            return 0
        case "agent_time":
            return alert.event_time
        case "collector_time":
            return alert.alert_created
        case "evidence":
            return evidence_json(alert)
        case "threat_technique_id" | "threat_tactic_name" | "evidence_ids":
            return list(getattr(alert, name))
        case _:
            return getattr(alert, name)
