"""Every command says by example how it is called, and every example can be typed as it stands."""

from __future__ import annotations

import argparse
import re
import shlex
from itertools import takewhile

import pytest
from luytre_collector.__main__ import parser
from luytre_collector.commands.examples import EXAMPLES, give, leaves

COMMANDS = dict(leaves(parser()))


def typed(epilog: str) -> list[list[str]]:
    """The words after the program's name, of every example: without what it is about, pipes and redirections."""
    lines = [line.strip().removeprefix("example: ") for line in epilog.splitlines()]
    return [words(line) for line in lines if line.startswith("luytre-collector ")]


def words(line: str) -> list[str]:
    lexer = shlex.shlex(re.split(r" {2,}", line)[0], posix=True, punctuation_chars="|<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    return list(takewhile(lambda word: not set(word) <= set("|<>"), lexer))[1:]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_it_takes(name: str) -> None:
    examples = typed(COMMANDS[name].epilog or "")
    assert any(" ".join(one).startswith(name) for one in examples), "no example"
    for one in examples:
        parser().parse_args(one)  # SystemExit if it is none


def test_what_the_first_page_shows_can_be_typed() -> None:
    examples = typed(parser().epilog or "")
    assert len(examples) > 8
    for one in examples:
        parser().parse_args(one)


def test_no_example_is_of_a_command_that_is_not_there() -> None:
    assert set(EXAMPLES) <= set(COMMANDS)


def test_who_has_examples_keeps_them() -> None:
    top = argparse.ArgumentParser()
    commands = top.add_subparsers()
    run = commands.add_parser("run", epilog="example: mine")
    check = commands.add_parser("check")
    unknown = commands.add_parser("unknown")
    give(top)
    assert (run.epilog, unknown.epilog) == ("example: mine", None)
    assert check.epilog == f"examples:\n  {EXAMPLES['check']}"
