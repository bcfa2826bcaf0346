from __future__ import annotations

import pytest
from luytre_collector.detect.logsource import ROUTES, fields, keyword_columns, route
from luytre_common.schema import TABLES


@pytest.mark.parametrize(
    ("source", "table"),
    [
        (("process_creation", "linux", None), "processes"), (("network_connection", "linux", None), "flows"),
        (("firewall", None, None), "flows"), ((None, "zeek", "conn"), "flows"), (("dns", None, None), "dns"),
        ((None, "zeek", "ssl"), "tls"), (("network", None, "tls"), "tls"), ((None, "luytre", "dns"), "dns"),
    ],
)  # fmt: skip
def test_routes(source: tuple[str | None, str | None, str | None], table: str) -> None:
    found = route(*source)
    assert found is not None
    assert found.table == table


def test_file_events_are_files_that_got_a_new_content() -> None:
    found = route("file_event", "linux", None)
    assert found is not None
    assert found.table == "files"
    assert {value for _, value in found.where} == {"created", "modified", "moved"}


@pytest.mark.parametrize("service", ["sshd", "sudo", "auth", "cron", "syslog"])
def test_logs_about_logins(service: str) -> None:
    found = route(None, "linux", service)
    assert found
    assert found.table == "logins"
    assert {column for column, _ in found.where} <= {"process_name"}
    assert ("process_name", service) in found.where or service in ("auth", "syslog")


def test_in_logs_a_keyword_is_looked_for_in_the_line() -> None:
    assert [column.name for column in keyword_columns("logins")] == ["message"]


def test_what_no_table_holds() -> None:
    assert route("process_creation", "windows", None) is None
    assert route(None, None, None) is None


def test_every_route_leads_somewhere() -> None:
    for one in ROUTES:
        for column, _ in one.where:
            assert TABLES[one.table].column(column)
    sources = [(one.category, one.product, one.service) for one in ROUTES]
    assert len(sources) == len(set(sources))


def test_a_column_answers_to_all_its_names() -> None:
    names = fields("flows")
    assert names["destination_port"] is names["destination.port"] is names["DestinationPort"] is names["id.resp_p"]
    assert "flow_end" not in names, "times are not for rules"
    assert "network_community_id" not in names, "it is computed in SQL"


def test_keywords_leave_out_what_the_collector_stamps() -> None:
    names = {column.name for column in keyword_columns("processes")}
    assert "process_command_line" in names
    assert not names & {"agent_id", "host_name", "process_pid"}


def test_our_own_tables_by_their_names() -> None:
    for name in ("network_changes", "inventory", "flows"):
        found = route(None, "luytre", name)
        assert found is not None
        assert (found.table, found.where) == (name, ())
