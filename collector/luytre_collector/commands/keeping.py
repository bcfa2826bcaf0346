"""`backup`, `restore`, `retention`."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import json
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


def retention(args: argparse.Namespace) -> int:
    """Show what is older than it may be, or delete it; a running collector does that by itself."""
    import time

    from luytre_collector import config as configuration
    from luytre_collector import expiry, sites
    from luytre_collector.retention import Keeping

    config = configuration.load(args.config)
    keeping = Keeping(config.retention, sites.read(config.sites))
    due = expiry.expire(config.store, keeping, time.time(), apply=args.apply)
    if args.json:
        for step in due:
            print(json.dumps(step.to_json()))
        return EXIT_OK
    for step in due:
        print(step)
    print(f"{sum(step.rows for step in due):,} rows {'deleted' if args.apply else 'are due; nothing was deleted'}")
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
    parser = commands.add_parser(
        "retention",
        help="show which rows are older than they may be, whether the collector runs or not",
        parents=[shared],
        epilog="examples:\n  luytre-collector retention\n  luytre-collector retention --apply\n\n"
        "What is due follows from the configuration as it is in the file, so that a change of it can be tried\n"
        "before the collector is started again. A collector that runs deletes by itself, every retention.interval_s.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--apply", action="store_true", help="delete them")
    parser.add_argument("--json", action="store_true", help="one JSON object per deletion")
    parser.set_defaults(run=retention)
