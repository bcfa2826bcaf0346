"""`agents`, `systems` and `rights`: who sends rows, which information systems there are, who may see whose rows."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import sys

from luytre_common.errors import EXIT_OK

_AGENTS = """
SELECT agent_id, system_id, system_level AS level, organisation_id, host_name, host_os_full, host_os_kernel,
    agent_version, policy_version, source_ip, collector_id, x509_serial_number, tls_client_hash_sha256, x509_not_after,
    first_seen, last_seen
FROM agents {condition} ORDER BY agent_id
"""
#: The same with what has room on a screen.
_AGENTS_TABLE = """
SELECT agent_id, system_id AS system, system_level AS level, organisation_id AS organisation, host_name,
    host_os_full AS operating_system, agent_version AS version, policy_version AS policy,
    toDate(x509_not_after) AS certificate_until, toDateTime(last_seen) AS last_seen
FROM agents {condition} ORDER BY agent_id
"""
_SYSTEMS = """
SELECT system.system_id AS {system}, system.system_level AS level, system.organisation_id AS {organisation},
    {names} system.system_kept_days AS kept_days, countIf(agent.agent_id != '') AS agents,
    countIf(agent.last_seen > now() - INTERVAL 10 MINUTE) AS heard,
    maxOrNullIf({last_seen}, agent.agent_id != '') AS last_seen
FROM systems AS system LEFT JOIN agents AS agent USING (system_id)
GROUP BY ALL ORDER BY system.system_id
"""


def agents(args: argparse.Namespace) -> int:
    """Print the agents that have come in."""
    from luytre_collector.store import ddl

    conditions = []
    if args.system is not None:
        conditions.append(f"system_id = {ddl.text(args.system)}")
    if args.organisation is not None:
        conditions.append(f"has(organisation_path, {ddl.text(args.organisation)})")
    if args.unassigned:
        conditions.append("system_id = ''")
    if args.silent is not None:
        conditions.append(f"last_seen < now() - {args.silent * 60}")
    condition = "WHERE " + " AND ".join(conditions) if conditions else ""
    answer = _ask(args, (_AGENTS if args.json else _AGENTS_TABLE).format(condition=condition))
    if not answer:
        _expect(args, "organisation", args.organisation)
        _expect(args, "system", args.system)
    return _show(answer)


def _expect(args: argparse.Namespace, kind: str, given: str | None) -> None:
    """No agents of something that nobody has declared is a mistake in its name."""
    from luytre_common.errors import UserError

    from luytre_collector.store import ddl

    found = f"SELECT 1 FROM {kind}s WHERE {kind}_id = {ddl.text(given or '')} LIMIT 1"
    if given is not None and not _ask(args, found):
        raise UserError(f"{given}: no such {kind} is declared; see: luytre-collector systems, and the file of sites")


def systems(args: argparse.Namespace) -> int:
    """Print the information systems."""
    names = "system.system_name AS system_name, system.system_name_vi AS system_name_vi,"
    wide = {"system": "system_id", "organisation": "organisation_id", "names": names, "last_seen": "agent.last_seen"}
    narrow = {
        "system": "system",
        "organisation": "organisation",
        "names": "",
        "last_seen": "toDateTime(agent.last_seen)",
    }
    return _show(_ask(args, _SYSTEMS.format(**(wide if args.json else narrow))))


def rights(args: argparse.Namespace) -> int:
    """Print the SQL that makes the role of an organisation on a ClickHouse server."""
    from luytre_common.errors import UserError

    from luytre_collector import config as configuration
    from luytre_collector import sites
    from luytre_collector.store import access

    config = configuration.load(args.config).sites
    if sites.read(config).unknown("organisations", [args.organisation]):
        where = config.file or "no file is named in sites.file"
        raise UserError(f"{args.organisation}: no such organisation ({where}); add it to [[organisations]] first")
    for statement in access.role_statements(args.organisation, args.cluster):
        print(f"{statement};")
    return EXIT_OK


def _ask(args: argparse.Namespace, sql: str) -> bytes:
    from luytre_collector import query
    from luytre_collector.store import choose

    return query.run_query(choose.load(args.config), sql, query.FORMS["json" if args.json else "table"])


def _show(answer: bytes) -> int:
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    return EXIT_OK


def _minutes(text: str) -> int:
    minutes = int(text)
    if not 0 <= minutes <= 10_000_000:
        raise ValueError
    return minutes


_minutes.__name__ = "number of minutes"  # what argparse calls it when it is wrong


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    """Declare the commands."""
    parser = commands.add_parser(
        "agents",
        help="agents that have come in, where they belong, when they were last heard",
        parents=[shared],
        epilog="examples:\n  luytre-collector agents --organisation hue --silent 10\n"
        "  luytre-collector agents --unassigned\n  luytre-collector agents --json\n\n"
        "last_seen is up to a minute behind (agents.seen_s). Times are in the configured zone.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--system", metavar="ID", help="only of this information system")
    parser.add_argument("--organisation", metavar="ID", help="only of this organisation and those below it")
    parser.add_argument("--unassigned", action="store_true", help="only those that no system names")
    parser.add_argument("--silent", type=_minutes, metavar="MINUTES", help="only those not heard for so long")
    parser.add_argument("--json", action="store_true", help="one JSON object per row")
    parser.set_defaults(run=agents)
    parser = commands.add_parser(
        "rights",
        help="SQL for a ClickHouse server: the role of those who see the rows of one organisation only",
        parents=[shared],
        epilog="examples:\n  luytre-collector rights hue > hue.sql\n"
        "  luytre-collector rights hue --cluster luytre | clickhouse-client --multiquery\n\n"
        "Run deploy/clickhouse/users.sql first. Members have the role beside luytre_analyst. Run it again after an\n"
        "upgrade that brought tables. For the embedded store see: luytre-collector http user add --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("organisation", metavar="ID", help="an organisation that the file of sites declares")
    parser.add_argument("--cluster", metavar="NAME", default="", help="as store.server.cluster, if it is a cluster")
    parser.set_defaults(run=rights)
    parser = commands.add_parser(
        "systems",
        help="information systems with their level, days for which rows are kept, and agents",
        parents=[shared],
        epilog="examples:\n  luytre-collector systems\n  luytre-collector systems --json\n\n"
        "They are declared in the file that sites.file names; a collector writes them down when it starts.\n"
        "heard: agents that said something in the last ten minutes.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per row")
    parser.set_defaults(run=systems)
