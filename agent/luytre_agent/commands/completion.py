"""`luytre-agent completion`: what a shell needs to complete commands and options, made from the parser itself."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from luytre_common import completion
from luytre_common.errors import EXIT_OK

from luytre_agent.commands.options import add_command


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "completion",
        "print a completion script for a shell",
        "  luytre-agent completion bash > /etc/bash_completion.d/luytre-agent\n"
        "  luytre-agent completion fish > ~/.config/fish/completions/luytre-agent.fish",
    )
    parser.add_argument("shell", choices=completion.SHELLS, help="bash, zsh or fish")
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    sys.stdout.write(completion.script(arguments.shell, arguments.parser))
    return EXIT_OK
