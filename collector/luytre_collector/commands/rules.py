"""`rules list`, `rules check` and `rules fields`."""

from __future__ import annotations

import argparse
from pathlib import Path


def _paths(args: argparse.Namespace) -> list[Path]:
    import luytre_rules

    return args.paths or [luytre_rules.FOLDER]


def list_(args: argparse.Namespace) -> int:
    """Print the rules."""
    from luytre_collector.detect import commands as detect

    return detect.list_rules(_paths(args), json=args.json)


def check(args: argparse.Namespace) -> int:
    """Load the rules and run their examples."""
    from luytre_collector.detect import commands as detect
    from luytre_collector.scratch import scratch_store

    with scratch_store() as make:
        return detect.check_rules(_paths(args), json=args.json, scratch=make)


def fields(args: argparse.Namespace) -> int:
    """Print what rules may ask for."""
    from luytre_collector.detect.reference import list_fields

    return list_fields(json=args.json)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    """Declare the commands."""
    del shared  # rules are looked at where they are written, without a configuration
    parser = commands.add_parser("rules", help="list rules, or check them with their examples")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, action, text in (
        ("list", list_, "what rules there are, and what they look for"),
        ("check", check, "faults of rules (exit 2), and whether their examples hold (exit 1 if not)"),
    ):
        one = actions.add_parser(name, help=text)
        one.add_argument(
            "paths", nargs="*", type=Path, metavar="PATH", help="files or folders (default: those shipped)"
        )
        one.add_argument("--json", action="store_true", help="for programs")
        one.set_defaults(run=action)
    known = actions.add_parser(
        "fields", help="log sources and fields that a rule may name, and the tables and columns they are"
    )
    known.add_argument("--json", action="store_true", help="for programs")
    known.set_defaults(run=fields)
