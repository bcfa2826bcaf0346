"""Rows whose clock cannot be right: far ahead of their arrival, or far behind it. Pure.

They go to table `quarantine` with the reason, so that they neither hide in the far future nor are taken for news; rules
see them all the same. An alert about them has its arrival as its time: alerts are partitioned by month of their event,
and a clock that jumps about must not make a thousand partitions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from luytre_common.schema import COMMON, TABLES, Column, Kind, Table
from luytre_common.settings import at_least, at_most, setting

from luytre_collector.columns import constant, stored_schema, zeros
from luytre_collector.detect.alert import Alert
from luytre_collector.detect.predicates import address_text

TABLE = TABLES["quarantine"]

_SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Eight years: the months of one insert into `alerts` stay below the most partitions of an insert, 100 in ClickHouse.
_LONGEST_S = 8 * 366 * 86_400.0


@dataclass(frozen=True)
class Config:
    """Which times of events are believed."""

    ahead_s: float = setting(86_400.0, "seconds that an event may lie ahead of its arrival", at_least(0), at_most(1e6))
    behind_s: float = setting(
        5 * 366 * 86_400.0, "seconds that an event may lie behind its arrival", at_least(60), at_most(_LONGEST_S)
    )


@dataclass(frozen=True, slots=True)
class Split:
    """Rows that are believed, rows that are not, and why, for each of those."""

    believed: pa.Table
    others: pa.Table
    reasons: pa.Array[Any]


def count(times: Any, arrival_us: int, config: Config) -> int:
    """How many of the times of events are not believed."""
    numbers = _numbers(times)
    least, most = (found.as_py() for found in pc.min_max(numbers).values())
    if least is None or (least >= arrival_us - _early(config) and most <= arrival_us + _late(config)):
        return 0
    ahead, behind = _outside(numbers, pa.scalar(arrival_us, pa.int64()), config)
    return int(pc.sum(pc.or_(ahead, behind)).as_py() or 0)


def split(table: Table, rows: pa.Table, config: Config) -> Split | None:
    """Rows of every stored column by whether their time is believed; None if all are."""
    numbers = _numbers(rows.column(table.event_time))
    ahead, behind = _outside(numbers, _numbers(rows.column("collector_time")), config)
    mask: Any = pc.or_(ahead, behind)
    if not pc.any(mask).as_py():
        return None
    reasons: Any = pc.if_else(pc.filter(ahead, mask), "ahead", "behind")
    return Split(rows.filter(pc.invert(mask)), rows.filter(mask), reasons)


def _numbers(times: Any) -> Any:
    return times.cast(pa.int64())


def _outside(times: Any, arrivals: Any, config: Config) -> tuple[Any, Any]:
    late: Any = pa.scalar(_late(config), pa.int64())
    early: Any = pa.scalar(_early(config), pa.int64())
    return pc.greater(times, pc.add(arrivals, late)), pc.less(times, pc.subtract(arrivals, early))


def _late(config: Config) -> int:
    return int(config.ahead_s * _SECOND)


def _early(config: Config) -> int:
    return int(config.behind_s * _SECOND)


def stream_of(table: str, stream: str) -> str:
    """How table `quarantine` calls the numbering of another table: no agent can send rows under such a name."""
    return f"{table}/{stream}"


def quarantine_rows(table: Table, found: Split) -> pa.Table:
    """The rows that are not believed as rows of `quarantine`."""
    rows = found.others
    streams = [stream_of(table.name, str(stream)) for stream in rows.column("stream").to_pylist()]
    values: Mapping[str, Any] = {
        "event_time": rows.column(table.event_time),
        "quarantine_table": constant(Kind.NAME, table.name, rows.num_rows),
        "quarantine_reason": found.reasons,
        "quarantine_row": pa.array(_json(table, rows), pa.string()),
        "stream": pa.array(streams, pa.string()),
    }
    arrays = []
    for column in TABLE.stored_columns:
        array: Any = values[column.name] if column.name in values else rows.column(column.name)
        if column.kind is Kind.NAME and not pa.types.is_dictionary(array.type):
            array = array.dictionary_encode()
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=stored_schema(TABLE))


def _json(table: Table, rows: pa.Table) -> list[str]:
    shared = {column.name for column in COMMON}
    objects: list[dict[str, Any]] = [{} for _ in range(rows.num_rows)]
    for column in table.stored_columns:
        if column.name in shared:
            continue
        zero = zeros(column.kind, 1)[0].as_py()
        for one, value in zip(objects, _plain(column, rows.column(column.name)), strict=True):
            if value != zero:
                one[column.name] = _shown(column, value)
    return [json.dumps(one, ensure_ascii=False) for one in objects]


def _plain(column: Column, array: Any) -> list[Any]:
    return list((_numbers(array) if column.kind is Kind.TIME else array).to_pylist())


def _shown(column: Column, value: Any) -> Any:
    if column.kind is Kind.TIME:
        return _iso(value)
    return address_text(value) if column.kind is Kind.IP else value


def _iso(time_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def believable(alert: Alert, config: Config) -> Alert:
    """The alert; if its time is not believed, at the time when it was made, and with the other one in its evidence."""
    if -config.behind_s * _SECOND <= alert.event_time - alert.alert_created <= config.ahead_s * _SECOND:
        return alert
    stated = {**alert.evidence, "event_time_stated": _iso(alert.event_time)}
    return replace(alert, event_time=alert.alert_created, evidence=stated)
