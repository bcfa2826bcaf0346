"""How long rows are kept: the decision, and the deletion in the engine."""

from __future__ import annotations

import datetime
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_collector import config as configuration
from luytre_collector.retention import Class, Config, Hold, Retention, Step, due
from luytre_collector.store import embedded, readonly
from luytre_common.errors import ConfigError
from luytre_common.settings import build
from luytre_common.telemetry import Counters

from tests.support import made

TODAY = datetime.datetime.fromtimestamp(time.time(), datetime.UTC).date()
LEVELS = Config(
    days=365,
    classes=[Class("level 1", ["commune-*"], 30), Class("level 2", ["web-*"], 180)],
    holds=[Hold("case 7", ["web-9"])],
)


def ago(days: int) -> datetime.date:
    return TODAY - datetime.timedelta(days=days)


@pytest.mark.parametrize(
    ("age", "agents", "expected"),
    [
        (29, {"commune-1": 5}, []),
        (30, {"commune-1": 5}, []),
        (31, {"commune-1": 5}, [("flows", 31, 5, ())]),
        (31, {"commune-1": 5, "commune-2": 1, "db": 9}, [("flows", 31, 6, ("commune-1", "commune-2"))]),
        (181, {"web-1": 5, "commune-1": 1}, [("flows", 181, 6, ())]),
        (181, {"web-1": 5, "web-9": 1}, [("flows", 181, 5, ("web-1",))]),
        (366, {"db": 1, "web-1": 1}, [("flows", 366, 2, ())]),
        (3660, {"web-9": 1}, []),
    ],
)
def test_what_is_due(age: int, agents: dict[str, int], expected: list[tuple[str, int, int, tuple[str, ...]]]) -> None:
    steps = due(LEVELS, TODAY, {("flows", ago(age)): agents})
    assert steps == [Step(table, str(ago(days)), rows, names) for table, days, rows, names in expected]


@given(
    st.dictionaries(st.sampled_from(["commune-1", "web-1", "web-9", "db"]), st.integers(1, 9), min_size=1),
    st.integers(0, 800),
)
def test_nothing_young_and_nothing_held_goes(agents: dict[str, int], age: int) -> None:
    limits = {"commune-1": 30, "web-1": 180, "web-9": 10**6, "db": 365}
    gone = set[str]()
    for step in due(LEVELS, TODAY, {("flows", ago(age)): agents}):
        gone |= set(step.agents or agents)
    assert gone == {name for name in agents if age > limits[name]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EmbeddedStore]:
    one = embedded.EmbeddedStore(embedded.Config(tmp_path_factory.mktemp("store")), readonly.Config())
    one.open()
    one.migrate()
    yield one
    one.close()


def left(store: embedded.EmbeddedStore, table: str) -> dict[tuple[int, str], int]:
    found = store.query(
        f"SELECT toDate('{TODAY}') - toDate(collector_time) AS age, agent_id, count() AS n FROM luytre.{table}"
        " GROUP BY age, agent_id"
    ).to_pylist()
    return {(row["age"], row["agent_id"]): row["n"] for row in found}


def test_days_are_dropped_and_thinned(store: embedded.EmbeddedStore) -> None:
    now_us = int(time.time()) * 1_000_000
    for age in (10, 40, 200, 400):
        at = now_us - age * 86_400_000_000
        rows = [
            {"agent_id": name, "collector_time": at, "flow_end": at} for name in ("commune-1", "web-1", "web-9", "db")
        ]
        made.insert(store, "flows", rows, at)
        made.insert(store, "processes", rows[:1], at)
    counters = Counters("retention")
    expiry = Retention(store, LEVELS, time.time, counters)
    expiry.run()
    assert left(store, "flows") == {
        (10, "commune-1"): 1, (10, "web-1"): 1, (10, "web-9"): 1, (10, "db"): 1, (40, "web-1"): 1, (40, "web-9"): 1,
        (40, "db"): 1, (200, "web-9"): 1, (200, "db"): 1, (400, "web-9"): 1,
    }  # fmt: skip
    assert left(store, "processes") == {(10, "commune-1"): 1}
    assert expiry.due() == []
    found = {(sample.name, sample.label): sample.value for sample in counters.samples()}
    assert found["rows_expired", "flows"] == 6
    assert found["rows_expired", "processes"] == 3
    assert found["days_thinned", "flows"] == 3
    assert found["days_dropped", "processes"] == 3


def test_months_of_alerts(store: embedded.EmbeddedStore) -> None:
    for age in (10, 700, 900):
        at = (int(time.time()) - age * 86_400) * 1_000_000
        made.insert(store, "alerts", [{"alert_id": f"a{age}", "event_time": at}], at)
    Retention(store, LEVELS, time.time, Counters("retention")).run()
    kept = store.query("SELECT alert_id FROM luytre.alerts ORDER BY alert_id").column(0).to_pylist()
    assert kept == ["a10", "a700"]
    everything = Config(alert_days=1, holds=[Hold("all")])
    assert Retention(store, everything, time.time, Counters("retention")).due() == []
    short = Retention(store, Config(days=1000, alert_days=100), time.time, Counters("retention")).due()
    assert [(step.table, step.rows) for step in short] == [("alerts", 1)]


def test_the_command_shows_and_deletes(tmp_path: Path) -> None:
    config = tmp_path / "collector.toml"
    config.write_text(
        '[ingest.tls]\nauthority = "a"\ncertificate = "c"\nkey = "k"\n'
        f'[store.embedded]\ndirectory = "{tmp_path}/store"\n'
    )
    for command, said in (
        (["migrate"], "created table flows"),
        (["retention"], "0 rows are due; nothing was deleted"),
        (["retention", "--apply"], "0 rows deleted"),
    ):
        line = [sys.executable, "-m", "luytre_collector", *command, "--config", str(config)]
        done = subprocess.run(
            line, capture_output=True, text=True, check=False
        )  # an engine opens one folder in its life
        assert (done.returncode, done.stderr) == (0, "")
        assert said in done.stdout


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        build(Config, {"classes": [{"name": "x", "days": 0}], "holds": [{"name": "y", "first_day": "soon"}]})
    assert "classes[0].agents: missing" in str(caught.value)
    assert "classes[0].days: 0 is too small" in str(caught.value)
    assert 'holds[0].first_day: "soon" is not a date, YYYY-MM-DD' in str(caught.value)
    assert configuration.Config.__dataclass_fields__["retention"]
