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


def test_list_of_a_faulty_folder(tmp_path: Path) -> None:
    out = io.StringIO()
    assert list_rules(rule(tmp_path, "a: [\n"), out=out) == 2
    assert "not YAML" in out.getvalue()
