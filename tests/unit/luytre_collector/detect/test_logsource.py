# ruff: noqa: E501
from __future__ import annotations

import pytest
from luytre_collector.detect.auditd import NOWHERE
from luytre_collector.detect.logsource import ROUTES, field, fields, keyword_columns, routes
from luytre_common.schema import TABLES

Source = tuple[str | None, str | None, str | None]


@pytest.mark.parametrize(
    ("source", "tables"),
    [
        (("process_creation", "linux", None), ["processes"]), (("firewall", None, None), ["flows"]),
        (("network_connection", None, None), ["flows"]), ((None, "zeek", "conn"), ["flows"]), (("dns", None, None), ["dns"]),
        (("network_connection", "linux", None), ["sockets", "tls", "flows"]),
        ((None, "zeek", "ssl"), ["tls"]), (("network", None, "tls"), ["tls"]), ((None, "luytre", "dns"), ["dns"]),
        ((None, "linux", "auditd"), ["processes", "files", "logins"]), ((None, "linux", None), ["processes", "files", "logins"]),
    ],
)  # fmt: skip
def test_routes(source: Source, tables: list[str]) -> None:
    assert [one.table for one in routes(*source)] == tables


def test_file_events_are_files_that_got_a_new_content() -> None:
    (found,) = routes("file_event", "linux", None)
    assert found.table == "files"
    assert {value for _, value in found.where} == {"created", "modified", "moved"}


@pytest.mark.parametrize("service", ["sshd", "sudo", "su", "auth", "cron", "syslog", "pam"])
def test_logs_about_logins(service: str) -> None:
    (found,) = routes(None, "linux", service)
    assert found.table == "logins"
    assert {column for column, _ in found.where} <= {"process_name", "message"}
    assert ("process_name", service) in found.where or service in ("auth", "syslog", "pam")


def test_in_logs_a_keyword_is_looked_for_in_the_line() -> None:
    assert [column.name for column in keyword_columns("logins")] == ["message"]


@pytest.mark.parametrize(
    "source",
    [("process_creation", "windows", None), (None, None, None), (None, "linux", "vsftpd"), (None, "linux", "clamav")],
)
def test_what_no_table_holds(source: Source) -> None:
    assert routes(*source) == ()


def test_every_route_leads_somewhere() -> None:
    for one in ROUTES:
        wheres = [one.where, *(word.where for words in one.words.values() for word in words)]
        for column, _ in (pair for where in wheres for pair in where):
            assert TABLES[one.table].column(column)
        assert keyword_columns(one.table, one.keywords)
        assert not any(field(one.table, name) for name in one.words), "a word would hide a column"
        assert len({other.shared for other in routes(one.category, one.product, one.service)}) == 1
    sources = [(one.category, one.product, one.service, one.table) for one in ROUTES]
    assert len(sources) == len(set(sources))


def test_a_column_answers_to_all_its_names() -> None:
    names = fields("flows")
    assert names["destination_port"] is names["destination.port"] is names["DestinationPort"] is names["id.resp_p"]
    assert "flow_end" not in names, "times are not for rules"
    assert "network_community_id" not in names, "it is computed in SQL"


def test_elements_of_lists_are_fields() -> None:
    first, far = field("processes", "a0"), field("processes", "a9999")
    assert first
    assert far
    assert (first.name, far.name) == ("process_args[1]", "process_args[10000]")
    assert field("processes", "a0") == first
    for name in ("a", "a00", "a10000", "a-1", "b0", "A0"):
        assert field("processes", name) is None
    assert field("files", "a0") is None


def test_keywords_leave_out_what_the_collector_stamps() -> None:
    names = {column.name for column in keyword_columns("processes")}
    assert "process_command_line" in names
    assert not names & {"agent_id", "host_name", "process_pid"}


def test_our_own_tables_by_their_names() -> None:
    for name in ("network_changes", "inventory", "flows"):
        (found,) = routes(None, "luytre", name)
        assert (found.table, found.where) == (name, ())


#: Every field that public rules for Linux hosts, networks and Zeek name, by log source, as far as a table is meant for
#: it; and those of them that nothing here answers, which are faults when a rule is loaded.
PUBLIC: dict[Source, tuple[str, str]] = {
    ("process_creation", "linux", None): (
        "CommandLine Image ParentImage ParentCommandLine User CurrentDirectory LogonId ProcessId ParentProcessId "
        "ProcessGuid ParentProcessGuid",
        "OriginalFileName IntegrityLevel Hashes LogonGuid Product Company Description",
    ),
    ("network_connection", "linux", None): (
        "Image DestinationHostname DestinationIp DestinationPort SourceIp SourcePort Initiated User Protocol CommandLine",
        "SourceHostname DestinationIsIpv6",
    ),
    ("file_event", "linux", None): ("TargetFilename Image User ProcessId CommandLine", "CreationUtcTime"),
    ("file_rename", "linux", None): ("SourceFilename TargetFilename Image", ""),
    ("file_delete", "linux", None): ("TargetFilename Image", "IsExecutable"),
    (None, "linux", "auditd"): (
        "type a0 a1 a2 a3 a4 a5 a6 a7 a15 name nametype exe comm SYSCALL syscall success cwd proctitle uid euid gid auid "
        "pid ppid tty acct addr terminal res cmd",
        "key unit arch saddr ses",
    ),
    (None, "linux", "sudo"): ("USER COMMAND TTY", "PWD"),
    (None, "linux", "sshd"): ("User SourceIp", ""),
    ("dns", None, None): ("query record_type answer", "qtype"),
    (None, "zeek", "dns"): ("query answers qtype_name rcode_name id.orig_h id.resp_h id.resp_p", "rejected Z"),
    (None, "zeek", "conn"): ("id.orig_h id.resp_h id.resp_p proto conn_state history orig_bytes resp_bytes service", "uid"),
    ("firewall", None, None): ("src_ip dst_ip src_port dst_port", "action blocked"),
}  # fmt: skip


@pytest.mark.parametrize("source", PUBLIC, ids=str)
def test_the_fields_of_public_rules(source: Source) -> None:
    answered, unanswered = (names.split() for names in PUBLIC[source])
    found = routes(*source)
    for name in answered:
        assert any(name in one.words or field(one.table, name) for one in found), name
    for name in unanswered:
        assert not any(name in one.words or field(one.table, name) for one in found), name
    assert not set(NOWHERE) & set(answered)


def test_who_traces_whom_is_process_access() -> None:
    (route,) = routes("process_access", "linux", None)
    assert (route.table, route.where) == ("processes", (("event_action", "ptrace"),))
    names = {"SourceImage": "process_executable", "SourceUser": "user_name", "TargetImage": "process_target_executable",
             "TargetUser": "process_target_user_name"}  # fmt: skip
    for name, column in names.items():
        found = field("processes", name)
        assert found is not None
        assert found.name == column
