"""The command line. Exit codes: 0 done, 1 failed, 2 a user's mistake; every error is one line on standard error."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from luytre_common.commandline import guarded

from luytre_agent import __version__
from luytre_agent.commands import COMMANDS

_EPILOG = """examples:
  luytre-agent enrol --collector soc.example:7072 --token lt1.3f9c2a7e....
  luytre-agent check --config /etc/luytre/agent.toml     would it work here, and if not, what is missing?
  luytre-agent run --config /etc/luytre/agent.toml       watch and deliver until stopped
  luytre-agent spool status                              what waits on the disk, and for how long there is room
  luytre-agent replay evening.pcapng                     what is in a capture file
  luytre-agent replay evening.pcapng --json | jq .       ... every row of it

exit codes: 0 done, 1 failed, 2 a mistake in options, configuration or input files
"""


def parser() -> argparse.ArgumentParser:
    """The whole tree of commands and options."""
    top = argparse.ArgumentParser(
        prog="luytre-agent",
        description="The agent of Lũy Tre: packets and kernel events to rows, delivered to the collector without loss.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"luytre-agent {__version__}")
    commands = top.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    top = parser()
    arguments = top.parse_args(argv)
    arguments.parser = top
    return guarded(top.prog, lambda: int(arguments.main(arguments)))


if __name__ == "__main__":
    sys.exit(main())
