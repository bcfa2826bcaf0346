"""`query`."""

from __future__ import annotations

import argparse
import os
import sys

from luytre_common.errors import EXIT_OK, UserError


def ask(args: argparse.Namespace) -> int:
    """Print the answer to one SELECT."""
    from luytre_collector import query
    from luytre_collector.store import choose

    answer = query.run_query(choose.load(args.config), _sql(args.sql), query.FORMS[args.form], args.utc)
    sys.stdout.buffer.write(query.visible(answer) if sys.stdout.isatty() else answer)
    sys.stdout.buffer.flush()
    return EXIT_OK


def _sql(given: str) -> str:
    """The statement, from standard input if asked for."""
    if given == "-" and sys.stdin is None:
        raise UserError('standard input is closed; give the statement instead of "-"')
    raw = sys.stdin.buffer.read() if given == "-" else os.fsencode(given)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"the statement is not UTF-8 at byte {error.start}; write other bytes as unhex('ff')") from None


_MORE = """\
Names without a database are looked for in luytre_local, where times are in the configured zone; luytre has UTC. Besides
the tables that agents and rules fill there are first_seen, flows_1m, flows_1h, top_talkers, open_connections, timeline,
gaps, process_tree(process = ID) and community(id = '1:...'). SHOW TABLES lists them all.

examples:
  luytre-collector query "DESCRIBE TABLE luytre.flows"
  luytre-collector query "SELECT * FROM timeline WHERE agent_id = 'web-01' AND event_time > now() - 600"
  luytre-collector query "SELECT * FROM processes WHERE hasToken(process_command_line, 'nc')" --json
  luytre-collector query - < deploy/clickhouse/queries/beacons.sql

deploy/clickhouse/queries has hunts ready to run, each with a sentence about what it finds.
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "query",
        help="ask the tables in SQL, whether the collector runs or not",
        parents=[shared],
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sql", metavar="SQL", help='a SELECT, or "-" to read it from standard input')
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="one JSON object per row")
    form.add_argument("--csv", dest="form", action="store_const", const="csv", help="CSV with a line of names")
    parser.add_argument("--utc", action="store_true", help="times in UTC instead of the configured zone")
    parser.set_defaults(run=ask, form="table")
