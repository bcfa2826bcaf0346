from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from luytre_collector import config as configuration
from luytre_collector.config import Config
from luytre_collector.detect import rules
from luytre_collector.detect.model import RuleSet
from luytre_collector.detect.stream import Matcher
from luytre_collector.reload import Reload, reread
from luytre_common import settings
from luytre_common.errors import ConfigError, UserError
from luytre_common.telemetry import Counters

RULE = """
title: Rule {number}
id: 00000000-0000-4000-8000-00000000000{number}
status: test
level: high
description: {word} runs.
logsource:
  product: linux
  category: process_creation
detection:
  selection:
    CommandLine|contains: {word}
  condition: selection
"""


def write(folder: Path, number: int, word: str) -> Path:
    path = folder / f"rule{number}.yml"
    path.write_text(RULE.format(number=number, word=word))
    return path


class Parts:
    def __init__(self) -> None:
        self.matcher: Matcher | None = None
        self.followed: list[RuleSet] = []

    def swap(self, matcher: Matcher) -> None:
        self.matcher = matcher

    def follow(self, ruleset: RuleSet) -> None:
        self.followed.append(ruleset)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "rules"
    made.mkdir()
    write(made, 1, "evil")
    return made


@pytest.fixture
def config(tmp_path: Path, folder: Path) -> Config:
    identity = {name: str(tmp_path / name) for name in ("authority", "certificate", "key")}
    tables = {"ingest": {"listen": "127.0.0.1:0", "tls": identity}, "detect": {"rules": [str(folder)]}}
    return settings.build(configuration.Config, tables)


def make(config: Config, folder: Path, parts: Parts, counters: Counters, new: Config | None = None) -> Reload:
    return Reload(
        config,
        rules.load([folder]),
        lambda: new or config,
        lambda ruleset: Matcher(ruleset, lambda: 0.0),
        parts.swap,
        [parts],
        counters,
    )


def test_new_rules_take_the_place_of_the_old(config: Config, folder: Path) -> None:
    parts, counters = Parts(), Counters("service")
    reload = make(config, folder, parts, counters)
    write(folder, 2, "odd")
    assert reload.run() == "2 rules"
    assert parts.matcher is not None
    assert [len(one) for one in parts.followed] == [2]
    (folder / "rule1.yml").unlink()
    assert reload.run() == "1 rules"
    assert counters.get("reloads") == 2


def test_a_broken_file_keeps_every_old_rule_and_says_so(
    config: Config, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts, counters = Parts(), Counters("service")
    reload = make(config, folder, parts, counters)
    write(folder, 2, "odd")
    (folder / "rule3.yml").write_text("title: [")
    said = reload.run()
    assert said.startswith(f"reload refused: {folder}/rule3.yml:")
    assert said.endswith("1 rules as before")
    assert "configuration and rules stay as they were" in caplog.text
    assert parts.matcher is None
    assert parts.followed == []
    assert counters.get("reloads_refused") == 1
    (folder / "rule3.yml").unlink()
    assert reload.run() == "2 rules"


def test_what_was_broken_at_the_start_may_stay_so(config: Config, folder: Path) -> None:
    (folder / "rule3.yml").write_text("title: [")
    reload = make(config, folder, Parts(), Counters("service"))
    write(folder, 2, "odd")
    assert reload.run() == "2 rules"


@pytest.mark.parametrize("what", ["empty", "gone"])
def test_no_rules_at_all_are_a_mistake(what: str, folder: Path) -> None:
    before = rules.load([folder])
    (folder / "rule1.yml").unlink()
    if what == "gone":
        folder.rmdir()
    with pytest.raises(UserError, match="rule"):
        reread([folder], before)


def test_new_faults_are_all_named(folder: Path) -> None:
    before = rules.load([folder])
    for number in (2, 3):
        (folder / f"rule{number}.yml").write_text("title: [")
    with pytest.raises(ConfigError) as caught:
        reread([folder], before)
    assert len(caught.value.faults) == 2


def test_what_cannot_change_while_running_is_named(
    config: Config, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write(other, 5, "odd")
    new = replace(
        config,
        detect=replace(config.detect, rules=[other]),
        collector=replace(config.collector, log_level="debug"),
        disk=replace(config.disk, full_within_days=3),
    )
    reload = make(config, folder, Parts(), Counters("service"), new)
    caplog.set_level("INFO")
    assert reload.run() == "1 rules"
    assert reload.ruleset.events[0].head.title == "Rule 5"
    assert reload.config.collector.log_level == "debug"
    assert reload.config.disk == config.disk


def test_whatever_goes_wrong_the_old_rules_go_on(config: Config, folder: Path) -> None:
    counters, parts = Counters("service"), Parts()
    reload = make(config, folder, parts, counters)

    def broken(ruleset: RuleSet) -> Matcher:
        raise RuntimeError("no memory for the literals")

    reload._match = broken
    assert "RuntimeError: no memory for the literals" in reload.run()
    assert counters.get("reloads_refused") == 1
    assert parts.followed == []
