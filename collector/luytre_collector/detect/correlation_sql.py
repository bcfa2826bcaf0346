"""A correlation as ClickHouse SQL. Pure: rules and times in, statements out.

The window of a row at time t is [t - span, t], closed, so every row asks about the window that ends with it. Counting
distinct keys in every such window is done with one sorted pass, so that a flood inside one group costs n log n and not
n²: a key enters when it is seen and was not seen for a span, and leaves a span after it was last seen; the running sum
of the enterings and leavings is the number of keys in the window. An event_count counts connections or rows (the key is
their identity), a value_count counts values, temporal counts rules.

Times are Int64 microseconds, because ClickHouse has no range frames over DateTime64.
"""

from __future__ import annotations

from dataclasses import dataclass

from luytre_common.schema import TABLES, Column, Kind

from luytre_collector.detect.fold import fold_sql
from luytre_collector.detect.model import Base, CorrelationRule
from luytre_collector.detect.sql import address_sql, condition, literal, present

#: Rows may carry an event time up to this much later than their arrival (an agent's clock ahead of the collector's).
CLOCK_AHEAD_US = 86_400_000_000

#: Of one run and rule.
MAX_GROUPS = 1000
MAX_EVIDENCE = 20

_SETTINGS = "SETTINGS max_execution_time = 60, max_memory_usage = 1000000000"

#: What is one event: a TCP connection is one, however many interfaces, agents and active timeouts make rows of it.
_IDENTITY = {
    "flows": (
        "if(network_transport = 'tcp', sipHash128(source_ip, source_port, destination_ip, destination_port),"
        " sipHash128(agent_id, flow_id))"
    )
}
_ROW = "sipHash128(agent_id, boot_id, stream, sequence)"

#: What a sample of a table shows.
_ABOUT = {
    "flows": "destination_port",
    "dns": "dns_question_name",
    "tls": "tls_client_server_name",
    "processes": "process_command_line",
    "sockets": "destination_port",
    "logins": "message",
    "files": "file_path",
    "network_changes": "network_change_subject",
    "inventory": "inventory_name",
}


@dataclass(frozen=True, slots=True)
class Range:
    """Event times from `low_us` to `high_us`, both included."""

    low_us: int
    high_us: int


def extent(rule: CorrelationRule, since_us: int, late_us: int) -> str:
    """How many rows arrived since, how many of them happened before `late_us`, and the times of the others."""
    arms = [
        f"SELECT toUnixTimestamp64Micro({_time(base)}) AS t FROM {base.rule.table}"
        f" WHERE collector_time >= fromUnixTimestamp64Micro({since_us}) AND {_where(base, rule)}"
        for base in rule.bases
    ]
    return (
        f"SELECT count() AS rows, countIf(t < {late_us}) AS late, minIf(t, t >= {late_us}) AS low, max(t) AS high"
        f" FROM ({' UNION ALL '.join(arms)}) {_SETTINGS}"
    )


def stories(rule: CorrelationRule, times: Range, anchors_from_us: int) -> str:
    """Per group, its stories: (first, last) of the rows whose window satisfies the rule, with no gap above a span."""
    anchors = _ordered(rule, times) if rule.type == "temporal_ordered" else _counted(rule, times)
    span = rule.span_us
    return (
        "SELECT g, arrayMap(s -> (s[1], s[-1]), arraySplit((at, gap) -> gap > "
        + f"{span}, ats, arrayDifference(ats))) AS stories"
        f" FROM (SELECT g, arraySort(groupArray(at)) AS ats FROM ({anchors}) WHERE at >= {anchors_from_us} GROUP BY g)"
        f" ORDER BY length(ats) DESC, g LIMIT {MAX_GROUPS + 1} {_SETTINGS}"
    )


def _counted(rule: CorrelationRule, times: Range) -> str:
    span = rule.span_us
    base = _rows(rule, times)
    holds = f"{rule.operator} {rule.threshold}"
    if rule.type in ("value_sum", "value_avg"):
        steps = (
            f"SELECT g, step.1 AS at, step.2 AS d, step.3 AS anchor FROM ({base})"
            f" ARRAY JOIN [(t, v, 1), (t + {span} + 1, -v, 0)] AS step"
        )
        running = (
            "SELECT g, at, anchor, sum(d) OVER w AS total, sum(if(anchor = 1, 1, -1)) OVER w AS n"
            f" FROM ({steps}) WINDOW w AS (PARTITION BY g ORDER BY at RANGE UNBOUNDED PRECEDING)"
        )
        value = "total" if rule.type == "value_sum" else "total / n"
        return f"SELECT g, at FROM ({running}) WHERE anchor = 1 AND n > 0 AND {value} {holds}"
    marks = (
        "SELECT g, t, lagInFrame(t, 1, toInt64(-9000000000000000000)) OVER k AS before,"
        f" leadInFrame(t, 1, toInt64(9000000000000000000)) OVER k AS after FROM ({base})"
        " WINDOW k AS (PARTITION BY g, key ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"
    )
    steps = (
        f"SELECT g, step.1 AS at, step.2 AS d, step.3 AS anchor FROM ({marks}) ARRAY JOIN"
        f" [(t, toInt8(before < t - {span}), 1), (t + {span} + 1, -toInt8(after > t + {span}), 0)] AS step"
    )
    running = (
        f"SELECT g, at, anchor, sum(d) OVER (PARTITION BY g ORDER BY at RANGE UNBOUNDED PRECEDING) AS n FROM ({steps})"
    )
    return f"SELECT g, at FROM ({running}) WHERE anchor = 1 AND n {holds}"


