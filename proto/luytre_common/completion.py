"""Completion scripts for bash, zsh and fish, made from the tree of argparse parsers itself: never out of date.

What follows an option or stands alone is a file if its metavar is FILE or PATH, a folder if it is DIR.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_KINDS = {"FILE": "file", "PATH": "file", "DIR": "folder"}


@dataclass(frozen=True)
class Value:
    """What a person types there: `words` to choose from, or a `kind`: file, folder, other (nobody can guess)."""

    kind: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Option:
    """One option by its longest flag; `value` is None if none follows."""

    flag: str
    meaning: str
    value: Value | None


@dataclass(frozen=True)
class Command:
    """A command at `path` below the program, the program itself at the empty path."""

    path: tuple[str, ...]
    meaning: str
    options: tuple[Option, ...]
    commands: tuple[Command, ...]
    value: Value | None

    @property
    def at(self) -> str:
        """The path as the scripts build it: each word after a space."""
        return "".join(f" {word}" for word in self.path)

    def walk(self) -> Iterator[Command]:
        """Itself and everything below."""
        yield self
        for command in self.commands:
            yield from command.walk()


def describe(parser: argparse.ArgumentParser, path: tuple[str, ...] = (), meaning: str = "") -> Command:
    """What can be typed after `parser`'s command."""
    options, commands, value = [], [], None
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            meanings = {choice.dest: choice.help or "" for choice in action._choices_actions}
            commands += [describe(one, (*path, name), meanings.get(name, "")) for name, one in action.choices.items()]
        elif action.option_strings:
            follows = None if action.nargs == 0 else _value(action)
            options.append(Option(max(action.option_strings, key=len), _plain(action.help or ""), follows))
        else:
            value = value or _value(action)
    return Command(path, _plain(meaning), tuple(options), tuple(commands), value)


def _value(action: argparse.Action) -> Value:
    if action.choices:
        return Value("words", tuple(map(str, action.choices)))
    return Value(_KINDS.get(str(action.metavar), "other"))


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """The script for one of `SHELLS`."""
    return SHELLS[shell](parser.prog, describe(parser))


def _bash(program: str, top: Command) -> str:
    function = _function(program)
    return f"""{function}() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} at='' index words='' files=''
  [ "$previous" = = ] && previous=${{COMP_WORDS[COMP_CWORD-2]}}
  [ "$current" = = ] && previous=${{COMP_WORDS[COMP_CWORD-1]}} current=''
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "$at ${{COMP_WORDS[index]}}" in
      {_paths(top)}) at="$at ${{COMP_WORDS[index]}}" ;;
    esac
  done
  case "$at $previous" in
{_cases(top, _bash_value)}
    *) case "$at $current" in
{_bash_here(top)}
    esac ;;
  esac
  COMPREPLY=()
  local IFS=$'\\n'
  if [ -n "$files" ]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen "$files" -- "$current"))
  else
    COMPREPLY=($(compgen -W "${{words// /$IFS}}" -- "$current"))
  fi
}}
complete -F {function} {program}
"""


def _bash_value(value: Value | None) -> str:
    if value is None or value.kind == "other":
        return ":"
    return f"words='{' '.join(value.words)}'" if value.words else f"files=-{'f' if value.kind == 'file' else 'd'}"


def _bash_here(top: Command) -> str:
    lines = []
    for command in sorted(top.walk(), key=lambda one: -len(one.path)):  # ' pki '* would take ' pki issue '* as well
        lines.append(f"      '{command.at} '-*) words='{' '.join(one.flag for one in command.options)}' ;;")
        names = Value("words", tuple(one.path[-1] for one in command.commands))
        lines.append(f"      '{command.at} '*) {_bash_value(names if command.commands else command.value)} ;;")
    return "\n".join(lines)


def _zsh(program: str, top: Command) -> str:
    function = _function(program)
    here = []
    for command in top.walk():
        options = " ".join(f"'{one.flag}:{one.meaning}'" for one in command.options)
        names = " ".join(f"'{one.path[-1]}:{one.meaning}'" for one in command.commands)
        rest = f"list=({names}); _describe command list" if names else _zsh_value(command.value)
        here.append(f"    '{command.at}') if [[ $words[CURRENT] == -* ]]; then list=({options}); _describe option list")
        here.append(f"      else {rest}; fi ;;")
    return f"""#compdef {program}
{function}() {{
  local at='' index
  local -a list
  for ((index = 2; index < CURRENT; index++)); do
    case "$at $words[index]" in
      {_paths(top)}) at="$at $words[index]" ;;
    esac
  done
  case "$at $words[CURRENT-1]" in
{_cases(top, _zsh_value, end="; return")}
  esac
  case "$at" in
{chr(10).join(here)}
  esac
}}
if [ "$funcstack[1]" = {function} ]; then {function} "$@"; else compdef {function} {program}; fi
"""


def _zsh_value(value: Value | None) -> str:
    if value is None or value.kind == "other":
        return ":"
    return f"compadd -- {' '.join(value.words)}" if value.words else "_files" + (" -/" * (value.kind == "folder"))


def _fish(program: str, top: Command) -> str:
    lines = []
    groups = " ".join(one.path[-1] for one in top.commands if one.commands)
    for command in top.walk():
        seen = [f"__fish_seen_subcommand_from {word}" for word in command.path] or ["__fish_use_subcommand"]
        if command.path and command.commands:
            seen.append(f"not __fish_seen_subcommand_from {' '.join(one.path[-1] for one in command.commands)}")
        elif len(command.path) == 1 and groups:
            seen.append(f"not __fish_seen_subcommand_from {groups}")
        begin = f"complete -c {program} -n '{'; and '.join(seen)}'"
        lines += [f"{begin} -f -a {one.path[-1]} -d '{one.meaning}'" for one in command.commands]
        for one in command.options:
            lines.append(f"{begin} -l {one.flag[2:]}{_fish_value(one.value)} -d '{one.meaning}'")
        if not command.commands and (command.value is None or command.value.kind != "file"):
            words = f" -a '{' '.join(command.value.words)}'" if command.value and command.value.words else ""
            lines.append(f"{begin} -f{words}")
    return "\n".join(lines) + "\n"


def _fish_value(value: Value | None) -> str:
    if value is None:
        return ""
    if value.kind == "folder":
        return " -x -a '(__fish_complete_directories)'"
    return " -r -F" if value.kind == "file" else f" -x -a '{' '.join(value.words)}'"


def _paths(top: Command) -> str:
    return "|".join(f"'{one.at}'" for one in top.walk() if one.path)


def _cases(top: Command, value: Callable[[Value | None], str], end: str = "") -> str:
    return "\n".join(
        f"    '{command.at} {one.flag}') {value(one.value)}{end} ;;"
        for command in top.walk()
        for one in command.options
        if one.value is not None
    )


def _function(program: str) -> str:
    return "_" + program.replace("-", "_")


def _plain(meaning: str) -> str:
    """A meaning without what shells or argparse would read in it."""
    return " ".join(meaning.replace("%(default)s", "...").translate(str.maketrans("'[]:\\`$", "       ")).split())


#: The shells, and how their script is made of the program's name and tree.
SHELLS: dict[str, Callable[[str, Command], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
