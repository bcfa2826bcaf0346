from __future__ import annotations

import pytest
from luytre_agent import _core
from luytre_agent.sources.logs.sudo import Continued

FIRST = "lan : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/"


@pytest.mark.parametrize(
    ("first", "rest", "wanted"),
    [
        ("mysql --user lan --password", "hunter2 -h db", "[redacted] -h db"),
        ("mysql --user lan", "-phunter2 -h db", "-p[redacted] -h db"),
        ("tool --name x", "--name y", "--name y"),
        ("curl -u", "lan:hunter2 https://db/", "lan:[redacted] https://db/"),
        ("sh -c 'tool --password", "hunter2' x", "[redacted]' x"),
    ],
)
def test_what_is_continued_is_known_by_what_was_before(first: str, rest: str, wanted: str) -> None:
    lines = Continued(_core.redact)
    assert lines.clean(7, FIRST + first) == FIRST + first
    assert lines.clean(7, f"lan : (command continued) {rest}") == f"lan : (command continued) {wanted}"


def test_a_value_goes_on() -> None:
    lines = Continued(_core.redact)
    assert "two" not in lines.clean(7, FIRST + "env TOKEN='two")
    assert lines.clean(7, "lan : (command continued) hunter2' x") == "lan : (command continued) x"


def test_what_cannot_be_told_apart_is_left_out() -> None:
    lines = Continued(_core.redact)
    lines.clean(7, FIRST + "curl -H Authorization: Digest")
    assert lines.clean(7, "lan : (command continued) hunter2 x") == "lan : (command continued) [redacted]"


def test_a_third_line_still_knows_the_first() -> None:
    lines = Continued(_core.redact)
    lines.clean(7, FIRST + "mysql -v")
    assert lines.clean(7, "lan : (command continued) --user lan") == "lan : (command continued) --user lan"
    assert lines.clean(7, "lan : (command continued) -phunter2") == "lan : (command continued) -p[redacted]"


def test_without_its_beginning_a_line_is_left_out() -> None:
    lines = Continued(_core.redact)
    lone = "lan : (command continued) hunter2"
    assert lines.clean(7, lone) == "lan : (command continued) [redacted]"
    lines.clean(7, FIRST + "tool --password")
    assert lines.clean(8, lone) == "lan : (command continued) [redacted]", "of another process"
    lines.clean(7, FIRST + "tool " + "x" * 70_000)
    assert lines.clean(7, lone) == "lan : (command continued) [redacted]", "memory is bounded"
