"""Views for analysts, in the database of local times: what is asked again and again. Pure.

Views with a parameter are called like functions: `SELECT * FROM process_tree(process = 1180591620717411)`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from luytre_collector.store import ddl
from luytre_collector.store.sql import DATABASE, LOCAL_DATABASE


@dataclass(frozen=True, slots=True)
class View:
    """One view: `{local}` and `{database}` stand for the databases, `{zone}` for the time zone as a literal."""

    name: str
    meaning: str
    select: str

    def statement(self, zone: str) -> tuple[str, str]:
        """CREATE VIEW, and the mark in its comment that tells whether one that is there is the same."""
        select = " ".join(
            self.select.replace("{local}", LOCAL_DATABASE)
            .replace("{database}", DATABASE)
            .replace("{zone}", ddl.text(zone))
            .split()
        )
        mark = hashlib.sha256(select.encode()).hexdigest()[:12]
        comment = ddl.text(f"{self.meaning}; times in {zone} [{mark}]")
        return f"CREATE OR REPLACE VIEW {LOCAL_DATABASE}.{ddl.name(self.name)} AS {select} COMMENT {comment}", mark


_SUMS = (
    "source_packets destination_packets source_bytes destination_bytes source_payload_bytes destination_payload_bytes"
)


def _rollup(name: str, meaning: str) -> View:
    sums = ", ".join(f"sum({one}) AS {one}" for one in ("rows", "flows", "failed_flows", *_SUMS.split()))
    keys = (
        "agent_id, host_name, network_transport, network_protocol, network_direction, source_ip, destination_ip,"
        " destination_port, process_executable, user_name"
    )
    return View(
        name,
        meaning,
        f"SELECT toTimeZone(window_start, {{zone}}) AS window_start, {keys}, {sums}"
        f" FROM {{database}}.{name} GROUP BY window_start, {keys}",
    )


def _event(table: str, time: str, kind: str, summary: str, **columns: str) -> str:
    """One table's part of the timeline."""
    found = {
        "process_entity_id": "process_entity_id", "process_executable": "process_executable", "user_name": "user_name",
        "source_ip": "toIPv6('::')", "destination_ip": "toIPv6('::')", **columns,
    }  # fmt: skip
    listed = ", ".join(f"{expression} AS {name}" for name, expression in found.items())
    return (
        f"SELECT {time} AS event_time, agent_id, host_name, '{table}' AS source, {kind} AS event_action,"
        f" {summary} AS summary, {listed}, boot_id, stream, sequence FROM {{local}}.{table}"
    )


_ENDS = {"source_ip": "source_ip", "destination_ip": "destination_ip"}
_NOBODY = {"process_entity_id": "toUInt64(0)", "process_executable": "''", "user_name": "''"}
_PAIR = (
    "IPv6NumToString(source_ip), ' ', toString(source_port), ' -> ', IPv6NumToString(destination_ip), ' ',"
    " toString(destination_port)"
)


def _change(prefix: str, name: str) -> str:
    return f"concat({prefix}_kind, ' ', {name}, ': ', {prefix}_before, ' -> ', {prefix}_after)"


_TIMELINE = " UNION ALL ".join(
    (
        _event("flows", "flow_start", "connection_state",
               f"concat(network_transport, ' ', {_PAIR}, ' ', network_protocol, ' ', toString(source_bytes), '/',"
               " toString(destination_bytes), ' bytes')", **_ENDS),
        _event("dns", "event_time", "dns_response_code", "dns_question_name", **_NOBODY, **_ENDS),
        _event("tls", "event_time", "tls_version", "tls_client_server_name", **_NOBODY, **_ENDS),
        _event("processes", "event_time", "event_action", "process_command_line"),
        _event("sockets", "event_time", "event_action", f"concat(network_transport, ' ', {_PAIR})", **_ENDS),
        _event("logins", "event_time", "concat(event_action, ' ', event_outcome)", "message",
               **{**_NOBODY, "user_name": "user_name"}, source_ip="source_ip"),
        _event("files", "event_time", "event_action", "file_path"),
        _event("network_changes", "event_time", "event_action",
               _change("network_change", "network_change_subject"), **_NOBODY),
        _event("inventory", "event_time", "event_action", _change("inventory", "inventory_name"), **_NOBODY),
        _event("alerts", "event_time", "rule_level", "rule_name", **_NOBODY),
    )
)  # fmt: skip

