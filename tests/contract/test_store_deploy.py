"""What deploy/clickhouse gives to administrators: files that are well-formed, SQL that ClickHouse takes, and roles that
are enough for what they are for, and for no more. The rights are those of the real engine: see `write_config`."""

from __future__ import annotations

import contextlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import chdb
import pytest
from luytre_collector import registers
from luytre_collector.sites import Organisation, Sites, System
from luytre_collector.store import access, readonly, server
from luytre_collector.store.base import StoreUnavailableError
from luytre_common.schema import TABLES

from tests.contract.rows import make
from tests.support.bridge.process import Bridge, write_config

DEPLOY = Path(__file__).parents[2] / "deploy/clickhouse"
USERS = (DEPLOY / "users.sql").read_text()
FLOWS = TABLES["flows"]
WEB = ("web-01", "b0", "flows")
#: What the bridge itself needs: it hands rows to the engine in a file.
OF_THE_BRIDGE = "GRANT READ ON FILE"


def statements() -> list[str]:
    without_comments = re.sub(r"^--.*\n", "", USERS, flags=re.MULTILINE)
    return [one.strip() for one in without_comments.split(";\n") if one.strip()]


def grants(role: str) -> list[str]:
    """The rights of a role, as rights of whoever they are given to."""
    return [one.removesuffix(f" TO {role}") for one in statements() if re.match(r"GRANT .* ON ", one) and role in one]


def settings(role: str) -> dict[str, str]:
    """The settings of a role's profile."""
    profile = next(one for one in statements() if one.startswith(f"CREATE SETTINGS PROFILE IF NOT EXISTS {role} "))
    return {name: value.strip("'") for name, value in re.findall(r"(\w+) = ('?\w+'?)", profile)}


@contextlib.contextmanager
def as_role(
    home: Path, config: Path, role: str, with_settings: bool, policies: dict[str, str] | None = None
) -> Iterator[server.ServerStore]:
    """A store whose user has the rights of this role and no others, and sees the rows of these policies."""
    limits = settings(role) if with_settings else None
    write_config(config, [*grants(role), OF_THE_BRIDGE], limits, policies)
    with Bridge(home, ["--config", str(config)]) as bridge:
        store = server.ServerStore(server.Config(hosts=[bridge.host]), readonly.Config())
        store.open()
        try:
            yield store
        finally:
            store.close()


def test_the_parser_takes_every_statement() -> None:
    with contextlib.closing(chdb.connect(":memory:")) as engine:
        for one in statements():
            engine.query(f"EXPLAIN AST {one}")
    for role in ("luytre_writer", "luytre_analyst", "luytre_auditor"):
        assert f"CREATE ROLE IF NOT EXISTS {role}" in USERS
    assert "BY '" not in USERS, "no password stands in a file"


def test_roles_are_enough_and_no_more(tmp_path: Path) -> None:
    home, config = tmp_path / "store", tmp_path / "config.xml"
    with as_role(home, config, "luytre_writer", with_settings=False) as store:
        assert store.migrate()
        assert store.migrate() == []
        store.insert("flows", make(FLOWS, 100), "token")
        assert store.last_sequences("flows", [WEB]) == {WEB: 99}
        assert store.query_text("SELECT count() AS n FROM flows", "JSONEachRow") == b'{"n":100}\n'
        for beyond in (
            "DROP TABLE luytre.flows",
            "CREATE DATABASE other",
            "CREATE USER other",
            "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString', 'line String')",
        ):
            with pytest.raises(StoreUnavailableError, match="Not enough privileges"):
                store.command(beyond)
    with as_role(home, config, "luytre_analyst", with_settings=True) as store:
        assert store.query("SELECT count() AS n FROM flows").to_pylist() == [{"n": 100}]
        assert store.query("SELECT count() AS n FROM luytre_local.timeline").num_rows == 1
        for beyond in (
            "INSERT INTO luytre.schema_version (version) VALUES (9)",
            "ALTER TABLE luytre.flows DELETE WHERE 1",
            "TRUNCATE TABLE luytre.flows",
            "SELECT * FROM system.users",
            "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString', 'line String')",
        ):
            with pytest.raises(StoreUnavailableError, match=r"privileges|readonly mode"):
                store.command(beyond)
        assert store.query("SELECT count() AS n FROM flows").to_pylist() == [{"n": 100}]


