# ruff: noqa: E501
"""Rules in the style of the public ones for Linux, over rows as our agent makes them: in every engine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from luytre_collector.detect.examples import failures
from luytre_collector.detect.model import RuleSet
from luytre_collector.detect.rules import load
from luytre_collector.store.embedded import EmbeddedStore

from tests.support.engines import matched

HEAD = "title: T\nname: t\nid: 0c9c3b7e-51a4-4b0c-8a0f-2f6f3c1e7d55\nlogsource: {{{}}}\ndetection:\n"


def rule(folder: Path, source: str, detection: str) -> RuleSet:
    (folder / "r.yml").write_text(HEAD.format(source) + detection)
    return load([folder])


PROCESS = "category: process_creation, product: linux"
CONNECTION = "category: network_connection, product: linux"
SHELL = {
    "event_action": "connect",
    "process_executable": "/usr/bin/bash",
    "destination_ip": "203.0.113.9",
    "destination_port": 4444,
}

CASES: list[tuple[str, str, str, list[dict[str, Any]], list[int]]] = [
    (
        PROCESS,
        "  s: {User: root, LogonId: 0, CurrentDirectory: /opt/agent/tmp, CommandLine|contains: /bin/sh}\n  condition: s\n",
        "processes",
        [
            {"event_action": "exec", "user_name": "root", "user_id": user, "process_working_directory": "/opt/agent/tmp", "process_command_line": line}
            for user, line in ((0, "/bin/sh -c id"), (0, "id"), (1000, "/bin/sh -c id"))
        ],
        [0],
    ),
    (
        PROCESS,
        "  s: {ParentImage|endswith: [/httpd, /nginx], Image|endswith: [/sh, /bash]}\n  f: {ParentCommandLine|contains: logrotate}\n  condition: s and not f\n",
        "processes",
        [
            {"event_action": "exec", "process_executable": "/usr/bin/bash", "process_parent_executable": "/usr/sbin/nginx", "process_parent_command_line": parent}
            for parent in ("nginx: worker", "", "sh logrotate")
        ],
        [0, 1],
    ),
    (
        CONNECTION,
        "  s: {Image|endswith: /bash, Initiated: 'true'}\n  f: {DestinationIp: [127.0.0.1, 0.0.0.0]}\n  condition: s and not f\n",
        "sockets",
        [SHELL, {**SHELL, "destination_ip": "127.0.0.1"}, {**SHELL, "event_action": "accept"}, {**SHELL, "event_action": "listen"}, {**SHELL, "process_executable": "/usr/bin/curl"}],
        [0],
    ),
    (CONNECTION, "  s: {Initiated: false, User: www-data, Protocol: tcp}\n  condition: s\n", "sockets", [
        {**SHELL, "event_action": action, "user_name": "www-data", "network_transport": "tcp"} for action in ("connect", "accept", "close")
    ], [1]),
    (
        CONNECTION,
        "  s: {Initiated: 'true', DestinationPort: [4444, 5555]}\n  f: {DestinationIp|cidr: [10.0.0.0/8, 127.0.0.0/8]}\n  condition: s and not f\n",
        "sockets",
        [SHELL, {**SHELL, "destination_port": 443}, {**SHELL, "destination_ip": "10.1.0.9"}],
        [0],
    ),
    (
        CONNECTION,
        "  s: {DestinationHostname|endswith: .tunnel.example, Initiated: 'true'}\n  condition: s\n",
        "tls",
        [{"tls_client_server_name": "a.tunnel.example"}, {"tls_client_server_name": "tunnel.example.org"}, {}],
        [0],
    ),
    (CONNECTION, "  s: {conn_state: S0, DestinationPort: 22}\n  condition: s\n", "flows", [{"connection_state": "S0", "destination_port": 22}, {"connection_state": "SF", "destination_port": 22}], [0]),
    (
        "category: file_event, product: linux",
        "  s: {TargetFilename|startswith: /etc/cron.d/, Image|endswith: /curl, User: root}\n  condition: s\n",
        "files",
        [{"event_action": action, "file_path": "/etc/cron.d/x", "process_executable": "/usr/bin/curl", "user_name": "root"} for action in ("created", "moved", "deleted")],
        [0, 1],
    ),
    ("category: file_rename, product: linux", "  s: {SourceFilename|endswith: .tmp, TargetFilename|endswith: /passwd}\n  condition: s\n", "files", [
        {"event_action": action, "file_path": "/etc/passwd", "file_previous_path": "/etc/passwd.tmp"} for action in ("moved", "created")
    ], [0]),
    ("category: file_delete, product: linux", "  s: {TargetFilename: /var/log/wtmp}\n  condition: s\n", "files", [{"event_action": action, "file_path": "/var/log/wtmp"} for action in ("deleted", "modified")], [0]),
    ("product: linux, service: sudo", "  s: {USER: ['#-*', '#*4294967295']}\n  condition: s\n", "logins", [
        {"process_name": "sudo", "event_action": "sudo", "user_name": user, "user_target_name": target}
        for user, target in (("lan", "#-1"), ("lan", "#4294967295"), ("#-1", "root"))
    ], [0, 1]),
    ("product: linux, service: sshd", "  k: ['error: buffer_get_ret:', 'Corrupted MAC on input']\n  condition: k\n", "logins", [
        {"process_name": "sshd-session", "message": "Corrupted MAC on input. [preauth]"}, {"process_name": "sudo", "message": "Corrupted MAC on input"}, {"process_name": "sshd", "message": "ok"},
    ], [0]),
    ("product: linux, service: cron", "  k: ['REPLACE']\n  condition: k\n", "logins", [{"process_name": name, "message": "(lan) REPLACE (lan)"} for name in ("crontab", "CRON", "sshd")], [0, 1]),
    ("product: linux, service: auth", "  k: {'|all': ['pkexec', 'The value for environment variable', '[USER=root]']}\n  condition: k\n", "logins", [
        {"process_name": "pkexec", "message": "pkexec lan: The value for environment variable SHELL is bad [USER=root]"}, {"process_name": "pkexec", "message": "The value for environment variable"},
    ], [0]),
    ("product: linux, service: pam", "  k: ['authentication failure']\n  condition: k\n", "logins", [
        {"process_name": "vsftpd", "message": "pam_unix(vsftpd:auth): authentication failure; logname="}, {"process_name": "vsftpd", "message": "authentication failure"},
    ], [0]),
]  # fmt: skip


@pytest.mark.parametrize(("source", "detection", "table", "rows", "wanted"), CASES)
def test_log_sources_of_linux(
    source: str, detection: str, table: str, rows: list[dict[str, Any]], wanted: list[int], tmp_path: Path, store: EmbeddedStore
) -> None:  # fmt: skip
    rules = rule(tmp_path, source, detection)
    assert rules.faults == ()
    assert rules.notes == ()
    assert [one.table for one in rules.events] == [table]
    assert matched(rules, store, table, rows) == wanted


@pytest.mark.parametrize(
    ("source", "selection", "column", "said"),
    [
        (PROCESS, "{OriginalFileName: x}", 7, "OriginalFileName: table processes has no such field; "),
        (PROCESS, "{User: x, key: y}", 16, "key: table processes has no such field; "),
        (PROCESS, "{type: EXECVE}", 7, "type: table processes has no such field; "),
        (CONNECTION, "{Image: x, DestinationHostname: y}", 17, "DestinationHostname: table sockets has no such field; "),
        (CONNECTION, "{Initiated: maybe}", 18, "Initiated: no table holds maybe; known are true, false"),
        (CONNECTION, "{Initiated|cidr: 10.0.0.0/8}", 7, "Initiated: Initiated (a field of the log source) is no address column"),
        ("category: file_event, product: linux", "{TargetFileName: y}", 7, "TargetFileName: table files has no such field; did you mean TargetFilename?"),
        ("product: linux, service: vsftpd", "{User: y}", 0, "logsource: no table holds product: linux, service: vsftpd; `rules fields` lists"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_a_fault_at_its_place(
    source: str, selection: str, column: int, said: str, tmp_path: Path
) -> None:
    rules = rule(tmp_path, source, f"  s: {selection}\n  condition: s\n")
    (fault,) = rules.faults
    assert fault.message.startswith(said)
    assert fault.place == ((6, column) if column else (4, 1))


def test_a_correlation_counts_rules_of_one_table(tmp_path: Path) -> None:
    rule(tmp_path, "product: linux, service: auditd", "  k: [evil]\n  condition: k\n")
    (tmp_path / "s.yml").write_text(
        "title: C\nid: 0c9c3b7e-51a4-4b0c-8a0f-2f6f3c1e7d56\ncorrelation:\n  type: event_count\n  rules: [t]\n"
        "  timespan: 1m\n  condition: {gte: 2}\n"
    )
    (fault,) = load([tmp_path]).faults
    assert "t stands on several tables (processes, files, logins)" in fault.message


def test_a_correlation_groups_by_an_argument(tmp_path: Path, store: EmbeddedStore) -> None:
    rule(tmp_path, "product: linux, service: auditd", "  s: {a0: passwd}\n  condition: s\n")
    (tmp_path / "s.yml").write_text(
        "title: C\nid: 0c9c3b7e-51a4-4b0c-8a0f-2f6f3c1e7d56\ncorrelation:\n  type: event_count\n  rules: [t]\n"
        "  group-by: [a1]\n  timespan: 1m\n  condition: {gte: 2}\nexamples:\n"
        "  match: [[{event_action: exec, process_args: [passwd, lan], times: 2}]]\n"
        "  ignore: [[{event_action: exec, process_args: [passwd, lan]}, {event_action: exec, process_args: [passwd, hoa]}]]\n"
    )
    rules = load([tmp_path])
    assert rules.faults == ()
    (one,) = rules.correlations
    assert [column.name for column in one.bases[0].group_by] == ["process_args[2]"]

    def empty() -> EmbeddedStore:
        store.command("TRUNCATE TABLE processes")
        return store

    assert list(failures(one, empty, int(time.time()) * 1_000_000)) == []
