"""`http user add`, `http user remove` and `http user list`."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

from luytre_common.errors import EXIT_OK, UserError


def add_user(args: argparse.Namespace) -> int:
    """Let somebody in, or change the password."""
    from luytre_collector.httpd import users

    path, owner = _where(args.config)
    if not users.NAME.fullmatch(args.name):
        raise UserError(f"{args.name!r} cannot be a name; use letters, digits, _ . @ and -, at most 64")
    known = users.read(path)
    password = _password()
    if not users.SHORTEST <= len(password) <= users.LONGEST or not password.isprintable():
        raise UserError(
            f"the password must have {users.SHORTEST} to {users.LONGEST} characters, all printable; choose another"
        )
    there = known.get(args.name)
    organisations = _organisations(args, there.organisations if there else ())
    users.write(path, {**known, args.name: users.make(password, organisations=organisations)}, owner)
    whose = f" about {', '.join(organisations)}" if organisations else ""
    print(f"{args.name}: {'password changed, may ask' if there else 'may ask'}{whose}, {path}")
    return EXIT_OK


def _organisations(args: argparse.Namespace, before: tuple[str, ...]) -> tuple[str, ...]:
    """Whose rows: as given, or as before. A new password alone gives nobody more rights."""
    if args.everything:
        return ()
    if not args.organisation:
        return before
    from luytre_collector import config as configuration
    from luytre_collector import sites

    config = configuration.load(args.config).sites
    unknown = sites.read(config).unknown("organisations", args.organisation)
    if unknown:
        where = config.file or "no file is named in sites.file"
        raise UserError(f"{unknown[0]}: no such organisation ({where}); add it to [[organisations]] first")
    return tuple(dict.fromkeys(args.organisation))


def remove_user(args: argparse.Namespace) -> int:
    """Let somebody in no more."""
    from luytre_collector.httpd import users

    path, owner = _where(args.config)
    known = users.read(path)
    if args.name not in known:
        raise UserError(f"{args.name}: no such user in {path}; see: luytre-collector http user list")
    users.write(path, {name: user for name, user in known.items() if name != args.name}, owner)
    print(f"{args.name}: may ask no more, {path}")
    return EXIT_OK


def list_users(args: argparse.Namespace) -> int:
    """Print the names, and of whom each may ask if not of everybody."""
    from luytre_collector.httpd import users

    for name, user in sorted(users.read(_where(args.config)[0]).items()):
        print(f"{name}\t{','.join(user.organisations)}" if user.organisations else name)
    return EXIT_OK


def _where(config: Path) -> tuple[Path, int | None]:
    """The file, and whose it must be: root makes it for the user that the store belongs to."""
    from luytre_collector import config as configuration

    loaded = configuration.load(config)
    folder = loaded.store.embedded.directory
    owner = folder.stat().st_uid if os.geteuid() == 0 and folder.is_dir() else None
    return loaded.http.users, owner


def _password() -> str:
    """Asked for twice on a terminal; else the first line of standard input. Never from the command line, which every
    user of the machine can read."""
    if sys.stdin is None:
        raise UserError("standard input is closed; give the password there, or use a terminal")
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("password: ")
    if getpass.getpass("again: ") != first:
        raise UserError("the two passwords differ; try again")
    return first


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    """Declare the commands."""
    parser = commands.add_parser("http", help="who may ask over HTTP, as ClickHouse speaks it")
    things = parser.add_subparsers(dest="thing", metavar="THING", required=True)
    actions = things.add_parser("user", help="add, remove or list who may ask").add_subparsers(
        dest="action", metavar="ACTION", required=True
    )
    for name, action, text in (
        ("add", add_user, "let somebody in, or change a password; it is asked for, or read from standard input"),
        ("remove", remove_user, "let somebody in no more; takes effect at once"),
        ("list", list_users, "the names, each with the organisations that it is limited to"),
    ):
        one = actions.add_parser(name, help=text, parents=[shared])
        if name != "list":
            one.add_argument("name", metavar="NAME", help="letters, digits, _ . @ and -")
        if name == "add":
            whose = one.add_mutually_exclusive_group()
            whose.add_argument(
                "--organisation", metavar="ID", action="append",
                help="only rows of this organisation and those below it; may be repeated; as before if not given",
            )  # fmt: skip
            whose.add_argument("--everything", action="store_true", help="rows of everybody, as for a new user")
        one.set_defaults(run=action)
