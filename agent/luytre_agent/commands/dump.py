"""`luytre-agent dump`: the effective configuration."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from luytre_common.errors import EXIT_OK

from luytre_agent import config
from luytre_agent.commands.options import add_command, add_config


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "dump",
        "print the effective configuration, every key with its meaning",
        "  luytre-agent dump --config agent.toml",
    )
    add_config(parser)
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    sys.stdout.write(config.dump(config.load(arguments.config)))
    return EXIT_OK
