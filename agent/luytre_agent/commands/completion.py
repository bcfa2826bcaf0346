"""`luytre-agent completion`: what a shell needs to complete commands and options, made from the parser itself."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from luytre_common.errors import EXIT_OK

from luytre_agent.commands.options import add_command

SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True)
class Option:
    """One option: its longest flag, what it means, and whether a file name follows."""

    flag: str
    meaning: str
    takes_file: bool


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "completion",
        "print a completion script for a shell",
        "  luytre-agent completion bash > /etc/bash_completion.d/luytre-agent\n"
        "  luytre-agent completion fish > ~/.config/fish/completions/luytre-agent.fish",
    )
    parser.add_argument("shell", choices=SHELLS, help="bash, zsh or fish")
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    tree = dict(_tree(arguments.parser))
    sys.stdout.write({"bash": _bash, "zsh": _zsh, "fish": _fish}[arguments.shell](tree))
    return EXIT_OK


Tree = dict[str, tuple[str, list[Option]]]


def _tree(top: argparse.ArgumentParser) -> Iterator[tuple[str, tuple[str, list[Option]]]]:
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            meanings = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, parser in action.choices.items():
                options = [
                    Option(max(one.option_strings, key=len), one.help or "", one.metavar == "FILE")
                    for one in parser._actions
                    if one.option_strings
                ]
                yield name, (meanings[name], options)


def _bash(tree: Tree) -> str:
    cases = "\n".join(
        f"    {name}) words='{' '.join(option.flag for option in options)}' ;;" for name, (_, options) in tree.items()
    )
    return f"""_luytre_agent() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} words=''
  case ${{COMP_WORDS[1]}} in
{cases}
  esac
  [ "$COMP_CWORD" = 1 ] && words='{" ".join(tree)} --help --version'
  [ "${{COMP_WORDS[1]}}" = completion ] && [ "$COMP_CWORD" = 2 ] && words='{" ".join(SHELLS)}'
  case $current in
    -*) ;;
    *) [ "$COMP_CWORD" -gt 1 ] && [ "${{COMP_WORDS[1]}}" != completion ] && words='' ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [ "$COMP_CWORD" -gt 1 ] && [ -z "$words" ] && COMPREPLY=($(compgen -f -- "$current"))
}}
complete -o filenames -F _luytre_agent luytre-agent
"""


def _zsh(tree: Tree) -> str:
    commands = " ".join(f"'{name}:{meaning}'" for name, (meaning, _) in tree.items())
    cases = "\n".join(
        f"    {name}) _arguments "
        + " ".join(f"'{one.flag}[{_plain(one.meaning)}]{':file:_files' if one.takes_file else ''}'" for one in options)
        + (f" '2:shell:({' '.join(SHELLS)})'" if name == "completion" else " '*:file:_files'")
        + " ;;"
        for name, (_, options) in tree.items()
    )
    return f"""#compdef luytre-agent
_luytre_agent() {{
  local -a commands=({commands})
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  case $words[2] in
{cases}
  esac
}}
compdef _luytre_agent luytre-agent
"""


def _fish(tree: Tree) -> str:
    lines = []
    for name, (meaning, options) in tree.items():
        lines.append(f"complete -c luytre-agent -n __fish_use_subcommand -f -a {name} -d '{_plain(meaning)}'")
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        for one in options:
            argument = " -r -F" if one.takes_file else ""
            lines.append(f"complete -c luytre-agent {seen} -l {one.flag[2:]}{argument} -d '{_plain(one.meaning)}'")
    lines.append(f"complete -c luytre-agent -n '__fish_seen_subcommand_from completion' -f -a '{' '.join(SHELLS)}'")
    return "\n".join(lines) + "\n"


def _plain(meaning: str) -> str:
    return meaning.translate(str.maketrans("'[]:", "    "))
