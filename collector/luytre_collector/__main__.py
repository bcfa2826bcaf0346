"""`luytre-collector`: the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from luytre_common.commandline import guarded

from luytre_collector import __version__
from luytre_collector.commands import (
    asking,
    completion,
    enrol,
    examples,
    http,
    inventory,
    keeping,
    ledger,
    pki,
    planning,
    policy,
    rules,
    running,
)

DEFAULT_CONFIG = Path("/etc/luytre/collector.toml")

#: Every group of commands, in the order of `--help`.
COMMANDS = (running, asking, inventory, ledger, http, keeping, policy, rules, planning, pki, enrol, completion)

_EXAMPLES = """\
examples:
  luytre-collector pki init --dir pki
  luytre-collector pki issue collector --collector --dir pki --host collector.example --host 10.0.0.5
  luytre-collector pki issue web-01 --agent --dir pki
  luytre-collector enrol token --name web-01
  luytre-collector check --config collector.toml
  luytre-collector run --config collector.toml
  luytre-collector query "SELECT rule_name, count() FROM alerts GROUP BY rule_name" --json
  luytre-collector backup /srv/backup/2026-11-23
  luytre-collector rules check my-rules/
  luytre-collector policy status
  luytre-collector plan --agents 1000 --events-per-second 5

exit codes: 0 done, 1 failed, 2 a mistake in a command, a file or the configuration
"""


def parser() -> argparse.ArgumentParser:
    """The command line, with its help."""
    top = argparse.ArgumentParser(
        prog="luytre-collector",
        description="Receives rows from agents, stores them, applies rules, raises alerts.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="configuration (default: %(default)s)"
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for group in COMMANDS:
        group.add(commands, shared)
    examples.give(top)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    top = parser()
    args = top.parse_args(arguments)
    args.parser = top
    return guarded(top.prog, lambda: int(args.run(args)))


if __name__ == "__main__":
    sys.exit(main())
