# ruff: noqa: E501
"""Rules for auditd, as people write them, over rows as our agent makes them: in every engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from luytre_collector.detect.model import RuleSet
from luytre_collector.detect.rules import load
from luytre_collector.store.embedded import EmbeddedStore

from tests.support.engines import matched

HEAD = "title: T\nid: 0c9c3b7e-51a4-4b0c-8a0f-2f6f3c1e7d55\nlogsource: {product: linux, service: auditd}\ndetection:\n"


def rule(folder: Path, detection: str) -> RuleSet:
    (folder / "r.yml").write_text(HEAD + detection)
    return load([folder])


def ran(*args: str, executable: str = "", **more: Any) -> dict[str, Any]:
    """A row of `processes` for one exec."""
    return {
        "event_action": "exec",
        "process_executable": executable or f"/usr/bin/{args[0].rpartition('/')[2]}",
        "process_name": args[0].rpartition("/")[2][:15],
        "process_args": list(args),
        "process_command_line": " ".join(args),
        **more,
    }


def changed(action: str, path: str, **more: Any) -> dict[str, Any]:
    return {"event_action": action, "file_path": path, **more}


CASES: list[tuple[str, str, list[dict[str, Any]], list[int]]] = [
    (
        "  s: {type: EXECVE, a0: chmod, a1|contains: '777'}\n  condition: s\n",
        "processes",
        [
            ran("chmod", "0777", "/x"), ran("chmod", "-R", "777"), ran("CHMOD", "777"), ran("sh", "chmod", "777"),
            ran("chmod"), {**ran("chmod", "777"), "event_action": "exit"}, {**ran("chmod", "777"), "event_action": "seed"},
        ],
        [0, 2],
    ),
    (
        "  s: {type: EXECVE, a0|endswith: /nc}\n  l: {a7: -e}\n  condition: s and l\n",
        "processes",
        [ran("/bin/nc", "1", "2", "3", "4", "5", "6", "-e"), ran("/bin/nc", "-e"), ran("/bin/nc", *"abcdefghi")],
        [0],
    ),
    ("  s: {type: EXECVE, a1|re: '^-[a-z]*x'}\n  condition: s\n", "processes", [ran("tar", "-cx"), ran("tar", "c", "-x"), ran("tar")], [0]),
    ("  s: {type: EXECVE, a0: id, a1: null}\n  condition: s\n", "processes", [ran("id"), ran("id", "-u"), ran("id", "")], [0, 2]),
    ("  s: {a0: id}\n  f: {a1|startswith: '-'}\n  condition: s and not f\n", "processes", [ran("id"), ran("id", "-u"), ran("id", "lan")], [0, 2]),
    (
        "  s: {type: SYSCALL, comm: insmod, exe: /usr/bin/kmod, success: 'yes'}\n  condition: s\n",
        "processes",
        [ran("insmod", "x.ko", executable="/usr/bin/kmod"), ran("lsmod", executable="/usr/bin/kmod")],
        [0],
    ),
    (
        "  s: {type: SYSCALL, SYSCALL: [execve, execveat], euid: 33}\n  condition: s\n",
        "processes",
        [ran("id", user_effective_id=33), ran("id", user_effective_id=0)],
        [0],
    ),
    ("  s: {type: SYSCALL, syscall: 59, uid: 0, auid: 1000}\n  condition: s\n", "processes", [ran("id", user_audit_id=1000), ran("id", user_id=5, user_audit_id=1000)], [0]),
    (
        "  a: {type: PROCTITLE, proctitle|contains: secret}\n  b: {type: CWD, cwd: /tmp}\n  condition: a and b\n",
        "processes",
        [ran("cat", "secret", process_working_directory="/tmp"), ran("cat", "secret", process_working_directory="/")],
        [0],
    ),
    ("  s: {type: PATH, name|contains: /.}\n  condition: s\n", "processes", [ran("x", executable="/tmp/.y/x"), ran("x")], [0]),
    (
        "  s: {type: PATH, name|contains: /.}\n  condition: s\n",
        "files",
        [changed(action, "/root/.profile") for action in ("created", "modified", "moved", "deleted", "attributes", "seen")],
        [0, 1, 2, 3, 4],
    ),
    (
        "  s: {type: PATH, nametype: CREATE, name|startswith: /etc/systemd/system/}\n  condition: s\n",
        "files",
        [changed(action, "/etc/systemd/system/x.service") for action in ("created", "modified", "moved", "deleted")],
        [0, 2],
    ),
    ("  s: {type: PATH, nametype: DELETE}\n  condition: s\n", "files", [changed("deleted", "/x"), changed("created", "/x")], [0]),
    ("  s: {type: USER_LOGIN, acct: root, res: failed, addr: 192.0.2.1}\n  condition: s\n", "logins", [
        {"event_action": "login", "event_outcome": outcome, "user_name": "root", "source_ip": "192.0.2.1"} for outcome in ("failure", "success", "")
    ], [0]),
    ("  s: {type: [ADD_USER, DEL_USER]}\n  condition: s\n", "logins", [{"event_action": action} for action in ("user_added", "user_removed", "group_added")], [0, 1]),
    ("  s: {type: USER_CMD, cmd|contains: shadow}\n  condition: s\n", "logins", [{"event_action": "sudo", "process_command_line": "/bin/cat /etc/shadow"}, {"event_action": "cron", "process_command_line": "/bin/cat /etc/shadow"}], [0]),
    ("  k: [evil]\n  condition: k\n", "processes", [ran("evil"), ran("good", process_parent_command_line="evil"), ran("x", process_working_directory="/EVIL")], [0, 2]),
    ("  k: [evil]\n  condition: k\n", "files", [changed("created", "/tmp/evil"), changed("created", "/x", process_command_line="evil")], [0]),
    ("  k: [evil]\n  condition: k\n", "logins", [{"message": "an evil line"}, {"user_name": "evil"}], [0]),
]  # fmt: skip


@pytest.mark.parametrize(("detection", "table", "rows", "wanted"), CASES)
def test_records(
    detection: str, table: str, rows: list[dict[str, Any]], wanted: list[int], tmp_path: Path, store: EmbeddedStore
) -> None:
    rules = rule(tmp_path, detection)
    assert rules.faults == ()
    assert matched(rules, store, table, rows) == wanted


def test_a_rule_stands_on_each_table_that_can_have_its_records(tmp_path: Path) -> None:
    files = "  files: {type: PATH, name: /etc/login.defs}\n"
    rules = rule(tmp_path, files + "  chage: {type: EXECVE, a0: chage, a1: [-l, --list]}\n  condition: 1 of *\n")
    assert [one.table for one in rules.events] == ["processes", "files"]
    assert len(rules) == 1
    assert len({one.head.id for one in rules.events}) == 1
    assert rules.notes == ()


def test_a_record_that_other_tables_have_is_absent_not_unknown(tmp_path: Path) -> None:
    rules = rule(tmp_path, "  s: {type: EXECVE, a0: x}\n  f: {nametype: DELETE}\n  condition: s and not f\n")
    assert [one.table for one in rules.events] == ["processes"]


@pytest.mark.parametrize(
    ("selection", "place", "said"),
    [
        ("{type: SERVICE_STOP, unit: ufw}", (5, 13), "type: no table holds SERVICE_STOP; known are SYSCALL, EXECVE, "),
        ("{type: SERVICE_STOP, unit: ufw}", (5, 27), "unit: is of SERVICE records"),
        ("{type: SYSCALL, exe: /usr/bin/nmap, key: connect}", (5, 42), "key: names a rule of an audit system, which nothing"),
        ("{type: SYSCALL, SYSCALL: mknod}", (5, 31), "SYSCALL: no table holds mknod; known are execve"),
        ("{type: SYSCALL, success: 'no'}", (5, 31), "success: no table holds no; known are yes"),
        ("{type: EXECVE, arch: c000003e}", (5, 21), "arch: tables processes, files, logins have no such field; "),
        ("{typ: EXECVE}", (5, 7), "typ: tables processes, files, logins have no such field; "),
        ("{type: EXECVE, a0|gte: 5}", (5, 21), "a0: process_args[1] (Element 0 of process_args) is text; gt"),
        ("{type|re: '('}", (5, 7), "type: not an RE2 pattern: missing )"),
    ],
)  # fmt: skip
def test_what_no_row_can_say_is_told(tmp_path: Path, selection: str, place: tuple[int, int], said: str) -> None:
    rules = rule(tmp_path, f"  s: {selection}\n  condition: s\n")
    assert len(rules) == 0
    assert [fault.place for fault in rules.faults if fault.message.startswith(said)] == [place], rules.faults


def test_a_part_that_never_matches_is_a_note(tmp_path: Path, store: EmbeddedStore) -> None:
    detection = "  files: {type: PATH, name: /etc/pam.d/sshd}\n  typed: {type: [TTY, USER_TTY]}\n  condition: 1 of *\n"
    rules = rule(tmp_path, detection)
    assert rules.faults == ()
    said = [(note.place.line, note.message.split(";")[0]) for note in rules.notes]
    assert said == [(6, "type: no table holds TTY"), (6, "type: no table holds USER_TTY")]
    assert [note.place.column for note in rules.notes] == [18, 23], "at the word, not at the field"
    assert matched(rules, store, "files", [changed("modified", "/etc/pam.d/sshd"), changed("modified", "/x")]) == [0]


def test_any_log_of_linux(tmp_path: Path, store: EmbeddedStore) -> None:
    (tmp_path / "r.yml").write_text(
        HEAD.replace(", service: auditd", "") + "  k: ['attempt to execute code on stack']\n  condition: k\n"
    )
    rules = load([tmp_path])
    assert rules.faults == ()
    line = "attempt to execute code on stack by main"
    assert matched(rules, store, "logins", [{"message": line}, {"message": "x"}]) == [0]
    assert matched(rules, store, "processes", [ran("logger", line), ran("logger", "x")]) == [0]
