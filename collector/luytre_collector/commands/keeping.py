"""`backup` and `restore`."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
from pathlib import Path

from luytre_common.errors import EXIT_OK


def backup(args: argparse.Namespace) -> int:
    """Make a backup of the tables, whether a collector runs or not."""
    import time

    from luytre_collector.backup import make
    from luytre_collector.store import choose

    made = make.backup(choose.load(args.config), args.dir, lambda line: print(line, flush=True), time.time())
    print(f"{args.dir}: {made.rows:,} rows, {made.size:,} bytes")
    return EXIT_OK


def restore(args: argparse.Namespace) -> int:
    """Make the tables of a backup, in the empty folder that the configuration names."""
    from luytre_collector.backup import restore as restoring
    from luytre_collector.store import choose

    config = choose.load(args.config)
    made = restoring.restore(config, args.dir, lambda line: print(line, flush=True))
    print(f"{config.embedded.directory}: {made.rows:,} rows as of {made.made_at}")
    return EXIT_OK


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    """Declare the commands."""
    for name, action, text in (
        ("backup", backup, "copy the tables of the embedded store, also while the collector runs"),
        ("restore", restore, "make the tables of a backup, in an empty folder"),
    ):
        parser = commands.add_parser(name, help=text, parents=[shared])
        parser.add_argument("dir", type=Path, metavar="DIR", help="folder of the backup")
        parser.set_defaults(run=action)
