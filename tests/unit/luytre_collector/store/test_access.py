"""Rows by organisation, in the engine: a guest of one organisation sees, counts and infers nothing of another."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from luytre_collector import registers
from luytre_collector.rollups import Config, Rollups
from luytre_collector.sites import Organisation, Sites, System
from luytre_collector.store import access, embedded, readonly
from luytre_collector.store.guest import AnswerError, Question
from luytre_common.schema import REGISTERS, TABLES
from luytre_common.telemetry import Counters

from tests.support import made

NOW = 1_795_000_000
SITES = Sites(
    [Organisation("hue"), Organisation("ward", parent="hue"), Organisation("other")],
    [
        System("portal", "hue", 3, ["hue-*"]),
        System("office", "ward", 2, ["ward-*"]),
        System("elsewhere", "other", 2, ["other-*"]),
    ],
)
AGENTS = ("hue-1", "ward-1", "other-1", "stray-1")
SECRET = "tell-nobody"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EmbeddedStore]:
    one = embedded.EmbeddedStore(embedded.Config(tmp_path_factory.mktemp("store")), readonly.Config())
    one.open()
    try:
        one.migrate()
        for table in TABLES:
            rows = [{"agent_id": agent, "host_name": f"{agent} {SECRET}"} for agent in AGENTS]
            if table == "alerts":
                rows = [{**row, "alert_id": row["agent_id"]} for row in rows]
            if table == "processes":
                rows = [{**row, "process_command_line": row["host_name"], "process_entity_id": 7} for row in rows]
            if table == "flows":
                rows = [{**row, "network_direction": "outbound", "flow_start": NOW * 1_000_000} for row in rows]
            made.insert(one, table, rows, NOW * 1_000_000)
        for table in ("chains", "gaps"):
            for agent in AGENTS:
                one.command(f"INSERT INTO luytre.{table} (agent_id, collector_time) VALUES ('{agent}', now64(6))")
        values = ", ".join(f"('{agent}', now64(6), now64(6))" for agent in AGENTS)
        one.command(f"INSERT INTO luytre.agents (agent_id, last_seen, recorded_time) VALUES {values}")
        registers.declare(one, SITES, lambda _: 90, NOW * 1_000_000)
        Rollups(one, Config(), lambda: NOW + 600.0, lambda: None, Counters("rollups")).run()
        yield one
    finally:
        one.close()


def ask(store: embedded.EmbeddedStore, sql: str, *organisations: str, **settings: str) -> str:
    return store.ask(Question(sql, settings=settings, organisations=organisations)).body.decode()


def test_every_table_shows_an_organisation_and_those_below_it(store: embedded.EmbeddedStore) -> None:
    found = store.query("SELECT table, name FROM system.columns WHERE database = 'luytre'").to_pylist()
    tables = {row["table"] for row in found}
    assert {row["table"] for row in found if row["name"] == "agent_id"} == {*access.OF_AGENTS, "agents"}
    assert tables - set(access.embedded_policies()) == {"rollup_windows", "schema_version"}
    for table in (*access.OF_AGENTS, "agents"):
        for database in ("luytre", *(("luytre_local",) if table not in ("chains", "gaps") else ())):
            sql = f"SELECT DISTINCT agent_id FROM {database}.{table} ORDER BY agent_id"
            seen = [ask(store, sql, *whose).split() for whose in (["hue"], ["ward"], ["other", "ward"], ["gone"], [])]
            assert seen == [["hue-1", "ward-1"], ["ward-1"], ["other-1", "ward-1"], [], sorted(AGENTS)], sql
    assert ask(store, "SELECT organisation_id FROM organisations ORDER BY 1", "ward") == "ward\n"
    assert ask(store, "SELECT system_id FROM systems ORDER BY 1", "hue") == "office\nportal\n"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count() FROM processes",
        "SELECT count() FROM luytre.processes",
        "SELECT count() FROM (SELECT * FROM luytre.processes UNION ALL SELECT * FROM luytre.processes WHERE 0)",
        "SELECT count() FROM luytre.processes AS a JOIN luytre.processes AS b USING agent_id",
        "WITH x AS (SELECT * FROM processes) SELECT count() FROM x",
        "SELECT countIf(agent_id IN (SELECT agent_id FROM luytre.flows)) FROM luytre.processes",
        "SELECT count() FROM processes WHERE 1 OR agent_id = 'other-1'",
        "SELECT count() FROM luytre.processes PREWHERE 1",
        "SELECT count() FROM timeline WHERE source = 'processes'",
        "SELECT count() FROM process_tree(process = 7)",
        "SELECT sum(rows) FROM flows_1m",
        "SELECT uniqExact(agent_id) FROM luytre.processes",
        "SELECT length(groupArray(host_name)) FROM luytre.alerts FINAL",
    ],
)
def test_whatever_is_asked_is_of_its_rows(store: embedded.EmbeddedStore, sql: str) -> None:
    assert (ask(store, sql, "hue").strip(), ask(store, sql, "ward").strip()) == ("2", "1")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT toUInt8(host_name) FROM luytre.processes WHERE agent_id = 'other-1'",
        "SELECT * FROM luytre.processes WHERE toUInt8(host_name)",
        "SELECT * FROM luytre.processes PREWHERE toUInt8(concat(host_name, '!')) WHERE agent_id = 'other-1'",
        "SELECT * FROM luytre.processes PREWHERE throwIf(agent_id = 'other-1', 'they are there')",
        "SELECT * FROM processes WHERE throwIf(startsWith(agent_id, 'other'), 'they are there')",
        "SELECT throwIf(count() = 4) FROM luytre.processes",
        "SELECT * FROM luytre.processes ORDER BY throwIf(agent_id = 'other-1', 'they are there')",
        "SELECT max(agent_id), min(agent_id) FROM luytre.processes",
        "SELECT min(collector_time), max(collector_time), count() FROM luytre.processes WHERE agent_id = 'other-1'",
        "SELECT agent_id, boot_id, stream, max(sequence) FROM luytre.processes GROUP BY agent_id, boot_id, stream",
        "SELECT DISTINCT host_name FROM luytre.processes",
        "SELECT any(host_name) FROM luytre.processes WHERE hasToken(process_command_line, 'tell')",
    ],
)
def test_no_answer_and_no_error_tells_of_other_rows(store: embedded.EmbeddedStore, sql: str) -> None:
    try:
        answer = ask(store, sql, "ward")
    except AnswerError as error:
        answer = str(error)
    assert "other" not in answer.replace("'other-1'", "").replace("'other'", "").replace("= other-1", "")
    assert "they are there" not in answer.replace("'they are there'", "")
    assert "stray" not in answer


def test_who_sees_everything_is_told_of_everybody(store: embedded.EmbeddedStore) -> None:
    """That the questions above would find something."""
    with pytest.raises(AnswerError, match="they are there"):
        ask(store, "SELECT * FROM luytre.processes PREWHERE throwIf(agent_id = 'other-1', 'they are there')")
    assert "other-1" in ask(store, "SELECT max(agent_id), groupArray(host_name) FROM luytre.processes", "other", "hue")
    with pytest.raises(AnswerError, match=r"other-1 tell-nobody"):
        ask(store, "SELECT toUInt8(host_name) FROM luytre.processes WHERE agent_id = 'other-1'")


@pytest.mark.parametrize(
    "sql",
    [
        "EXPLAIN ESTIMATE SELECT * FROM luytre.flows WHERE agent_id = 'other-1'",
        "(explain indexes = 1 SELECT * FROM luytre.flows)",
        "SELECT sum(rows) FROM system.parts",
        "SELECT * FROM system.parts_columns",
        "SELECT * FROM system.data_skipping_indices",
        "SELECT * FROM luytre.flows SETTINGS log_comment = ''",
        "SELECT count() FROM (SELECT * FROM luytre.flows SETTINGS log_comment = '')",
        "SET log_comment = ''",
        "SELECT 1 FORMAT JSONEachRowWithProgress",
        "SELECT 1 FORMAT JSONStringsEachRowWithProgress",
    ],
)
def test_what_tells_of_their_number_is_refused(store: embedded.EmbeddedStore, sql: str) -> None:
    with pytest.raises(AnswerError) as refused:
        ask(store, sql, "ward")
    assert refused.value.code in (62, 73, 164, 497)


def test_settings_take_nothing_back(store: embedded.EmbeddedStore) -> None:
    sql = "SELECT count() FROM flows"
    assert ask(store, sql, "ward", log_comment="", output_format_write_statistics="1", max_rows_to_read="1") == "1\n"
    with pytest.raises(AnswerError):
        ask(store, sql, "ward", additional_table_filters="{}")
    answer = store.ask(Question(f"{sql} FORMAT JSON", organisations=("ward",)))
    assert "statistics" not in json.loads(answer.body)
    assert (answer.read_rows, answer.read_bytes) == (0, 0)
    assert "statistics" in json.loads(ask(store, f"{sql} FORMAT JSON"))
    with pytest.raises(AnswerError, match="Unknown format"):
        store.ask(Question(sql, "JSONEachRowWithProgress", organisations=("ward",)))


def test_what_one_guest_asked_changes_nothing_for_the_next(store: embedded.EmbeddedStore) -> None:
    sql = "SELECT count() FROM luytre.processes WHERE process_command_line LIKE 'other-1 %'"
    for _ in range(3):
        assert [ask(store, sql, *whose) for whose in (["ward"], ["other"], [])] == ["0\n", "1\n", "1\n"]
    assert store.query(sql).column(0).to_pylist() == [1]


def test_an_agent_that_moves_takes_its_rows_along(store: embedded.EmbeddedStore) -> None:
    sql = "SELECT count() FROM flows"
    moved = Sites(SITES.organisations, [System("all", "other", 2, ["*"])])
    try:
        registers.declare(store, moved, lambda _: 90, NOW * 1_000_000)
        assert [ask(store, sql, whose) for whose in ("hue", "ward", "other")] == ["0\n", "0\n", "4\n"]
    finally:
        registers.declare(store, SITES, lambda _: 90, NOW * 1_000_000)
    assert [ask(store, sql, whose) for whose in ("hue", "ward", "other")] == ["2\n", "1\n", "1\n"]


def test_rows_that_are_no_agents_are_nobodys(store: embedded.EmbeddedStore) -> None:
    made.insert(store, "alerts", [{"agent_id": "", "alert_id": "nobody"}, {"agent_id": "-", "alert_id": "-"}], 1)
    sql = "SELECT count() FROM alerts WHERE alert_id IN ('nobody', '-') AND agent_id = ''"
    assert [ask(store, sql, *whose) for whose in (["gone"], ["hue"], [])] == ["0\n", "0\n", "1\n"]
    store.command("ALTER TABLE luytre.alerts DELETE WHERE alert_id IN ('nobody', '-') SETTINGS mutations_sync = 2")


def test_an_organisation_of_many_agents(store: embedded.EmbeddedStore) -> None:
    store.command(
        "INSERT INTO luytre.agents (agent_id, organisation_path, recorded_time)"
        " SELECT concat('many-', leftPad(toString(number), 100, '0')), ['many'], now64(6) FROM numbers(20000)"
    )
    assert ask(store, "SELECT count() FROM agents", "many") == "20000\n"
    assert ask(store, "SELECT count() FROM flows", "many", "ward") == "1\n"
    store.command("ALTER TABLE luytre.agents DELETE WHERE startsWith(agent_id, 'many-') SETTINGS mutations_sync = 2")


def test_a_store_without_tables_can_be_asked(store: embedded.EmbeddedStore) -> None:
    """As before a migration, and while a backup is restored."""
    store.command("RENAME TABLE luytre.agents TO luytre.elsewhere")
    try:
        assert store.query("SELECT count() AS n FROM luytre.flows").to_pylist() == [{"n": 4}]
        assert ask(store, "SELECT count() FROM flows") == "4\n"
        with pytest.raises(AnswerError, match="agents"):
            ask(store, "SELECT count() FROM flows", "hue")
    finally:
        store.command("RENAME TABLE luytre.elsewhere TO luytre.agents")


def test_the_file_is_the_owners_and_is_refused_where_it_cannot_be(tmp_path: Path) -> None:
    path = access.write(tmp_path / "access")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert access.write(tmp_path / "access") == path
    (tmp_path / "in the way").touch()
    with pytest.raises(OSError):  # noqa: PT011 - whatever the system says
        access.write(tmp_path / "in the way")


@pytest.mark.parametrize("cluster", ["", "luytre"])
def test_the_parser_takes_the_role_of_an_organisation(store: embedded.EmbeddedStore, cluster: str) -> None:
    statements = list(access.role_statements("hue-kim.long", cluster))
    for one in statements:
        store.command(f"EXPLAIN AST {one}")
    named = " ".join(statements)
    database = "luytre_shard" if cluster else "luytre"
    for table in (*TABLES, *REGISTERS, "flows_1m", "flows_1h", "first_seen"):
        assert f"{database}.{table}" in named
    assert all(("ON CLUSTER `luytre`" in one) == bool(cluster) for one in statements)
    assert ("USING 1" in named) == bool(cluster)