def _ordered(rule: CorrelationRule, times: Range) -> str:
    """Each row keeps the latest start of a chain of the rules before it; strictly later, so one row is one link."""
    link = "SELECT g, t, r, if(r = 0, t, 0) AS start FROM (" + _rows(rule, times) + ")"
    for index in range(1, len(rule.bases)):
        link = (
            f"SELECT g, t, r, if(r = {index}, max(if(r = {index - 1}, start, 0)) OVER"
            " (PARTITION BY g ORDER BY t RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), start) AS start"
            f" FROM ({link})"
        )
    return (
        f"SELECT g, t AS at FROM ({link}) WHERE r = {len(rule.bases) - 1} AND start > 0 AND t - start <= {rule.span_us}"
    )


def evidence(rule: CorrelationRule, group: list[str], times: Range) -> str:
    """What one group did in a range: counts, times, a sample of values, the rows."""
    g = "CAST([" + ", ".join(map(literal, group)) + "], 'Array(String)')"
    return (
        "SELECT uniqExact(id) AS events, uniqExact(key) AS keys, min(t) AS first, max(t) AS last,"
        " groupUniqArray(10)(shown) AS sample,"
        f" arrayMap(x -> x.2, arraySlice(arraySort(groupArray({MAX_EVIDENCE * 50})((t, ref))), 1, {MAX_EVIDENCE}))"
        " AS refs,"
        " if(uniqExact(sip) = 1, any(sip), '') AS source_ip, if(uniqExact(dip) = 1, any(dip), '') AS destination_ip,"
        " if(uniqExact(usr) = 1, any(usr), '') AS user_name, if(uniqExact(agent) = 1, any(agent), '') AS agent_id,"
        " if(uniqExact(host) = 1, any(host), '') AS host_name"
        f" FROM ({_rows(rule, times, full=True)}) WHERE g = {g} {_SETTINGS}"
    )


def _rows(rule: CorrelationRule, times: Range, full: bool = False) -> str:
    """The rows of every base rule: time, rule, group, identity, counted key, summed value."""
    return " UNION ALL ".join(_arm(rule, index, base, times, full) for index, base in enumerate(rule.bases))


def _arm(rule: CorrelationRule, index: int, base: Base, times: Range, full: bool) -> str:
    table = base.rule.table
    group = ", ".join(map(text_sql, base.group_by))
    identity = _IDENTITY.get(table, _ROW)
    values = ", ".join(map(text_sql, base.values))
    key = {"value_count": f"sipHash128({values})", "temporal": f"sipHash128({index})"}.get(rule.type, identity)
    value = f"toInt64({base.values[0].name})" if rule.type in ("value_sum", "value_avg") else "toInt64(0)"
    columns = [
        f"toUnixTimestamp64Micro({_time(base)}) AS t",
        f"{index} AS r",
        f"CAST([{group}], 'Array(String)') AS g",
        f"{key} AS key",
        f"{value} AS v",
    ]
    if full:
        names = {column.name for column in TABLES[table].columns}
        columns += [
            f"{identity} AS id",
            f"{_shown(base)} AS shown",
            f"concat({literal(table)}, '/', agent_id, '/', boot_id, '/', stream, '/', toString(sequence)) AS ref",
            ("IPv6NumToString(source_ip)" if "source_ip" in names else "''") + " AS sip",
            ("IPv6NumToString(destination_ip)" if "destination_ip" in names else "''") + " AS dip",
            ("toString(user_name)" if "user_name" in names else "''") + " AS usr",
            "toString(agent_id) AS agent",
            "toString(host_name) AS host",
        ]
    when = _time(base)
    return (
        f"SELECT {', '.join(columns)} FROM {table}"
        f" WHERE {when} >= fromUnixTimestamp64Micro({times.low_us})"
        f" AND {when} <= fromUnixTimestamp64Micro({times.high_us})"
        f" AND collector_time >= fromUnixTimestamp64Micro({max(0, times.low_us - CLOCK_AHEAD_US)})"
        f" AND {_where(base, rule)}"
    )


def _where(base: Base, rule: CorrelationRule) -> str:
    """The base rule, and what it groups by is there; a value that is absent is no value to count."""
    wanted = [*base.group_by, *(base.values if rule.type == "value_count" else ())]
    return " AND ".join([condition(base.rule.tree), *map(present, wanted)])


def _time(base: Base) -> str:
    return TABLES[base.rule.table].event_time


def _shown(base: Base) -> str:
    """What a sample shows: the counted values, or what the table is about."""
    if base.values:
        parts = [text_sql(column) for column in base.values]
    else:
        parts = [text_sql(TABLES[base.rule.table].column(_ABOUT[base.rule.table]))]
    return parts[0] if len(parts) == 1 else "concat(" + ", ' ', ".join(parts) + ")"


def text_sql(column: Column) -> str:
    """A column as text: folded, addresses as people write them, lists joined."""
    match column.kind:
        case Kind.TEXT | Kind.NAME:
            return fold_sql(f"toString({column.name})")
        case Kind.IP:
            return address_sql(column.name)
        case Kind.TEXTS:
            return f"arrayStringConcat({column.name}, ' ')"
        case _:
            return f"toString({column.name})"
