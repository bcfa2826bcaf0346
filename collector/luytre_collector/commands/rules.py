"""`rules list` and `rules check`."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import luytre_rules
import pyarrow as pa
from luytre_common.schema import TABLES

from luytre_collector.store.embedded import Config, EmbeddedStore
from luytre_collector.store.readonly import Config as People


class Scratch:
    """An engine in a folder that goes away, emptied for every example. Examples of all rules share one engine."""

    def __init__(self, store: EmbeddedStore) -> None:
        self._store = store
        self._numbers = itertools.count()

    def __call__(self) -> Scratch:
        """The same store, empty."""
        for table in TABLES:
            self._store.command(f"TRUNCATE TABLE {table}")
        return self

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Insert rows. The token is made new: what was emptied away does not count as inserted."""
        self._store.insert(table, rows, f"{token}/{next(self._numbers)}")

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Run a SELECT."""
        return self._store.query(sql, parameters)


@contextlib.contextmanager
def scratch() -> Iterator[Callable[[], Scratch] | None]:
    """Empty stores for examples; None where the embedded engine is not installed."""
    if importlib.util.find_spec("chdb") is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="luytre-rules-") as folder:
        store = EmbeddedStore(Config(Path(folder) / "store"), People())
        store.open()
        try:
            store.migrate()
            yield Scratch(store)
        finally:
            store.close()


def _paths(args: argparse.Namespace) -> list[Path]:
    return args.paths or [luytre_rules.FOLDER]


def list_(args: argparse.Namespace) -> int:
    """Print the rules."""
    from luytre_collector.detect import commands  # it loads pySigma, which the other commands need not wait for

    return commands.list_rules(_paths(args), json=args.json)


def check(args: argparse.Namespace) -> int:
    """Load the rules and run their examples."""
    from luytre_collector.detect import commands

    with scratch() as make:
        return commands.check_rules(_paths(args), json=args.json, scratch=make)


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
