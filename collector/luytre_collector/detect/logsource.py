"""Which table a Sigma log source means, and which column a Sigma field means there. Both are tables to be read.

A rule's log source chooses the first route that asks for nothing the rule does not say: every part that the route
names must be equal to the rule's. A part that no route knows (another product, another category) is a load error, not
a rule that silently never matches.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from luytre_common.schema import TABLES, Column, Kind, Maker, Table


@dataclass(frozen=True, slots=True)
class Route:
    """A log source (`None`: the rule must not say this part) and the table it means.

    where: what the log source implies, as (column, text); of several texts of one column, any.
    """

    category: str | None
    product: str | None
    service: str | None
    table: str
    where: tuple[tuple[str, str], ...] = ()


_EXEC = (("event_action", "exec"),)
_FILE_WRITTEN = tuple(("event_action", action) for action in ("created", "modified", "moved"))

#: Tables that a rule may name as they are.
_OWN = ("flows", "dns", "tls", "processes", "sockets", "logins", "files", "network_changes", "inventory")


def _by(*programs: str) -> tuple[tuple[str, str], ...]:
    return tuple(("process_name", program) for program in programs)


ROUTES: tuple[Route, ...] = (
    # what ran
    Route("process_creation", "linux", None, "processes", _EXEC),
    Route("process_creation", None, None, "processes", _EXEC),
    Route("process_termination", "linux", None, "processes", (("event_action", "exit"),)),
    # who talked to whom
    Route("network_connection", "linux", None, "flows"),
    Route("network_connection", None, None, "flows"),
    Route("network", None, "connection", "flows"),
    Route("firewall", None, None, "flows"),
    Route(None, "zeek", "conn", "flows"),
    Route(None, None, "netflow", "flows"),
    # names asked for
    Route("dns", None, None, "dns"),
    Route("dns_query", "linux", None, "dns"),
    Route("network", None, "dns", "dns"),
    Route(None, "zeek", "dns", "dns"),
    # TLS hellos
    Route("network", None, "tls", "tls"),
    Route(None, "zeek", "ssl", "tls"),
    # what changed among the files that matter
    Route("file_event", "linux", None, "files", _FILE_WRITTEN),
    Route("file_change", "linux", None, "files", (("event_action", "modified"),)),
    Route("file_rename", "linux", None, "files", (("event_action", "moved"),)),
    Route("file_delete", "linux", None, "files", (("event_action", "deleted"),)),
    # who came in: what programs write about logins, sudo, sessions, accounts
    Route(None, "linux", "sshd", "logins", _by("sshd", "sshd-session", "sshd-auth")),
    Route(None, "linux", "sudo", "logins", _by("sudo")),
    Route(None, "linux", "cron", "logins", _by("CRON", "CROND", "cron", "crond", "crontab", "anacron")),
    Route(None, "linux", "auth", "logins"),
    Route(None, "linux", "syslog", "logins"),
    # our own names, for rules that are not meant for others
    *(Route(None, "luytre", name, name) for name in _OWN),
)


def route(category: str | None, product: str | None, service: str | None) -> Route | None:
    """The route of a log source; None if no table has such events."""
    wanted = (category, product, service)
    return next((one for one in ROUTES if (one.category, one.product, one.service) == wanted), None)


#: Names that the field has and the column table does not, by table.
_ALIASES: dict[str, dict[str, str]] = {
    "flows": {"DestinationPort": "destination_port", "destination.port": "destination_port"},
}

#: ECS columns that cannot be asked for on a stream, with the reason.
_ONLY_SQL = {"network_community_id"}


@cache
def fields(table: str) -> dict[str, Column]:
    """Every name by which a rule may call a column of `table`: the column's own, its ECS form with dots, Sigma's."""
    known: dict[str, Column] = {}
    described = TABLES[table]
    for column in described.columns:
        if column.kind is Kind.TIME or column.name in _ONLY_SQL:
            continue
        for name in (column.name, column.name.replace("_", "."), *column.sigma):
            known.setdefault(name, column)
    for name, column_name in _ALIASES.get(table, {}).items():
        known.setdefault(name, described.column(column_name))
    return known


#: Tables in which a keyword is looked for in these columns only.
_KEYWORDS = {"logins": ("message",)}


def keyword_columns(table: str) -> tuple[Column, ...]:
    """Where a keyword is looked for: every text that the agent itself reported; in logs, the line."""
    described: Table = TABLES[table]
    if names := _KEYWORDS.get(table):
        return tuple(described.column(name) for name in names)
    return tuple(
        column
        for column in described.own_columns
        if column.kind in (Kind.TEXT, Kind.NAME, Kind.TEXTS) and column.maker is Maker.AGENT
    )
