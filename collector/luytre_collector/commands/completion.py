"""`completion`: what a shell needs to complete commands and options, made from the parser itself."""

from __future__ import annotations

import argparse
import sys

from luytre_common import completion
from luytre_common.errors import EXIT_OK


def complete(args: argparse.Namespace) -> int:
    """Print the script."""
    sys.stdout.write(completion.script(args.shell, args.parser))
    return EXIT_OK


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    """Declare the command."""
    del shared  # the command line is the same whatever the configuration says
    parser = commands.add_parser(
        "completion",
        help="print a completion script for a shell",
        epilog="example: luytre-collector completion bash > /etc/bash_completion.d/luytre-collector",
    )
    parser.add_argument("shell", choices=completion.SHELLS, help="bash, zsh or fish")
    parser.set_defaults(run=complete)
