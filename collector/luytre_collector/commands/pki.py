"""`pki init` and `pki issue`."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
from pathlib import Path

from luytre_common.errors import EXIT_OK


def init(args: argparse.Namespace) -> int:
    """Make an authority."""
    from luytre_collector import pki

    days = pki.AUTHORITY_DAYS if args.days is None else args.days
    print(pki.init_authority(args.dir, days=days).report(), end="")
    return EXIT_OK


def issue(args: argparse.Namespace) -> int:
    """Make a certificate for an agent or a collector."""
    from luytre_collector import pki

    days = pki.DEFAULT_DAYS if args.days is None else args.days
    role: pki.Role = "collector" if args.collector else "agent"
    print(pki.issue(args.dir, args.name, role, args.host, days=days, out=args.out).report(), end="")
    return EXIT_OK


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    """Declare the commands."""
    del shared  # certificates are made before there is a configuration
    parser = commands.add_parser("pki", help="make the authority and certificates")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    first = actions.add_parser("init", help="make the authority that signs every certificate")
    first.add_argument("--days", type=int, metavar="DAYS", help="validity (default: ten years)")
    first.set_defaults(run=init)
    other = actions.add_parser("issue", help="make a certificate and key")
    other.add_argument("name", metavar="NAME", help="identity: the agent_id of an agent, or the collector's host name")
    role = other.add_mutually_exclusive_group(required=True)
    role.add_argument("--agent", action="store_true", help="for an agent: may only connect")
    role.add_argument("--collector", action="store_true", help="for a collector: may only listen")
    other.add_argument(
        "--host", action="append", default=[], metavar="HOST",
        help="DNS name or address under which agents reach the collector; may be repeated (default: NAME)",
    )  # fmt: skip
    other.add_argument("--days", type=int, metavar="DAYS", help="validity (default: one year)")
    other.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: DIR of the authority)")
    other.set_defaults(run=issue)
    for one in (first, other):
        one.add_argument(
            "--dir", type=Path, default=Path("/etc/luytre/pki"), metavar="DIR",
            help="folder of the authority (default: %(default)s)",
        )  # fmt: skip
