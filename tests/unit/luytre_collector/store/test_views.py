"""Views answer what their sentence says, on rows made for it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from luytre_collector.store import chains, embedded, readonly, views

from tests.support import made

NOW_US = int(time.time()) * 1_000_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EmbeddedStore]:
    one = embedded.EmbeddedStore(embedded.Config(tmp_path_factory.mktemp("store")), readonly.Config())
    one.open()
    one.migrate()
    yield one
    one.close()


def insert(store: embedded.EmbeddedStore, table: str, *rows: dict[str, Any]) -> None:
    made.insert(store, table, rows, NOW_US)


def ask(store: embedded.EmbeddedStore, sql: str) -> list[dict[str, Any]]:
    return store.query(f"SELECT * FROM luytre_local.{sql}").to_pylist()


def test_every_view_has_its_mark_in_its_comment(store: embedded.EmbeddedStore) -> None:
    found = {
        row["name"]: row["comment"]
        for row in store.query("SELECT name, comment FROM system.tables WHERE database = 'luytre_local'").to_pylist()
    }
    for name, _, mark in views.statements("Asia/Ho_Chi_Minh"):
        assert mark in found[name]
    assert store.migrate() == []


def test_process_tree(store: embedded.EmbeddedStore) -> None:
    family = {1: 0, 2: 1, 3: 2, 4: 2, 5: 4, 9: 1}  # 9 is a brother of 2
    insert(store, "processes", *(
        {"event_action": "exec", "process_entity_id": one, "process_parent_entity_id": parent,
         "process_name": f"p{one}"}
        for one, parent in family.items()
    ))  # fmt: skip
    found = ask(store, "process_tree(process = 2)")
    assert [(row["depth"], row["process_name"]) for row in found] == [
        (-1, "p1"), (0, "p2"), (1, "p3"), (1, "p4"), (2, "p5"),
    ]  # fmt: skip
    assert ask(store, "process_tree(process = 77)") == []


def test_a_family_that_goes_round_in_circles_ends(store: embedded.EmbeddedStore) -> None:
    insert(store, "processes", *(
        {"event_action": "exec", "process_entity_id": one, "process_parent_entity_id": parent}
        for one, parent in ((101, 102), (102, 101))
    ))  # fmt: skip
    assert {row["process_entity_id"] for row in ask(store, "process_tree(process = 101)")} == {101, 102}


def test_open_connections_are_those_without_a_last_row(store: embedded.EmbeddedStore) -> None:
    pair = {"source_ip": "10.0.0.1", "destination_ip": "203.0.113.9", "destination_port": 443}
    insert(
        store,
        "flows",
        {"flow_id": 1, "flow_start": NOW_US - 9, "flow_end_reason": "active", "source_bytes": 5, **pair},
        {"flow_id": 1, "flow_start": NOW_US - 9, "flow_end_reason": "active", "source_bytes": 6, **pair},
        {"flow_id": 2, "flow_start": NOW_US - 8, "flow_end_reason": "active", **pair},
        {"flow_id": 2, "flow_start": NOW_US - 8, "flow_end_reason": "end", **pair},
    )
    (row,) = ask(store, "open_connections WHERE agent_id = 'a'")
    assert (row["flow_id"], row["source_bytes"], row["destination_port"]) == (1, 11, 443)


def test_community_joins_a_flow_and_its_transactions(store: embedded.EmbeddedStore) -> None:
    tuple_ = {"source_ip": "128.232.110.120", "source_port": 34855, "destination_ip": "66.35.250.204"}
    flow = {"flow_id": 42, "destination_port": 80, "network_iana_number": 6, "connection_state": "SF", **tuple_}
    insert(store, "flows", flow, {**flow, "agent_id": "b"})
    insert(store, "dns", {"flow_id": 42, "dns_question_name": "example.org"}, {"flow_id": 43})
    found = ask(store, "community(id = '1:LQU9qZlK+B5F3KDmev6m5PMibrg=')")  # from the specification's examples
    assert sorted((row["source"], row["agent_id"]) for row in found) == [("dns", "a"), ("flows", "a"), ("flows", "b")]


def test_timeline_has_every_kind_of_row_in_one_shape(store: embedded.EmbeddedStore) -> None:
    insert(store, "logins", {"agent_id": "t", "event_action": "login", "event_outcome": "failure", "user_name": "lan"})
    insert(store, "files", {"agent_id": "t", "event_action": "modified", "file_path": "/etc/passwd"})
    insert(store, "processes", {"agent_id": "t", "event_action": "exec", "process_command_line": "id"})
    insert(store, "network_changes", {
        "agent_id": "t", "event_action": "changed", "network_change_kind": "route", "network_change_after": "via=x",
    })  # fmt: skip
    insert(store, "inventory", {"agent_id": "t", "event_action": "added", "inventory_name": "nmap"})
    found = {row["source"]: row["summary"] for row in ask(store, "timeline WHERE agent_id = 't'")}
    assert found["files"] == "/etc/passwd"
    assert found["processes"] == "id"
    assert "via=x" in found["network_changes"]
    assert "nmap" in found["inventory"]
    assert set(found) == {"logins", "files", "processes", "network_changes", "inventory"}


def test_rollups_and_top_talkers(store: embedded.EmbeddedStore) -> None:
    keys = "collector_day, agent_id, window_start, source_ip, destination_ip, rows, source_bytes"
    for size in (10, 20):
        store.command(
            f"INSERT INTO luytre.flows_1h ({keys}) SETTINGS insert_deduplicate = 0"
            f" SELECT today(), 'r', toStartOfHour(now()), toIPv6('10.0.0.1'), toIPv6('10.0.0.{size}'), 1, {size}"
        )
        store.command(
            f"INSERT INTO luytre.flows_1h ({keys}) SETTINGS insert_deduplicate = 0"
            f" SELECT today(), 'r', toStartOfHour(now()), toIPv6('10.0.0.1'), toIPv6('10.0.0.20'), 1, 1"
        )
    (row,) = ask(store, "flows_1h WHERE agent_id = 'r' AND destination_ip = toIPv6('10.0.0.20')")
    assert (row["rows"], row["source_bytes"]) == (3, 22)
    found = ask(store, "top_talkers WHERE agent_id = 'r'")
    assert [row["bytes"] for row in found] == [22, 10]


def test_gaps_show_the_last_that_is_known_of_each(store: embedded.EmbeddedStore) -> None:
    gap = ("web-01", "b", "flows", 3, 8, "flows", "web-01.example", 1_795_400_000_000_000)
    store.command(chains.insert("luytre", chains.GAPS, [(*gap, "open", "")]))
    store.command(chains.insert("luytre", chains.GAPS, [(*gap, "explained", "quota")]))
    found = store.query_text("SELECT rows, state, cause, toHour(collector_time) AS h FROM gaps", "JSONEachRow")
    assert json.loads(found) == {"rows": 6, "state": "explained", "cause": "quota", "h": 9}
