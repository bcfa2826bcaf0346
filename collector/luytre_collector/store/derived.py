"""Tables that are made of other tables: sums of flows by minute and by hour, and when something was first seen. Pure.

A materialised view would add to every insert what it costs to group and to write (three to eight times the insert
itself, measured), and a crash between a part and its view's part would leave the sums short for good. So the collector
adds them itself, window by window of arrival: see `rollups`. Each row of the sources is in exactly one window, a window
is inserted under a token of its own, and a day's sums can be made again from the day's rows.

`flows_1m` and `flows_1h` are partitioned by day of arrival, as their source is. Sums of rows that are not merged yet
stand beside each other: ask for `sum(...) GROUP BY`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from luytre_common.schema import TABLES

from luytre_collector.store import ddl

#: Which windows of arrival were added: one row when it is begun, one when it is done.
WINDOWS = "rollup_windows"


@dataclass(frozen=True, slots=True)
class Derived:
    """One way from a source to a derived table.

    name: of the way, and part of the tokens. table: where its rows go, into `columns`. select: what goes there;
    `{source}` and `{window}` stand for the source's name and the condition on `collector_time`.
    sums: whether the table holds sums, of which `rows` is one: then a day can be compared with its source and made
    again. Otherwise its rows are least and greatest times, which adding twice does not change.
    """

    name: str
    table: str
    source: str
    columns: tuple[str, ...]
    select: str
    sums: bool


# In the order in which they are sorted: those that tell rows apart come first, which halves the cost of an insert.
_KEYS = (
    "agent_id", "window_start", "source_ip", "destination_ip", "destination_port", "host_name", "network_transport",
    "network_protocol", "network_direction", "process_executable", "user_name",
)  # fmt: skip
_COUNTS = ("rows", "flows", "failed_flows")
_SUMS = (
    "source_packets", "destination_packets", "source_bytes", "destination_bytes", "source_payload_bytes",
    "destination_payload_bytes",
)  # fmt: skip
_MEANINGS = {
    "collector_day": "Day of arrival (UTC), the partition",
    "window_start": "Begin of the minute or hour in which the rows' flow_end falls",
    "rows": "Rows of flows",
    "flows": "Flows that ended: rows whose flow_end_reason is not active",
    "failed_flows": "Flows that ended without an answer or refused: connection_state S0, REJ, RSTOS0, SH",
}


def _flows(name: str, start: str) -> Derived:
    columns = [
        "toDate(collector_time) AS collector_day",
        *(f"{start}(flow_end) AS window_start" if key == "window_start" else key for key in _KEYS),
        "count() AS rows",
        "countIf(flow_end_reason != 'active') AS flows",
        "countIf(connection_state IN ('S0', 'REJ', 'RSTOS0', 'SH')) AS failed_flows",
        *(f"sum({one}) AS {one}" for one in _SUMS),
    ]
    grouping = ", ".join(("collector_day", *_KEYS))
    select = f"SELECT {', '.join(columns)} FROM {{source}} WHERE {{window}} GROUP BY {grouping}"
    return Derived(name, name, "flows", ("collector_day", *_KEYS, *_COUNTS, *_SUMS), select, sums=True)


def _first_seen(kind: str, source: str, value: str, time: str, condition: str) -> Derived:
    select = (
        f"SELECT '{kind}' AS kind, {value} AS value, agent_id, any(host_name) AS host_name,"
        f" min({time}) AS first_time, max({time}) AS last_time"
        f" FROM {{source}} WHERE {{window}} AND {condition} GROUP BY value, agent_id"
    )
    columns = ("kind", "value", "agent_id", "host_name", "first_time", "last_time")
    return Derived(f"first_seen_{kind}", "first_seen", source, columns, select, sums=False)


#: Every way, in the order in which windows are added.
DERIVED: tuple[Derived, ...] = (
    _flows("flows_1m", "toStartOfMinute"),
    _flows("flows_1h", "toStartOfHour"),
    _first_seen("executable", "processes", "process_executable", "event_time",
                "event_action IN ('exec', 'seed') AND process_executable != ''"),
    _first_seen("destination", "flows", "toString(destination_ip)", "flow_start", "network_direction = 'outbound'"),
    _first_seen("domain", "dns", "lower(dns_question_name)", "event_time", "dns_question_name != ''"),
    _first_seen("server_name", "tls", "tls_client_server_name", "event_time", "tls_client_server_name != ''"),
)  # fmt: skip


def tables() -> Iterator[tuple[str, str]]:
    """Name and CREATE TABLE statement of every derived table, and of the one that keeps the windows."""
    for name, meaning in (
        ("flows_1m", "Sums of flows by minute, pair, port, protocol and process"),
        ("flows_1h", "Sums of flows by hour, pair, port, protocol and process"),
    ):
        yield name, _sum_table(name, meaning)
    yield (
        "first_seen",
        (
            "CREATE TABLE IF NOT EXISTS {database}.`first_seen` (`kind` LowCardinality(String) COMMENT"
            " 'executable, destination, domain, server_name', `value` String COMMENT 'What was seen' CODEC(ZSTD),"
            " `agent_id` LowCardinality(String) COMMENT 'Where', `host_name` SimpleAggregateFunction(anyLast,"
            " LowCardinality(String)) COMMENT 'Host name as the agent states it',"
            " `first_time` SimpleAggregateFunction(min, DateTime64(6, 'UTC')) COMMENT 'First event',"
            " `last_time` SimpleAggregateFunction(max, DateTime64(6, 'UTC')) COMMENT 'Last event')"
            " ENGINE = AggregatingMergeTree ORDER BY (kind, value, agent_id)"
            f" TTL {remembered(REMEMBERED_DAYS)} SETTINGS {ddl.DURABLE}"
            " COMMENT 'When each host first and last had an executable, a destination, a domain, a TLS server: ask for"
            " min(first_time) and max(last_time)'"
        ),
    )
    yield (
        WINDOWS,
        (
            f"CREATE TABLE IF NOT EXISTS {{database}}.`{WINDOWS}`"
            " (`name` LowCardinality(String) COMMENT 'Way from source to derived table',"
            " `window_from` DateTime64(6, 'UTC') COMMENT 'First collector_time',"
            " `window_to` DateTime64(6, 'UTC') COMMENT 'End, not included',"
            " `done` UInt8 COMMENT '0: begun; 1: added', `at` DateTime64(6, 'UTC') DEFAULT now64(6))"
            f" ENGINE = MergeTree ORDER BY (name, window_from) TTL toDateTime(window_to) + toIntervalDay(30)"
            f" SETTINGS {ddl.DURABLE} COMMENT 'Which arrivals the derived tables contain'"
        ),
    )


#: Days for which a first sighting is remembered after the last one, at most.
REMEMBERED_DAYS = 730


def remembered(days: int) -> str:
    """The TTL of `first_seen`."""
    return f"toDateTime(last_time) + toIntervalDay({days})"


def _sum_table(name: str, meaning: str) -> str:
    source = TABLES["flows"]
    kinds = {"window_start": "DateTime('UTC')"} | {
        key: source.column(key).kind.clickhouse for key in _KEYS if key != "window_start"
    }
    lines = ["`collector_day` Date", *(f"`{key}` {kind}" for key, kind in kinds.items())]
    lines += [f"`{one}` UInt64" for one in (*_COUNTS, *_SUMS)]
    body = ", ".join(f"{line} COMMENT {ddl.text(_meaning(line.split('`')[1]))} CODEC({_codec(line)})" for line in lines)
    summed = ", ".join((*_COUNTS, *_SUMS))
    return (
        f"CREATE TABLE IF NOT EXISTS {{database}}.`{name}` ({body}) ENGINE = SummingMergeTree(({summed}))"
        f" PARTITION BY collector_day PRIMARY KEY (agent_id, window_start) ORDER BY ({', '.join(_KEYS)})"
        f" SETTINGS {ddl.DURABLE} COMMENT {ddl.text(meaning)}"
    )


def _meaning(column: str) -> str:
    return _MEANINGS.get(column) or TABLES["flows"].column(column).meaning


def _codec(line: str) -> str:
    return "T64, ZSTD" if line.endswith("UInt64") else "Delta, ZSTD" if "DateTime" in line else "ZSTD"
