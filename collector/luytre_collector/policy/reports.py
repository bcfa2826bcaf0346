"""What agents say of policies, as rows of `policy_reports` and, where a policy did not come through, as alerts."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa
from luytre_common.schema import TABLES
from luytre_common.telemetry import Counters

from luytre_collector.columns import arrow_type, stored_schema
from luytre_collector.detect.alert import Alert, alert_id
from luytre_collector.policy.control import Heard

TABLE = TABLES["policy_reports"]

#: An agent's rows within an hour; an agent that says more is ill or not an agent.
_PER_HOUR = 60
_HOUR_US = 3_600_000_000

_RULES = {
    "rolled_back": (
        "9d5f3c52-7a0e-4b53-9f4e-0c3a9b1f7e21",
        "Policy Taken Back by an Agent: It Was Not Well With It",
        "Agent đã hoàn tác chính sách: hoạt động không ổn định khi áp dụng",
        "high",
    ),
    "refused": (
        "2f0b7a64-51c9-4e0b-8d52-6f1c2e9a4d83",
        "Policy Refused by an Agent",
        "Agent từ chối chính sách",
        "medium",
    ),
}


class Tables(Protocol):
    """What is asked of a store."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Run a SELECT."""

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Insert rows whole, or raise."""


class Reports:
    """Driven by one thread. What cannot be stored is tried again in the next round."""

    def __init__(
        self,
        take: Callable[[], list[Heard]],
        store: Tables,
        raise_alerts: Callable[[Sequence[Alert]], None],
        name: str,
        counters: Counters,
        boot_id: str = "",
    ) -> None:
        self._take = take
        self._store = store
        self._raise_alerts = raise_alerts
        self._name = name
        self._counters = counters
        self._boot_id = boot_id or str(uuid.uuid4())
        self._next = 0
        self._last: dict[str, tuple[int, str, str]] = {}
        self._hours: dict[str, tuple[int, int]] = {}
        self._due: list[Heard] = []
        self._remembers = False

    def run(self) -> None:
        """Raise and store what was heard. StoreUnavailableError or OSError: it is kept for the next call."""
        if not self._remembers:
            self._remember()
        self._due.extend(one for one in self._take() if self._wanted(one))
        if not self._due:
            return
        alerts = [policy_alert(one) for one in self._due if one.state in _RULES]
        if alerts:
            self._raise_alerts(alerts)
        rows = report_rows(self._due, self._boot_id, self._next)
        self._store.insert(TABLE.name, rows, f"{self._name}/{self._boot_id}/{TABLE.name}/{self._next}")
        self._next += len(self._due)
        self._due.clear()

    def _remember(self) -> None:
        """What was said before this collector was started is no news either."""
        found = self._store.query(
            "SELECT agent_id, argMax((policy_version, policy_state, policy_message), (event_time, sequence)) AS said,"
            " tupleElement(said, 1) AS version, toString(tupleElement(said, 2)) AS state,"
            f" tupleElement(said, 3) AS message FROM {TABLE.name} GROUP BY agent_id"
        ).select(["agent_id", "version", "state", "message"])
        self._last = {row["agent_id"]: (row["version"], row["state"], row["message"]) for row in found.to_pylist()}
        self._remembers = True

    def _wanted(self, one: Heard) -> bool:
        """Agents say their last report on every connection: it is news once. Nobody fills the table."""
        said = (one.version, one.state, one.message)
        if self._last.get(one.agent_id) == said:
            return False
        hour = one.at_us // _HOUR_US
        when, count = self._hours.get(one.agent_id, (hour, 0))
        count = count + 1 if when == hour else 1
        self._hours[one.agent_id] = (hour, count)
        if count > _PER_HOUR:
            self._counters.add("reports_dropped", label="too_many")
            return False
        self._last[one.agent_id] = said
        return True


def policy_alert(one: Heard) -> Alert:
    """The alert about a report. One agent, version and state make one alert, however often it is said. Pure."""
    rule, title, title_vi, level = _RULES[one.state]
    return Alert(
        alert_id=alert_id(rule, one.agent_id, str(one.version), one.state),
        event_time=one.at_us,
        alert_created=one.at_us,
        rule_id=rule,
        rule_name=title,
        rule_name_vi=title_vi,
        rule_level=level,
        rule_kind="query",
        agent_id=one.agent_id,
        host_name=one.host_name,
        evidence={"policy_version": one.version, "policy_state": one.state, "policy_message": one.message},
    )


def report_rows(heard: Sequence[Heard], boot_id: str, first_sequence: int) -> pa.Table:
    """Reports as rows of `policy_reports`. Pure."""
    times = [one.at_us for one in heard]
    values: dict[str, Sequence[object]] = {
        "event_time": times,
        "policy_version": [one.version for one in heard],
        "policy_state": [one.state for one in heard],
        "policy_message": [one.message for one in heard],
        "agent_id": [one.agent_id for one in heard],
        "host_name": [one.host_name for one in heard],
        "boot_id": [boot_id] * len(heard),
        "stream": [TABLE.name] * len(heard),
        "sequence": list(range(first_sequence, first_sequence + len(heard))),
        "agent_time": times,
        "collector_time": times,
    }
    arrays = [pa.array(values[column.name], arrow_type(column.kind)) for column in TABLE.stored_columns]
    return pa.Table.from_arrays(arrays, schema=stored_schema(TABLE))
