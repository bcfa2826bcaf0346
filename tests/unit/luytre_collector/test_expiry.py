"""The deletion of what is too old, in the engine."""

from __future__ import annotations

import asyncio
import datetime
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_collector import query
from luytre_collector.expiry import DAILY, RECORDS, Expiry, Step, due, due_next
from luytre_collector.retention import Class, Config, Hold, Keeping
from luytre_collector.sites import Organisation, Sites, System
from luytre_collector.store import embedded, readonly
from luytre_collector.store.choose import Config as StoreConfig
from luytre_common.telemetry import Counters

from tests.support import made

TODAY = datetime.datetime.fromtimestamp(time.time(), datetime.UTC).date()
DAY_US = 86_400_000_000
LEVELS = Keeping(
    Config(
        days=365,
        classes=[Class("level 1", 30, ["commune-*"]), Class("level 2", 180, ["web-*"])],
        holds=[Hold("case 7", ["web-9"])],
    )
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


@given(
    st.lists(st.sampled_from(["commune-1", "web-1", "web-9", "db"]), unique=True),
    st.integers(0, 400),
    st.sampled_from(["flows", "ledger"]),
)
def test_nothing_is_due_before_it_is_said_to_be(agents: list[str], age: int, table: str) -> None:
    day = ago(age)
    said = due_next(LEVELS, table, day, agents)
    found = {(table, day): dict.fromkeys(agents, 1)}
    if said == datetime.date.max:
        assert due(LEVELS, TODAY + datetime.timedelta(days=99_999), found) == []
    else:
        assert due(LEVELS, said - datetime.timedelta(days=1), found) == []
        assert due(LEVELS, said, found) != []


def test_the_ledger_is_kept_as_long_as_alerts() -> None:
    assert set(DAILY) >= RECORDS
    found = {("ledger", ago(age)): {"commune-1": 1, "web-9": 1} for age in (31, 366, 730, 731)}
    assert due(LEVELS, TODAY, found) == [Step("ledger", str(ago(731)), 1, ("commune-1",))]


def test_a_deletion_travels_and_nothing_else_does() -> None:
    for step in (
        Step("flows", "2026-11-01", 5, ("a", "'; DROP TABLE flows; --")),
        Step("flows_1h", "2026-11-01", 5),
        Step("alerts", "202611", 5),
        Step("agents", "", 5, ("a",), "2026-11-01"),
    ):
        assert Step.from_json(json.loads(json.dumps(step.to_json()))) == step
    good: dict[str, Any] = Step("flows", "2026-11-01", 5).to_json()
    for bad in (
        {"table": "schema_version"}, {"table": "flows`"}, {"partition": "2026-11-01' OR 1"}, {"partition": "202611"},
        {"partition": ""}, {"before": "2026-11-01"}, {"rows": "x"}, {"agents": None},
        {"table": "agents", "partition": "", "before": "2026-11-01"},
        {"table": "agents", "partition": "", "before": "1' OR 1", "agents": ["a"]},
        {"table": "alerts"},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"not a deletion|invalid literal"):
            Step.from_json({**good, **bad})
    with pytest.raises(ValueError, match="not a deletion"):
        Step.from_json({})


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


def expiry(store: embedded.EmbeddedStore, keeping: Keeping, counters: Counters | None = None) -> Expiry:
    return Expiry(store, keeping, time.time, counters or Counters("retention"))


def fill(store: embedded.EmbeddedStore) -> None:
    now_us = int(time.time()) * 1_000_000
    for age in (10, 40, 200, 400):
        at = now_us - age * DAY_US
        rows = [
            {"agent_id": name, "collector_time": at, "flow_end": at} for name in ("commune-1", "web-1", "web-9", "db")
        ]
        made.insert(store, "flows", rows, at, f"{time.monotonic_ns()}")
        made.insert(store, "processes", rows[:1], at, f"{time.monotonic_ns()}")


KEPT = {
    (10, "commune-1"): 1, (10, "web-1"): 1, (10, "web-9"): 1, (10, "db"): 1, (40, "web-1"): 1, (40, "web-9"): 1,
    (40, "db"): 1, (200, "web-9"): 1, (200, "db"): 1, (400, "web-9"): 1,
}  # fmt: skip


def test_days_are_dropped_and_thinned(store: embedded.EmbeddedStore) -> None:
    fill(store)
    counters = Counters("retention")
    one = expiry(store, LEVELS, counters)
    one.run()
    assert left(store, "flows") == KEPT
    assert left(store, "processes") == {(10, "commune-1"): 1}
    assert one.due() == []
    found = {(sample.name, sample.label): sample.value for sample in counters.samples()}
    assert found["rows_expired", "flows"] == 6
    assert found["rows_expired", "processes"] == 3
    assert found["days_thinned", "flows"] == 3
    assert found["days_dropped", "processes"] == 3


def test_a_clock_that_was_set_far_ahead_deletes_nothing(store: embedded.EmbeddedStore) -> None:
    store.command("TRUNCATE TABLE luytre.flows")
    fill(store)
    before, counters, days = left(store, "flows"), Counters("retention"), [0]
    one = Expiry(store, LEVELS, lambda: time.time() + 86_400 * days[0], counters)
    for days[0] in (8, 3650):
        one.run()
    assert left(store, "flows") == before
    assert counters.get("clock_leaps") == 2
    days[0] = 0
    one.run()
    assert left(store, "flows") == KEPT
    days[0] = 3650
    later = Expiry(store, LEVELS, lambda: time.time() + 86_400 * days[0], counters)
    later.run()  # it was so from the start on
    assert set(left(store, "flows")) == {(age, "web-9") for age in (10, 40, 200, 400)}


def test_a_day_is_not_counted_again_before_something_of_it_is_due(
    store: embedded.EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.command("TRUNCATE TABLE luytre.flows")
    fill(store)
    days, counted = [0], list[str]()
    one = Expiry(
        store, LEVELS, lambda: time.time() + 86_400 * days[0], Counters("retention"), lambda: 86_400.0 * days[0]
    )
    query = store.query

    def counting(statement: str, parameters: Any = None) -> Any:
        counted.append(statement)
        return query(statement, parameters)

    monkeypatch.setattr(store, "query", counting)

    def asked() -> int:
        """Days of flows that were counted in one run."""
        counted.clear()
        one.run()
        return sum(each.count("toDate('") for each in counted if "luytre.flows WHERE day IN" in each)

    assert asked() == 370  # ages 31 to 400
    assert asked() == 3  # those of which something was deleted, unless they are gone whole: 40, 200, 400
    assert asked() == 0
    assert left(store, "flows") == KEPT
    days[0] = 1
    assert asked() == 1  # the day that is 31 days old now
    days[0] = 8
    assert asked() >= 370  # all of them, a week later
    days[0] = 21
    one.run()
    assert (10, "commune-1") not in left(store, "flows")


def test_by_information_system(store: embedded.EmbeddedStore) -> None:
    store.command("TRUNCATE TABLE luytre.flows")
    fill(store)
    sites = Sites(
        [Organisation("hue"), Organisation("ward", parent="hue")],
        [System("s2", "ward", 2, ["commune-*"]), System("s3", "hue", 3, ["web-1"]), System("s5", "hue", 5, ["web-9"])],
    )
    held = Hold("order", organisations=["ward"], first_day=str(ago(41)), last_day=str(ago(39)))
    expiry(store, Keeping(Config(days=20, holds=[held]), sites)).run()
    assert left(store, "flows") == {
        (10, "commune-1"): 1, (10, "web-1"): 1, (10, "web-9"): 1, (10, "db"): 1, (40, "commune-1"): 1,
        (40, "web-1"): 1, (40, "web-9"): 1, (200, "web-9"): 1,
    }  # fmt: skip


def test_months_of_alerts(store: embedded.EmbeddedStore) -> None:
    for age in (10, 700, 900):
        at = (int(time.time()) - age * 86_400) * 1_000_000
        made.insert(store, "alerts", [{"alert_id": f"a{age}", "event_time": at}], at)
    expiry(store, LEVELS).run()
    kept = store.query("SELECT alert_id FROM luytre.alerts ORDER BY alert_id").column(0).to_pylist()
    assert kept == ["a10", "a700"]
    everything = Keeping(Config(alert_days=1, holds=[Hold("all")]))
    assert expiry(store, everything).due() == []
    short = expiry(store, Keeping(Config(days=1000, alert_days=100))).due()
    assert [(step.table, step.rows) for step in short] == [("alerts", 1)]


def test_agents_that_are_long_gone(store: embedded.EmbeddedStore) -> None:
    names = ("gone", "held-1", "back")
    for age, who in ((900, names), (10, names[2:])):
        values = ", ".join(f"('{name}', now64(6) - {age * 86_400}, now64(6) - {age * 86_400})" for name in who)
        store.command(f"INSERT INTO luytre.agents (agent_id, last_seen, recorded_time) VALUES {values}")
    keeping = Keeping(Config(holds=[Hold("case", ["held-*"], last_day=str(ago(800)))]))
    (step,) = expiry(store, keeping).due()
    assert (step.table, step.agents, step.before) == ("agents", ("gone",), str(ago(730)))
    assert str(step) == f"agents before {ago(730)}: 1 rows of 1 agents"
    expiry(store, keeping).run()
    found = store.query("SELECT agent_id FROM luytre.agents FINAL ORDER BY agent_id").column(0).to_pylist()
    assert found == ["back", "held-1"]
    assert expiry(store, keeping).due() == []


def test_first_sightings_are_forgotten_in_time(store: embedded.EmbeddedStore) -> None:
    assert expiry(store, LEVELS).settle() == []
    short = expiry(store, Keeping(Config(days=90, alert_days=100, max_days=100)))
    assert short.settle() == ["first_seen: forgotten 100 days after the last sighting"]
    assert short.settle() == []
    ages = {"new": 99, "old": 101}
    values = ", ".join(
        f"('domain', '{one}', 'a', 'h', now64(6), now64(6) - {age * 86_400})" for one, age in ages.items()
    )
    columns = "kind, value, agent_id, host_name, first_time, last_time"
    store.command(f"INSERT INTO luytre.first_seen ({columns}) VALUES {values}")
    store.command("OPTIMIZE TABLE luytre.first_seen FINAL")
    assert store.query("SELECT value FROM luytre.first_seen").column(0).to_pylist() == ["new"]
    assert expiry(store, LEVELS).settle() == ["first_seen: forgotten 730 days after the last sighting"]


def test_two_at_a_time_wait_for_each_other(store: embedded.EmbeddedStore) -> None:
    store.command("TRUNCATE TABLE luytre.flows")
    fill(store)
    one = expiry(store, LEVELS)
    faults: list[BaseException] = []

    def run() -> None:
        try:
            one.run()
        except BaseException as fault:  # noqa: BLE001 - it is looked at below
            faults.append(fault)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    assert left(store, "flows") == KEPT


COMMAND = [sys.executable, "-m", "luytre_collector", "retention"]


def config_file(folder: Path, more: str = "") -> Path:
    path = folder / "collector.toml"
    path.write_text(
        '[ingest.tls]\nauthority = "a"\ncertificate = "c"\nkey = "k"\n'
        f'[store.embedded]\ndirectory = "{folder}/store"\n{more}'
    )
    return path


def test_the_command_shows_and_deletes(tmp_path: Path) -> None:
    config = config_file(tmp_path)
    done = subprocess.run([*COMMAND, "--config", str(config)], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{tmp_path}/store: no tables there yet; run: luytre-collector migrate" in done.stderr
    assert not (tmp_path / "store").exists()  # or other commands would miss tables one by one
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


async def test_the_command_while_a_collector_holds_the_store(tmp_path: Path, store: embedded.EmbeddedStore) -> None:
    """This process holds the store, as a collector does; the command is another one."""
    store.command("TRUNCATE TABLE luytre.flows")
    store.command("TRUNCATE TABLE luytre.processes")
    store.command("TRUNCATE TABLE luytre.alerts")
    fill(store)
    directory = store._config.directory
    classes = '[[retention.classes]]\nname = "x"\nagents = ["commune-*"]\ndays = 30\n'
    config = config_file(tmp_path, classes)
    config.write_text(config.read_text().replace(f"{tmp_path}/store", str(directory)))
    counters = Counters("query")
    one = expiry(store, Keeping(Config()))  # what it does is what it is told, not what its own configuration says
    path = query.socket_path(StoreConfig(embedded=embedded.Config(directory)))
    assert path is not None
    async with query.serve_queries(store, path, counters, {"expire": one.take_all}):

        async def command(*arguments: str) -> tuple[int, str, str]:
            process = await asyncio.create_subprocess_exec(
                *COMMAND, *arguments, "--config", str(config), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            out, error = await process.communicate()
            return process.returncode or 0, out.decode(), error.decode()

        code, out, error = await command()
        assert (code, error) == (0, "")
        assert out.splitlines() == [
            f"flows {ago(400)}: 4 rows of everybody", f"flows {ago(200)}: 1 rows of 1 agents",
            f"flows {ago(40)}: 1 rows of 1 agents", f"processes {ago(400)}: 1 rows of everybody",
            f"processes {ago(200)}: 1 rows of everybody", f"processes {ago(40)}: 1 rows of everybody",
            "9 rows are due; nothing was deleted",
        ]  # fmt: skip
        code, out, error = await command("--json")
        assert [json.loads(line)["rows"] for line in out.splitlines()] == [4, 1, 1, 1, 1, 1]
        assert counters.get("deeds", "expire") == 0
        code, out, error = await command("--apply")
        assert (code, error, out.splitlines()[-1]) == (0, "", "9 rows deleted")
        assert counters.get("deeds", "expire") == 1
        assert left(store, "processes") == {(10, "commune-1"): 1}
        code, out, error = await command()
        assert (code, error, out) == (0, "", "0 rows are due; nothing was deleted\n")
