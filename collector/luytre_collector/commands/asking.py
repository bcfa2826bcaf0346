"""`query`."""

from __future__ import annotations

import argparse
import sys

from luytre_common.errors import EXIT_OK

from luytre_collector import config as configuration
from luytre_collector import query


def ask(args: argparse.Namespace) -> int:
    """Print the answer to one SELECT."""
    config = configuration.load(args.config)
    sql = sys.stdin.read() if args.sql == "-" else args.sql
    sys.stdout.buffer.write(query.run_query(config.store, sql, query.FORMS[args.form], args.utc))
    sys.stdout.buffer.flush()
    return EXIT_OK


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "query", help="ask the tables in SQL, whether the collector runs or not", parents=[shared]
    )
    parser.add_argument("sql", metavar="SQL", help='a SELECT, or "-" to read it from standard input')
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="one JSON object per row")
    form.add_argument("--csv", dest="form", action="store_const", const="csv", help="CSV with a line of names")
    parser.add_argument("--utc", action="store_true", help="times in UTC instead of the configured zone")
    parser.set_defaults(run=ask, form="table")
