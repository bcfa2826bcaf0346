"""The watch over the watchers: what `ingest.presence` finds becomes alerts.

What could not be raised, because the store was away, is raised next time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from luytre_collector.agent_alerts import TEXTS, alert_of
from luytre_collector.detect.alert import Alert
from luytre_collector.ingest.finding import Kind
from luytre_collector.ingest.presence import Past, Presence
from luytre_collector.ingest.states import MOST_SOURCES
from luytre_collector.store import sql
from luytre_collector.store.base import Statements

_log = logging.getLogger("luytre.selfwatch")
_SECOND = 1_000_000
#: How far back agents are looked for that are to be expected, and how far back their alerts.
_EXPECTED_S = 86_400
_TOLD_S = 7 * 86_400


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
                text = TEXTS[found.kind]
                facts = " ".join(f"{name}={value!r}" for name, value in found.facts.items())
                level = logging.INFO if text.level == "informational" else logging.WARNING
                _log.log(level, "%s: %s: %s", found.agent_id, text.title, facts)
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
        " GROUP BY agent_id, label HAVING argMax(value, event_time) = 1 LIMIT {most:UInt32} BY agent_id",
        {"since": now_us - _EXPECTED_S * _SECOND, "most": MOST_SOURCES},
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
