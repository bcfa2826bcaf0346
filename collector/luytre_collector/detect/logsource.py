"""Which table a Sigma log source means, and which column a Sigma field means there. Both are tables to be read.

Every part of a rule's log source must be equal to the route's. A part that no route knows (another product, another
category) is a load error, not a rule that silently never matches. What several routes of one log source mean is said in
`route.Route`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

from luytre_common.schema import TABLES, Column, Kind, Maker, Table

from luytre_collector.detect import auditd
from luytre_collector.detect.elements import element
from luytre_collector.detect.route import Route, always, by

_EXEC = (("event_action", "exec"),)
_FILE_WRITTEN = tuple(("event_action", action) for action in ("created", "modified", "moved"))

#: Tables that a rule may name as they are.
_OWN = ("flows", "dns", "tls", "processes", "sockets", "logins", "files", "network_changes", "inventory")


#: The opener of a connection connects, who is called accepts.
_INITIATED = {"Initiated": by("event_action", true="connect", false="accept")}
_CONNECTIONS = (("event_action", "connect"), ("event_action", "accept"))


def _by(*programs: str) -> tuple[tuple[str, str], ...]:
    return tuple(("process_name", program) for program in programs)


ROUTES: tuple[Route, ...] = (
    # what ran
    Route("process_creation", "linux", None, "processes", _EXEC),
    Route("process_creation", None, None, "processes", _EXEC),
    Route("process_termination", "linux", None, "processes", (("event_action", "exit"),)),
    Route("process_access", "linux", None, "processes", (("event_action", "ptrace"),)),
    # who talked to whom
    Route("network_connection", "linux", None, "sockets", _CONNECTIONS, _INITIATED),
    Route("network_connection", "linux", None, "tls", words={"Initiated": always("true")}),  # DestinationHostname
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
    Route(None, "linux", "su", "logins", _by("su")),
    Route(None, "linux", "pam", "logins", (("message", "pam_*"),)),
    Route(None, "linux", "auth", "logins"),
    Route(None, "linux", "syslog", "logins"),
    # the audit log, and any log of Linux at all
    *auditd.RECORDS,
    *(replace(one, service=None) for one in auditd.RECORDS),
    # our own names, for rules that are not meant for others
    *(Route(None, "luytre", name, name) for name in _OWN),
)


def routes(category: str | None, product: str | None, service: str | None) -> tuple[Route, ...]:
    """The routes of a log source, in order; none if no table has such events."""
    wanted = (category, product, service)
    return tuple(one for one in ROUTES if (one.category, one.product, one.service) == wanted)


#: Names that the field has and the column table does not, by table.
_ALIASES: dict[str, dict[str, str]] = {
    "processes": {"SourceImage": "process_executable", "SourceUser": "user_name"},
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


def field_names(table: str) -> dict[str, list[str]]:
    """For each column that a rule may ask for, its other names; the elements of a list by the first."""
    known: dict[str, list[str]] = {}
    for name, column in fields(table).items():
        others = known.setdefault(column.name, [f"{column.elements}0..."] if column.elements else [])
        if name not in (column.name, column.name.replace("_", ".")):
            others.append(name)
    return known


_NUMBERED = re.compile(r"([A-Za-z_]+)(0|[1-9][0-9]{0,3})")


@cache
def field(table: str, name: str) -> Column | None:
    """The column of `table` that a rule calls `name`, or the element of a list; None if there is none."""
    if (column := fields(table).get(name)) is not None:
        return column
    if numbered := _NUMBERED.fullmatch(name):
        for column in TABLES[table].columns:
            if column.elements == numbered[1]:
                return element(column, int(numbered[2]))
    return None


#: Tables in which a keyword is looked for in these columns only.
_KEYWORDS = {"logins": ("message",)}


def keyword_columns(table: str, wanted: tuple[str, ...] = ()) -> tuple[Column, ...]:
    """Where a keyword is looked for: every text that the agent itself reported; in logs, the line; or as `wanted`."""
    described: Table = TABLES[table]
    if names := wanted or _KEYWORDS.get(table):
        return tuple(described.column(name) for name in names)
    return tuple(
        column
        for column in described.own_columns
        if column.kind in (Kind.TEXT, Kind.NAME, Kind.TEXTS) and column.maker is Maker.AGENT
    )
