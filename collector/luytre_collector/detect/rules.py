"""Rule files to rules.

One bad rule is one bad rule: its faults are collected with file, place and remedy, and every other rule loads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from luytre_common.errors import UserError

from luytre_collector.detect.correlationfile import correlation_rules
from luytre_collector.detect.eventrule import event_rules
from luytre_collector.detect.model import EventRule, Fault, QueryRule, Rule, RuleSet
from luytre_collector.detect.queryfile import query_rule
from luytre_collector.detect.yamlfile import Document, YamlError, read


def load(paths: Sequence[Path]) -> RuleSet:
    """Load the rules in files and folders (`*.yml`, `*.yaml`, at any depth). UserError if a path does not exist."""
    faults: list[Fault] = []
    notes: list[Fault] = []
    documents: list[Document] = []
    files = 0
    for path in rule_files(paths):
        files += 1
        try:
            documents.extend(read(path))
        except YamlError as fault:
            faults.append(Fault(path, fault.place, str(fault)))
    seen: dict[str, Document] = {}
    events: list[EventRule] = []
    queries: list[QueryRule] = []
    later: list[Document] = []
    for document in documents:
        before = len(faults)
        _check_unique(document, seen, faults)
        if len(faults) > before:
            continue
        if "correlation" in document.data:
            later.append(document)
        elif "query" in document.data:
            if (made := query_rule(document, faults)) is not None:
                queries.append(made)
        else:
            events.extend(event_rules(document, faults, notes))
    correlations, quiet = correlation_rules(later, events, faults)
    events = [replace(rule, alerts=rule.head.id not in quiet) for rule in events]
    every: list[Rule] = [*events, *correlations, *queries]
    by_id = {rule.head.id: rule for rule in every}
    return RuleSet(tuple(events), correlations, tuple(queries), _sorted(faults), files, by_id, _sorted(notes))


def _sorted(faults: list[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(set(faults), key=lambda fault: (str(fault.path), fault.place)))


def rule_files(paths: Sequence[Path]) -> Iterator[Path]:
    """The rule files in files and folders. UserError if a path does not exist."""
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.suffix in (".yml", ".yaml") and one.is_file())
        elif path.is_file():
            yield path
        else:
            raise UserError(f"{path}: no such file or folder of rules; give an existing one")


def _check_unique(document: Document, seen: dict[str, Document], faults: list[Fault]) -> None:
    for key in ("id", "name"):
        value = document.data.get(key)
        if isinstance(value, str) and value:
            other = seen.setdefault(value, document)
            if other is not document:
                where = f"{other.path}:{other.line}"
                faults.append(
                    Fault(
                        document.path,
                        document.place_of(key),
                        f'{key}: "{value}" is already taken by {where}; change one',
                    )
                )