def policies_of(organisation: str) -> dict[str, str]:
    """The conditions by table of an organisation's role, beside that of everybody, as `rights` prints them."""
    found = {}
    for one in access.role_statements(organisation):
        if policy := re.fullmatch(r"CREATE ROW POLICY IF NOT EXISTS \S+ ON (.*) FOR SELECT USING (.*) TO \S+", one):
            for table in policy[1].split(", "):
                found[table.removeprefix("luytre.")] = f"0 OR ({policy[2]})"
    return found


def test_an_analyst_of_an_organisation_sees_its_rows_only(tmp_path: Path) -> None:
    home, config = tmp_path / "store", tmp_path / "config.xml"
    sites = Sites(
        [Organisation("hue"), Organisation("ward", parent="hue"), Organisation("other")],
        [System("a", "ward", 2, ["web-01"]), System("b", "other", 2, ["web-02"])],
    )
    with as_role(home, config, "luytre_writer", with_settings=False) as store:
        store.migrate()
        for agent in ("web-01", "web-02", "web-03"):
            store.command(f"INSERT INTO luytre.agents (agent_id, recorded_time) VALUES ('{agent}', now64(6))")
            for table in ("flows", "alerts", "ledger"):
                store.insert(table, make(TABLES[table], 10, agent=agent, nasty=False, first=ord(agent[-1]) * 10), agent)
        registers.declare(store, sites, lambda _: 90, 1_795_000_000_000_000)
    for organisation, agents in (("hue", ["web-01"]), ("ward", ["web-01"]), ("other", ["web-02"]), ("gone", [])):
        with as_role(home, config, "luytre_analyst", True, policies_of(organisation)) as store:
            for table in ("luytre.flows", "luytre_local.alerts", "luytre_local.ledger", "luytre.agents"):
                found = store.query(f"SELECT DISTINCT agent_id FROM {table} ORDER BY agent_id")
                assert found.column(0).to_pylist() == agents, (organisation, table)
            (row,) = store.query("SELECT count() AS n FROM luytre.flows WHERE agent_id != 'web-01'").to_pylist()
            assert row["n"] == (10 if organisation == "other" else 0)
            found = store.query("SELECT organisation_id FROM luytre_local.organisations ORDER BY 1")
            assert found.column(0).to_pylist() == {"hue": ["hue", "ward"], "gone": []}.get(organisation, [organisation])


def test_what_an_upgrade_brings_is_closed() -> None:
    nobody, everything = (one for one in statements() if one.startswith("CREATE ROW POLICY"))
    for database in ("luytre.*", "luytre_shard.*"):
        assert database in nobody
        assert database in everything
    assert nobody.endswith("FOR SELECT USING 0 TO ALL")
    assert everything.endswith("FOR SELECT USING 1 TO luytre_all, luytre_writer, luytre_auditor")


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.xml")), ids=lambda path: path.name)
def test_files_are_well_formed_and_open_no_port_in_the_clear(path: Path) -> None:
    root = ET.parse(path).getroot()
    assert root.tag == "clickhouse"
    for name in ("tcp_port", "http_port", "interserver_http_port"):
        assert all(found.get("remove") for found in root.iter(name)), f"{name} is not encrypted"
    for checks in root.iter("verificationMode"):
        assert checks.text == "strict"


def test_the_cluster_is_three_shards_of_two_replicas() -> None:
    root = ET.parse(DEPLOY / "cluster/luytre.xml").getroot()
    (cluster,) = root.findall("remote_servers/*")
    shards = cluster.findall("shard")
    assert [len(shard.findall("replica")) for shard in shards] == [2, 2, 2]
    assert all(shard.findtext("internal_replication") == "true" for shard in shards)
    assert len({found.text for found in cluster.iter("host")}) == 6
    keepers = {found.text for found in root.findall("zookeeper/node/host")}
    raft = ET.parse(DEPLOY / "cluster/keeper.xml").getroot()
    assert keepers == {found.text for found in raft.iter("hostname")}
    assert len(keepers) == 3
    (port,) = {found.text for found in root.findall("zookeeper/node/port")}
    assert port == raft.findtext("keeper_server/tcp_port_secure")
    assert {found.tag for found in root.find("macros") or ()} == {"shard", "replica"}
