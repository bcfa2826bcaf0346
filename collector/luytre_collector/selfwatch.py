"""The watch over the watchers: what `ingest.presence` finds becomes alerts.

Alert ids follow from the agent and its story, so that several collectors that find the same, or one that finds it
again after a restart, make one alert. What could not be raised, because the store was away, is raised next time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from luytre_collector.detect.alert import Alert, alert_id
from luytre_collector.ingest.finding import Finding, Kind
from luytre_collector.ingest.presence import Past, Presence
from luytre_collector.store import sql
from luytre_collector.store.base import Statements

_log = logging.getLogger("luytre.selfwatch")
_SECOND = 1_000_000
#: How far back agents are looked for that are to be expected, and how far back their alerts.
_EXPECTED_S = 86_400
_TOLD_S = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Text:
    """An alert of the collector about an agent: its id as a rule, its level, and its name in both languages."""

    rule_id: str
    level: str
    title: str
    title_vi: str
    techniques: tuple[str, ...] = ()

    @property
    def tactics(self) -> tuple[str, ...]:
        """Every technique here impairs defences."""
        return ("defense-evasion",) if self.techniques else ()


_STOPPED_TOOL, _BLOCKED = "T1562.001", "T1562.006"

#: Every one. Ids never change.
TEXTS: Mapping[Kind, Text] = {
    Kind.SILENT: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a9101", "high", "Agent Silent", "Agent mất liên lạc", (_STOPPED_TOOL, _BLOCKED)
    ),
    Kind.HEARD_AGAIN: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a9102", "informational", "Agent Heard Again", "Agent đã liên lạc trở lại"
    ),
    Kind.STOPPED: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a9103", "low", "Agent Stopped", "Agent đã bị dừng", (_STOPPED_TOOL,)
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
    ),
    Kind.SOURCE_LOST: Text(
        "c1a70b2e-5d1f-4c7a-9f36-0b5e7d2a9106",
        "medium",
        "Agent Lost a Source of Events",
        "Agent mất một nguồn sự kiện",
        (_STOPPED_TOOL, _BLOCKED),
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
}


def alert_of(found: Finding, collector: str) -> Alert:
    """The alert about it. Times among the facts (`*_us`) are shown as RFC 3339."""
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
        evidence={**evidence, "collector": collector},
    )


def _shown(name: str, value: object) -> object:
    if not name.endswith("_us") or not isinstance(value, int):
        return value
    try:
        return datetime.fromtimestamp(value / _SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return value


class SelfWatch:
    """Driven by one thread. `name` is the collector's."""

    def __init__(
        self,
        presence: Presence,
        store: Statements,
        raise_alerts: Callable[[Sequence[Alert]], None],
        name: str,
        clock: Callable[[], float],
    ) -> None:
        self._presence = presence
        self._store = store
        self._raise_alerts = raise_alerts
        self._name = name
        self._clock = clock
        self._due: list[Alert] = []
        self._recalled = False

    def _recall(self) -> None:
        """Once, at the start: whom the store knows."""
        past = _past(self._store, self._now_us())
        self._presence.remember(past)
        self._recalled = True
        expected = sum(not one.goodbye_us for one in past.values())
        if expected:
            _log.info("%d agents were heard in the last day and did not say goodbye", expected)

    def run(self) -> None:
        """Look, and raise what was found. StoreUnavailableError: nothing is lost, call again."""
        try:
            if not self._recalled:
                self._recall()
            suspects = self._presence.suspects(self._now_us())
            newest = dict.fromkeys(suspects, 0)
            if suspects:
                newest |= _newest(self._store, suspects)
            for found in self._presence.look(self._now_us(), newest):
                _log.warning("%s: %s: %s", found.agent_id, TEXTS[found.kind].title, dict(found.facts))
                self._due.append(alert_of(found, self._name))
            if self._due:
                self._raise_alerts(self._due)
                self._due = []
        finally:
            self._presence.looked(self._now_us())

    def _now_us(self) -> int:
        return int(self._clock() * _SECOND)


