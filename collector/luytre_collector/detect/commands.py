"""What `rules list` and `rules check` do. They print, and return the exit code."""

from __future__ import annotations

import json as json_module
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from luytre_common.errors import EXIT_FAILURE, EXIT_OK, EXIT_USAGE, UserError

from luytre_collector.detect.examples import MakeScratch, failures
from luytre_collector.detect.model import CorrelationRule, EventRule, Fault, Place, Rule, RuleSet
from luytre_collector.detect.rules import load, rule_files


def list_rules(paths: Sequence[Path], *, json: bool = False, out: TextIO | None = None) -> int:
    """Print every rule that loads, and every fault. 0, or 2 if there are faults."""
    out = out or sys.stdout
    ruleset = _loaded(paths)
    rules = _all(ruleset)
    if json:
        _print_json(
            out,
            {
                "rules": [_described(rule, rules) for rule in _heads(rules)],
                "faults": [_fault(one) for one in ruleset.faults],
                "notes": [_fault(one) for one in ruleset.notes],
            },
        )
    else:
        for rule in _heads(rules):
            alone = "" if not isinstance(rule, EventRule) or rule.alerts else " (counted by correlations)"
            techniques = " ".join(rule.head.techniques)
            out.write(f"{rule.head.level:13} {rule.kind:11} {rule.head.title}{alone}  {techniques}\n")
            if rule.head.title_vi != rule.head.title:
                out.write(f"{'':25} {rule.head.title_vi}\n")
        out.write(f"{len(ruleset)} rules in {ruleset.files} files\n")
        out.writelines(f"{fault}\n" for fault in ruleset.faults)
        out.writelines(f"{_note(one)}\n" for one in ruleset.notes)
    return EXIT_USAGE if ruleset.faults else EXIT_OK


def check_rules(
    paths: Sequence[Path],
    *,
    json: bool = False,
    scratch: MakeScratch | None = None,
    out: TextIO | None = None,
    clock: Callable[[], float] = time.time,
) -> int:
    """Load the rules and run their examples.

    scratch: gives an empty store for the examples of correlations and queries; None leaves them out, and says so.
    0 when all is well, 1 when an example does not hold, 2 when a rule does not load.
    """
    out = out or sys.stdout
    ruleset = _loaded(paths)
    rules = _all(ruleset)
    now_us = int(clock() * 1_000_000)
    wrong = [
        Fault(rule.head.path, Place(rule.head.line), f"{rule.head.title}: {text}")
        for rule in rules
        for text in failures(rule, scratch, now_us)
    ]
    skipped = sum(1 for rule in rules if scratch is None and not isinstance(rule, EventRule))
    bare = sum(1 for rule in _heads(rules) if not (rule.examples.match and rule.examples.ignore))
    faults = [*ruleset.faults, *wrong]
    if json:
        summary: dict[str, Any] = {
            "rules": len(ruleset),
            "files": ruleset.files,
            "not_run": skipped,
            "without_examples": bare,
        }
        notes = [_fault(one) for one in ruleset.notes]
        _print_json(out, {**summary, "faults": [_fault(one) for one in faults], "notes": notes})
    else:
        out.writelines(f"{fault}\n" for fault in faults)
        out.writelines(f"{_note(one)}\n" for one in ruleset.notes)
        out.write(
            f"{len(ruleset)} rules in {ruleset.files} files; {len(ruleset.faults)} faults, {len(wrong)} failed examples"
        )
        out.write(f"; {bare} without examples" if bare else "")
        out.write(f"; {skipped} not run, they need the embedded store" if skipped else "")
        out.write("\n")
    return EXIT_USAGE if ruleset.faults else EXIT_FAILURE if wrong else EXIT_OK


def _loaded(paths: Sequence[Path]) -> RuleSet:
    """The rules in `paths`. UserError if there are none: who asks about rules means some."""
    for path in paths:
        if not any(rule_files([path])):
            raise UserError(f"{path}: no rules in this folder (*.yml, *.yaml); give a file or folder of rules")
    ruleset = load(paths)
    if not ruleset and not ruleset.faults:
        raise UserError(
            f"{', '.join(map(str, paths))}: no rule in {ruleset.files} files; give a file or folder of rules"
        )
    return ruleset


def _all(ruleset: RuleSet) -> list[Rule]:
    return [*ruleset.events, *ruleset.correlations, *ruleset.queries]


def _heads(rules: Sequence[Rule]) -> list[Rule]:
    """Each rule once, also those that stand on several tables."""
    return list({rule.head.id: rule for rule in reversed(rules)}.values())[::-1]


def _print_json(out: TextIO, value: Any) -> None:
    out.write(json_module.dumps(value, ensure_ascii=False, indent=2) + "\n")


def _fault(fault: Fault) -> dict[str, Any]:
    return {"file": str(fault.path), "line": fault.place.line, "column": fault.place.column, "message": fault.message}


def _note(note: Fault) -> Fault:
    """A note as people see it: it is no fault, and changes no exit code."""
    return replace(note, message=f"note: {note.message}")


def _described(rule: Rule, every: Sequence[Rule]) -> dict[str, Any]:
    head = rule.head
    described: dict[str, Any] = {
        "id": head.id,
        "kind": rule.kind,
        "title": head.title,
        "title_vi": head.title_vi,
        "level": head.level,
        "status": head.status,
        "techniques": list(head.techniques),
        "tactics": list(head.tactics),
        "file": str(head.path),
        "line": head.line,
    }
    if isinstance(rule, EventRule):
        tables = [one.table for one in every if isinstance(one, EventRule) and one.head is head]
        described |= {"table": rule.table, "tables": tables, "alerts": rule.alerts}
    if isinstance(rule, CorrelationRule):
        described["rules"] = [base.rule.head.id for base in rule.bases]
    return described
