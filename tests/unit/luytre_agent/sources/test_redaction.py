from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from luytre_agent.sources import redaction
from luytre_agent.sources.redaction import Config
from luytre_common import settings
from luytre_common.errors import ConfigError


@pytest.fixture(autouse=True)
def standard() -> Iterator[None]:
    yield
    redaction.apply(Config())


def test_secrets_go_and_the_rest_stays() -> None:
    redaction.apply(Config())
    before = {sample.name: sample.value for sample in redaction.samples()}
    line = "sudo: an : COMMAND=/usr/bin/mysql -phunter2 --host db; TOKEN=hunter2"
    assert redaction.redact(line) == "sudo: an : COMMAND=/usr/bin/mysql -p[redacted] --host db; TOKEN=[redacted]"
    assert redaction.redact("ls -la /etc/passwd") == "ls -la /etc/passwd"
    redaction.apply(Config(patterns=["x"]))  # counters go on
    after = {sample.name: sample.value for sample in redaction.samples()}
    assert {name: after[name] - before[name] for name in after} == {"texts": 2, "found": 1}


def test_it_can_be_switched_off_and_taught() -> None:
    redaction.apply(Config(enabled=False))
    assert redaction.redact("TOKEN=hunter2") == "TOKEN=hunter2"
    redaction.apply(Config(patterns=["ticket-([0-9]+)"]))
    assert redaction.redact("ticket-77") == "ticket-[redacted]"


def test_a_pattern_that_is_none_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "redact.toml"
    path.write_text('patterns = ["("]')
    with pytest.raises(ConfigError, match=r"patterns: .* has a fault: .* is not a pattern"):
        settings.load(Config, path)
