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
    change = args.name in known
    users.write(path, {**known, args.name: users.make(password)}, owner)
    print(f"{args.name}: {'password changed' if change else 'may ask'}, {path}")
    return EXIT_OK


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
    """Print the names."""
    from luytre_collector.httpd import users

    for name in sorted(users.read(_where(args.config)[0])):
        print(name)
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
        ("list", list_users, "the names"),
    ):
        one = actions.add_parser(name, help=text, parents=[shared])
        if name != "list":
            one.add_argument("name", metavar="NAME", help="letters, digits, _ . @ and -")
        one.set_defaults(run=action)
