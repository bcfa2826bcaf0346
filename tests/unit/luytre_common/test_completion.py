"""The scripts in the shells themselves, where they are installed."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

import pytest
from luytre_common.completion import SHELLS, describe, script


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="a-program")
    commands = top.add_subparsers(dest="command")
    run = commands.add_parser("run", help="it's $(date) `date`: [all] of \\ it")
    run.add_argument("--config", metavar="FILE", help="default: %(default)s")
    run.add_argument("--level", choices=["low", "high"])
    run.add_argument("-v", "--verbose", action="store_true")
    keys = commands.add_parser("keys").add_subparsers(dest="action")
    made = keys.add_parser("make", help="a key")
    made.add_argument("--dir", metavar="DIR")
    made.add_argument("--days", type=int)
    keys.add_parser("run").add_argument("paths", nargs="*", metavar="PATH")
    commands.add_parser("say").add_argument("what", choices=["yes", "no"])
    return top


def ask(text: str, *typed: str, cwd: Path) -> list[str]:
    words = " ".join(f"'{word}'" for word in ("a-program", *typed))
    asked = f'COMP_WORDS=({words}); COMP_CWORD={len(typed)}; _a_program; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-uc", text + asked], capture_output=True, text=True, check=True, cwd=cwd)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (["r"], ["run"]),
        ([""], ["run", "keys", "say"]),
        (["-"], ["--help"]),
        (["run", "--"], ["--help", "--config", "--level", "--verbose"]),
        (["run", "--level", ""], ["low", "high"]),
        (["run", "--level", "=", "h"], ["high"]),
        (["run", "--level", "="], ["low", "high"]),
        (["run", ""], [""]),
        (["run", "--verbose", "--le"], ["--level"]),
        (["keys", ""], ["make", "run"]),
        (["keys", "run", "--"], ["--help"]),  # not those of the other `run`
        (["keys", "make", "--d"], ["--dir", "--days"]),
        (["keys", "make", "--days", ""], [""]),
        (["say", ""], ["yes", "no"]),
        (["say", "y"], ["yes"]),
        (["run", "--config", "t"], ["two words.toml", "tree"]),
        (["keys", "make", "--dir", "t"], ["tree"]),
        (["keys", "run", "two"], ["two words.toml"]),
        (["unknown", "x"], [""]),
    ],
)
def test_bash(parser: argparse.ArgumentParser, typed: list[str], answer: list[str], tmp_path: Path) -> None:
    (tmp_path / "two words.toml").touch()
    (tmp_path / "tree").mkdir()
    assert sorted(ask(script("bash", parser), *typed, cwd=tmp_path)) == sorted(answer)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_reads_its_script(parser: argparse.ArgumentParser, shell: str) -> None:
    text = script(shell, parser)
    for word in ("run", "keys", "make", "say", "verbose", "yes"):
        assert word in text
    assert not set("$`").intersection("".join(line for line in text.splitlines() if "date" in line).split("it s")[-1])
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_tree(parser: argparse.ArgumentParser) -> None:
    top = describe(parser)
    assert [one.at for one in top.walk()] == ["", " run", " keys", " keys make", " keys run", " say"]
    run = top.commands[0]
    assert run.meaning == "it s (date) date all of it"
    assert [(one.flag, one.value.kind if one.value else None) for one in run.options] == [
        ("--help", None),
        ("--config", "file"),
        ("--level", "words"),
        ("--verbose", None),
    ]
