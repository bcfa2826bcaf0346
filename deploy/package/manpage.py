"""A manual page from the tree of argparse parsers: one per program, every command with its options and examples."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator


def page(parser: argparse.ArgumentParser, version: str, date: str, summary: str, files: dict[str, str]) -> str:
    """The page in section 1, as roff. `date` is `2026-11-30`; `files` what is where."""
    name = parser.prog
    lines = [
        f'.TH "{_text(name.upper())}" "1" "{date}" "{_text(name)} {version}" "Luy Tre"',
        ".nh",
        ".ad l",
        ".SH NAME",
        f"{_text(name)} \\- {_text(summary)}",
        ".SH SYNOPSIS",
        f".B {_text(name)}",
        "[\\fIoptions\\fR] \\fICOMMAND\\fR ...",
        ".SH DESCRIPTION",
        _text(parser.description or summary),
        ".SH OPTIONS",
        *_options(parser),
        ".SH COMMANDS",
    ]
    for path, one, meaning in _commands(parser, ()):
        lines += [f'.SS "{_text(name)} {_text(" ".join(path))}"', _text(_sentence(one.description or meaning))]
        lines += _options(one)
        lines += _examples(one.epilog or "")
    lines += _epilog(parser.epilog or "")
    lines.append(".SH FILES")
    for path, meaning in files.items():
        lines += [".TP", f".I {_text(path)}", _text(meaning)]
    return "\n".join(lines) + "\n"


def _commands(
    parser: argparse.ArgumentParser, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser, str]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            meanings = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, one in action.choices.items():
                if any(isinstance(inner, argparse._SubParsersAction) for inner in one._actions):
                    yield from _commands(one, (*path, name))
                else:
                    yield (*path, name), one, meanings.get(name, "")


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) or action.help == argparse.SUPPRESS:
            continue
        metavar = action.metavar if isinstance(action.metavar, str) else (action.dest or "").upper()
        if action.choices:
            metavar = "|".join(map(str, action.choices))
        follows = "" if action.nargs == 0 else f" \\fI{_text(metavar)}\\fR"
        if action.option_strings:
            head = ", ".join(f"\\fB{_text(flag)}\\fR{follows}" for flag in action.option_strings)
        else:
            head = follows.strip()
        meaning = action.help or ""
        if "%(" in meaning or "%%" in meaning:
            meaning = meaning % (vars(action) | {"prog": parser.prog})
        yield from (".TP", head, _text(meaning) or "\\&")


def _examples(epilog: str) -> list[str]:
    """The lines below `examples:` (or after `example:`) as they stand."""
    if not epilog:
        return []
    return [".PP", *_verbatim(epilog)]


def _epilog(epilog: str) -> list[str]:
    lines = []
    for part in re.split(r"\n\s*\n", epilog.strip()):
        title, _, rest = part.partition(":")
        lines.append(f".SH {_text(title.upper())}")
        lines += _verbatim(rest.strip("\n")) if "\n" in rest.strip() else [_text(rest.strip())]
    return lines


def _verbatim(text: str) -> list[str]:
    return [".nf", *(_text(line) for line in text.strip("\n").splitlines()), ".fi"]


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text.endswith(".") else text[0].upper() + text[1:] + "."


def _text(text: str) -> str:
    """Text that roff shows as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in text.splitlines())