def _newest(store: Statements, agents: Sequence[str]) -> dict[str, int]:
    """Arrival of the newest rows of agents, microseconds since 1970: their own counters, which come every few seconds
    and lie together in their table."""
    found = store.query(
        "SELECT agent_id, toUnixTimestamp64Micro(max(collector_time)) AS newest"
        f" FROM {sql.DATABASE}.agent_health"
        " WHERE agent_id IN ({agents:Array(String)}) AND component = 'uplink' AND counter = 'connected'"
        " AND collector_time > now() - {seconds:UInt32} GROUP BY agent_id",
        {"agents": list(agents), "seconds": _TOLD_S},
    )
    return {row["agent_id"]: int(row["newest"]) for row in found.to_pylist()}


def _past(store: Statements, now_us: int) -> dict[str, Past]:
    heard = store.query(
        "SELECT agent_id, any(host_name) AS host, toUnixTimestamp64Micro(max(collector_time)) AS newest"
        f" FROM {sql.DATABASE}.agent_health WHERE component = 'uplink' AND counter = 'connected'"
        " AND collector_time > fromUnixTimestamp64Micro(toInt64({since:UInt64}), 'UTC') GROUP BY agent_id",
        {"since": now_us - _EXPECTED_S * _SECOND},
    ).to_pylist()
    working = store.query(
        f"SELECT agent_id, label FROM {sql.DATABASE}.agent_health WHERE component = 'sources'"
        " AND counter = 'source_available'"
        " AND collector_time > fromUnixTimestamp64Micro(toInt64({since:UInt64}), 'UTC')"
        " GROUP BY agent_id, label HAVING argMax(value, event_time) = 1",
        {"since": now_us - _EXPECTED_S * _SECOND},
    ).to_pylist()
    told = store.query(
        "SELECT agent_id, rule_id, toUnixTimestamp64Micro(event_time) AS at, JSONExtractString(evidence, 'story') AS"
        f" story FROM {sql.DATABASE}.alerts FINAL WHERE rule_id IN ({{rules:Array(String)}})"
        " AND event_time > fromUnixTimestamp64Micro(toInt64({since:UInt64}), 'UTC') ORDER BY event_time",
        {
            "rules": [TEXTS[kind].rule_id for kind in _REMEMBERED],
            "since": now_us - _TOLD_S * _SECOND,
        },
    ).to_pylist()
    return past(heard, working, told)


_REMEMBERED = (Kind.SILENT, Kind.HEARD_AGAIN, Kind.STOPPED, Kind.FINISHED, Kind.NOT_BACK)


def past(
    heard: Sequence[Mapping[str, Any]], working: Sequence[Mapping[str, Any]], told: Sequence[Mapping[str, Any]]
) -> dict[str, Past]:
    """What the rows of the store say of each agent. Pure."""
    kinds = {TEXTS[kind].rule_id: kind for kind in _REMEMBERED}
    sources: dict[str, list[str]] = {}
    for row in working:
        sources.setdefault(row["agent_id"], []).append(row["label"])
    stories: dict[str, list[tuple[Kind, int, str]]] = {}
    for row in told:
        stories.setdefault(row["agent_id"], []).append((kinds[row["rule_id"]], int(row["at"]), row["story"]))
    made = {}
    for row in heard:
        agent_id, newest = row["agent_id"], int(row["newest"])
        goodbye_us, missed, silence = 0, False, ""
        for kind, at, story in stories.get(agent_id, ()):
            if kind in (Kind.STOPPED, Kind.FINISHED) and at >= newest:
                goodbye_us, missed = at, kind is Kind.FINISHED
            elif kind is Kind.NOT_BACK and goodbye_us:
                missed = True
            elif kind is Kind.SILENT and at >= newest:
                silence = story
            elif kind is Kind.HEARD_AGAIN and story == silence:
                silence = ""
        made[agent_id] = Past(row["host"], newest, goodbye_us, missed, silence, tuple(sources.get(agent_id, ())))
    return made