VIEWS: tuple[View, ...] = (
    _rollup("flows_1m", "Sums of flows by minute"),
    _rollup("flows_1h", "Sums of flows by hour"),
    View(
        "first_seen",
        "When each host first and last had an executable, a destination, a domain, a TLS server name",
        """
        SELECT kind, value, agent_id, anyLast(host_name) AS host_name,
            toTimeZone(min(first_time), {zone}) AS first_time, toTimeZone(max(last_time), {zone}) AS last_time
        FROM {database}.first_seen GROUP BY kind, value, agent_id
        """,
    ),
    View(
        "top_talkers",
        "Pairs of the last 24 hours by bytes",
        """
        SELECT agent_id, any(host_name) AS host_name, source_ip, destination_ip, destination_port, network_transport,
            network_direction, process_executable, sum(source_bytes) + sum(destination_bytes) AS bytes,
            sum(flows) AS flows
        FROM {database}.flows_1h WHERE window_start >= now() - INTERVAL 24 HOUR
        GROUP BY agent_id, source_ip, destination_ip, destination_port, network_transport, network_direction,
            process_executable
        ORDER BY bytes DESC
        """,
    ),
    View(
        "open_connections",
        "Connections that still go on, by their last row: long ones give a row every active timeout",
        """
        SELECT agent_id, any(host_name) AS host_name, flow_id, min(flow_start) AS started, max(flow_end) AS last_seen,
            any(source_ip) AS source_ip, any(source_port) AS source_port, any(destination_ip) AS destination_ip,
            any(destination_port) AS destination_port, any(network_transport) AS network_transport,
            any(network_protocol) AS network_protocol, any(network_direction) AS network_direction,
            any(process_executable) AS process_executable, any(user_name) AS user_name,
            sum(source_bytes) AS source_bytes, sum(destination_bytes) AS destination_bytes
        FROM {local}.flows GROUP BY agent_id, flow_id
        HAVING countIf(flow_end_reason != 'active') = 0 ORDER BY started
        """,
    ),
    View(
        "process_tree",
        "A process, its ancestors (depth below 0) and what it started (above): process_tree(process = ID)",
        """
        WITH RECURSIVE
        known AS (
            SELECT process_entity_id, argMax(process_parent_entity_id, event_time) AS process_parent_entity_id
            FROM {local}.processes WHERE process_entity_id != 0 GROUP BY process_entity_id
        ),
        up AS (
            SELECT process_entity_id, process_parent_entity_id, toInt16(0) AS depth FROM known
            WHERE process_entity_id = {process:UInt64}
            UNION ALL
            SELECT known.process_entity_id, known.process_parent_entity_id, toInt16(up.depth - 1) AS depth
            FROM known INNER JOIN up ON known.process_entity_id = up.process_parent_entity_id WHERE up.depth > -64
        ),
        down AS (
            SELECT process_entity_id, process_parent_entity_id, toInt16(0) AS depth FROM known
            WHERE process_entity_id = {process:UInt64}
            UNION ALL
            SELECT known.process_entity_id, known.process_parent_entity_id, toInt16(down.depth + 1) AS depth
            FROM known INNER JOIN down ON known.process_parent_entity_id = down.process_entity_id WHERE down.depth < 64
        ),
        tree AS (SELECT process_entity_id, depth FROM up UNION DISTINCT SELECT process_entity_id, depth FROM down)
        SELECT tree.depth AS depth, event.* FROM {local}.processes AS event
        INNER JOIN tree ON event.process_entity_id = tree.process_entity_id ORDER BY depth, event.event_time
        """,
    ),
    View(
        "community",
        "Flows and transactions of one Community ID, from every sensor that has it: community(id = '1:...')",
        """
        WITH ids AS (SELECT agent_id, flow_id FROM {local}.flows WHERE network_community_id = {id:String})
        SELECT 'flows' AS source, flow_start AS event_time, agent_id, host_name, flow_id,
            concat(connection_state, ' ', toString(source_bytes), '/', toString(destination_bytes), ' bytes ',
                process_executable) AS summary
        FROM {local}.flows WHERE network_community_id = {id:String}
        UNION ALL
        SELECT 'dns', event_time, agent_id, host_name, flow_id, dns_question_name
        FROM {local}.dns WHERE (agent_id, flow_id) IN ids
        UNION ALL
        SELECT 'tls', event_time, agent_id, host_name, flow_id, tls_client_server_name
        FROM {local}.tls WHERE (agent_id, flow_id) IN ids
        """,
    ),
    View(
        "timeline",
        "Everything that a host did, in one table: ask for agent_id and a time",
        _TIMELINE,
    ),
    View(
        "gaps",
        "Rows of agents with numbers that did not come, and what became of each gap",
        """
        SELECT toTimeZone(collector_time, {zone}) AS collector_time, agent_id, host_name, table, boot_id, stream,
            first_sequence, last_sequence, last_sequence - first_sequence + 1 AS rows, state, cause
        FROM {database}.gaps FINAL
        """,
    ),
)


def statements(zone: str) -> Iterator[tuple[str, str, str]]:
    """Name, statement and mark of every view."""
    for view in VIEWS:
        yield (view.name, *view.statement(zone))
