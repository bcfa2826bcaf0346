"""Findings to alerts, and what a restarted collector knows, from a real store."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from luytre_collector.agent_alerts import TEXTS
from luytre_collector.alert_rows import alert_rows
from luytre_collector.columns import arrow_type, stored_schema
from luytre_collector.detect.alert import Alert
from luytre_collector.ingest.finding import Kind
from luytre_collector.ingest.presence import Config, Past, Presence
from luytre_collector.selfwatch import SelfWatch, past
from luytre_collector.store import embedded, readonly
from luytre_collector.store.base import StoreUnavailableError
from luytre_common.schema import TABLES
from luytre_common.telemetry import Counters

from tests.unit.luytre_collector.ingest.test_presence import Line, Watched

SECOND = 1_000_000


def told(agent: str, kind: Kind, at: int, story: str = "") -> dict[str, Any]:
    return {"agent_id": agent, "rule_id": TEXTS[kind].rule_id, "at": at, "story": story}


def test_what_the_rows_say_of_each_agent() -> None:
    heard = [{"agent_id": one, "host": f"{one}.example", "newest": 100} for one in "abcdefg"]
    found = past(
        heard,
        [{"agent_id": "a", "label": "files"}, {"agent_id": "a", "label": "logins"}],
        [
            told("b", Kind.STOPPED, 120),
            told("c", Kind.STOPPED, 90),
            told("d", Kind.STOPPED, 120), told("d", Kind.NOT_BACK, 130),
            told("e", Kind.SILENT, 150, "100"),
            told("f", Kind.SILENT, 150, "100"), told("f", Kind.HEARD_AGAIN, 160, "100"),
            told("g", Kind.FINISHED, 120),
            told("z", Kind.SILENT, 150, "100"),
        ],
    )  # fmt: skip
    assert found == {
        "a": Past("a.example", 100, sources=("files", "logins")),
        "b": Past("b.example", 100, goodbye_us=120),
        "c": Past("c.example", 100),
        "d": Past("d.example", 100, goodbye_us=120, missed=True),
        "e": Past("e.example", 100, silence="100"),
        "f": Past("f.example", 100),
        "g": Past("g.example", 100, goodbye_us=120, missed=True),
    }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[embedded.EmbeddedStore]:
    one = embedded.EmbeddedStore(embedded.Config(directory=tmp_path / "store"), readonly.Config())
    one.open()
    one.migrate()
    yield one
    one.close()


class Site:
    """A watch on a real store, at times of its own."""

    def __init__(self, store: embedded.EmbeddedStore, began: int) -> None:
        self.store = store
        self.now = began
        self.alerts: list[Alert] = []
        self.fault: Exception | None = None
        self.presence = Presence(Config(), Counters("presence"), began)
        self.watch = SelfWatch(self.presence, store, self._raise, "c1", lambda: self.now / SECOND)

    def _raise(self, given: Sequence[Alert]) -> None:
        if self.fault:
            raise self.fault
        self.store.insert("alerts", alert_rows(given), given[0].alert_id)
        self.alerts.extend(given)

    def titles(self) -> list[tuple[str, str]]:
        return [(one.agent_id, one.rule_name) for one in self.alerts]

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds / 5)):
            self.now += 5 * SECOND
            self.watch.run()


def health(store: embedded.EmbeddedStore, agent: str, at_us: int, **gauges: int) -> None:
    """Rows of an agent's counters, as they come."""
    table = TABLES["agent_health"]
    given = [("uplink", "connected", "", 1), *(("sources", "source_available", *one) for one in gauges.items())]
    values: dict[str, list[Any]] = {column.name: [] for column in table.stored_columns}
    for at, (component, counter, label, value) in enumerate(given):
        row = {
            "event_time": at_us, "component": component, "counter": counter, "label": label, "value": value,
            "agent_id": agent, "host_name": f"{agent}.example", "boot_id": "b", "stream": "agent_health",
            "sequence": at_us + at, "agent_time": at_us, "collector_time": at_us,
        }  # fmt: skip
        for name, cells in values.items():
            cells.append(row[name])
    arrays = [pa.array(values[column.name], arrow_type(column.kind)) for column in table.stored_columns]
    store.insert("agent_health", pa.Table.from_arrays(arrays, schema=stored_schema(table)), f"{agent}{at_us}")


def test_a_restarted_collector_knows_whom_to_expect(
    store: embedded.EmbeddedStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "luytre.selfwatch")
    begin = int(time.time()) * SECOND
    first = Site(store, begin)
    lines: dict[str, Line] = {}
    watched = Watched()
    watched.presence, watched.now = first.presence, begin
    for name in ("stays", "dies", "stops"):
        lines[name] = watched.enter(name, f"{name}.example")
        health(store, name, begin, files=1)
    watched.goodbye(lines["stops"])
    first.run(60)
    assert first.titles() == [("stops", "Agent Stopped"), ("stays", "Agent Silent"), ("dies", "Agent Silent")]
    health(store, "stays", first.now - SECOND, files=1)  # by way of another collector
    first.run(35)
    assert first.titles()[3:] == [("stays", "Agent Heard Again")]
    lines_of_log = [(one.levelname, one.getMessage()) for one in caplog.records if "Agent" in one.getMessage()]
    assert [level for level, _ in lines_of_log] == ["WARNING", "WARNING", "WARNING", "INFO"]  # as bad as the alert is
    assert lines_of_log[0][1].startswith("stops: Agent Stopped: last_words='")

    second = Site(store, first.now)
    second.run(60)
    assert second.titles() == []
    second.run(300)
    assert second.titles() == [("stays", "Agent Silent")]  # its rows have stopped meanwhile; the others are known
    watched.presence, watched.now = second.presence, second.now
    line = watched.enter("dies", "dies.example")
    for _ in range(3):
        watched.now += 10 * SECOND
        watched.beat(line, sources=[])
    second.run(30)
    assert ("dies", "Agent Heard Again") in second.titles()
    ids = [one.alert_id for one in (*first.alerts, *second.alerts)]
    assert len(ids) == len(set(ids))


def test_what_could_not_be_raised_is_raised_later(store: embedded.EmbeddedStore) -> None:
    site = Site(store, int(time.time()) * SECOND)
    site.watch.run()
    watched = Watched()
    watched.presence, watched.now = site.presence, site.now
    watched.goodbye(watched.enter())
    site.fault = StoreUnavailableError("away")
    with pytest.raises(StoreUnavailableError):
        site.run(5)
    site.fault = None
    site.run(5)
    assert site.titles() == [("web-01", "Agent Stopped")]
    site.run(5)
    assert len(site.alerts) == 1
