from __future__ import annotations

import io
import json
from pathlib import Path

import luytre_rules
import pytest
from luytre_collector.detect.commands import check_rules, list_rules
from luytre_collector.store.embedded import EmbeddedStore
from luytre_common.errors import UserError

RULE = """title: T
title_vi: Luật
id: 0c9c3b7e-51a4-4b0c-8a0f-2f6f3c1e7d55
tags: [attack.t1059]
logsource: {category: process_creation}
detection: {a: {CommandLine|contains: evil}, condition: a}
examples:
  match: [{event_action: exec, CommandLine: do evil}]
  ignore: [{event_action: exec, CommandLine: do good}]
"""


def rule(folder: Path, text: str) -> list[Path]:
    (folder / "r.yml").write_text(text)
    return [folder]


def test_check_says_all_is_well(tmp_path: Path) -> None:
    out = io.StringIO()
    assert check_rules(rule(tmp_path, RULE), out=out) == 0
    assert out.getvalue() == "1 rules in 1 files; 0 faults, 0 failed examples\n"


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("do evil", "do nothing", 1, "r.yml:1:1: T: examples: match 1 is not matched"),
        ("do good", "do no evil", 1, "r.yml:1:1: T: examples: ignore 1 is matched"),
        ("event_action: exec, CommandLine: do good", "Nothing: 1", 1, "Nothing: table processes has no such field"),
        ("event_action: exec, CommandLine: do good", "ProcessId: -1", 1, "process_pid: -1 is not a value"),
        ("CommandLine|contains", "CommandLin|contains", 2, "r.yml:6:17: CommandLin: table processes has no such field"),
    ],
)
def test_check_names_what_is_wrong(tmp_path: Path, old: str, new: str, code: int, said: str) -> None:
    out = io.StringIO()
    assert check_rules(rule(tmp_path, RULE.replace(old, new)), out=out) == code
    assert said in out.getvalue()
    out = io.StringIO()
    assert check_rules(rule(tmp_path, RULE.replace(old, new)), json=True, out=out) == code
    (fault,) = json.loads(out.getvalue())["faults"]
    assert said.split(": ", 1)[-1] in fault["message"]
    assert fault["line"] >= 1 <= fault["column"]


def test_no_rules_are_a_mistake(tmp_path: Path) -> None:
    empty, blank = tmp_path / "empty", tmp_path / "blank"
    empty.mkdir()
    blank.mkdir()
    (blank / "r.yml").write_text("# nothing yet\n")
    for command in (check_rules, list_rules):
        with pytest.raises(UserError, match=r"empty: no rules in this folder .*; give a file or folder") as told:
            command([luytre_rules.FOLDER / "network", empty])
        assert told.value.exit_code == 2
        with pytest.raises(UserError, match=r"blank: no rule in 1 files; give"):
            command([blank])


def test_check_runs_correlations_where_it_has_a_store(store: EmbeddedStore) -> None:
    out = io.StringIO()
    folder = [luytre_rules.FOLDER / "correlation", luytre_rules.FOLDER / "network"]

    def scratch() -> EmbeddedStore:
        for table in ("flows", "dns"):
            store.command(f"TRUNCATE TABLE {table}")
        return store

    assert check_rules(folder, scratch=scratch, out=out) == 0
    assert "not run" not in out.getvalue()


def test_check_says_what_it_did_not_run() -> None:
    out = io.StringIO()
    assert check_rules([luytre_rules.FOLDER], out=out) == 0
    assert "4 not run, they need the embedded store" in out.getvalue()


def test_list_shows_both_languages_and_json(tmp_path: Path) -> None:
    out = io.StringIO()
    assert list_rules(rule(tmp_path, RULE), out=out) == 0
    assert "medium" in out.getvalue()
    assert "Luật" in out.getvalue()
    out = io.StringIO()
    list_rules([tmp_path], json=True, out=out)
    (one,) = json.loads(out.getvalue())["rules"]
    assert (one["title_vi"], one["techniques"], one["table"]) == ("Luật", ["T1059"], "processes")


AUDIT = RULE.replace("category: process_creation", "product: linux, service: auditd").replace(
    "{a: {CommandLine|contains: evil}, condition: a}",
    "{a: {type: EXECVE, a1: evil}, b: {type: PATH, name: /evil}, c: {type: TTY}, condition: 1 of *}",
)


@pytest.mark.parametrize(
    ("match", "ignore", "code", "said"),
    [
        ("{table: processes, event_action: exec, process_args: [do, evil]}", "{table: files, file_path: /evil}", 0, ""),
        ("{table: files, event_action: created, name: /evil}", "{event_action: exec}", 0, ""),
        ("{table: files, event_action: created, name: /good}", "{event_action: exec}", 1, "match 1 is not matched"),
        ("{table: processes, a1: evil}", "{event_action: exec}", 1, "a1: is computed; give process_args"),
    ],
)
def test_a_rule_on_several_tables_is_one_rule(tmp_path: Path, match: str, ignore: str, code: int, said: str) -> None:
    text = AUDIT.replace("{event_action: exec, CommandLine: do evil}", match)
    out = io.StringIO()
    paths = rule(tmp_path, text.replace("{event_action: exec, CommandLine: do good}", ignore))
    assert check_rules(paths, out=out) == code
    assert out.getvalue().startswith(f"{tmp_path}/r.yml:") if said else "0 failed" in out.getvalue()
    assert said in out.getvalue()
    assert "\n1 rules in 1 files; 0 faults" in out.getvalue()
    assert "r.yml:6:82: note: type: no table holds TTY; known are SYSCALL" in out.getvalue()


def test_what_never_matches_is_listed_too(tmp_path: Path) -> None:
    out = io.StringIO()
    assert list_rules(rule(tmp_path, AUDIT), out=out) == 0
    assert out.getvalue().count("medium") == 1
    assert ": note: type: no table holds TTY" in out.getvalue()
    for command in (list_rules, check_rules):
        out = io.StringIO()
        command([tmp_path], json=True, out=out)
        told = json.loads(out.getvalue())
        assert [note["column"] for note in told["notes"]] == [82]
    out = io.StringIO()
    list_rules([tmp_path], json=True, out=out)
    (one,) = json.loads(out.getvalue())["rules"]
    assert one["tables"] == ["processes", "files"]


def test_list_of_a_faulty_folder(tmp_path: Path) -> None:
    out = io.StringIO()
    assert list_rules(rule(tmp_path, "a: [\n"), out=out) == 2
    assert "not YAML" in out.getvalue()
