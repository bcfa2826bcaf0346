"""What a column table must keep to."""

import re

import pyarrow as pa
import pytest
from luytre_common.schema import COMMON, REGISTERS, STORED_TABLES, TABLES, WIRE_TABLES, Kind, Maker, Table


@pytest.mark.parametrize("table", STORED_TABLES.values(), ids=lambda table: table.name)
def test_a_table_is_sound(table: Table) -> None:
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
    assert table.column(table.event_time).kind is Kind.TIME
    assert set(table.order_by) <= set(names)
    assert (table.columns[-len(COMMON) :] == COMMON) == table.numbered
    for column in table.columns:
        assert column.meaning
        assert not column.meaning.endswith(".")
        assert bool(column.alias) == (column.maker is Maker.SQL)
    if table.from_agent:
        assert table.event_time in [column.name for column in table.agent_columns]


@pytest.mark.parametrize("table", STORED_TABLES.values(), ids=lambda table: table.name)
def test_a_sigma_name_means_one_column(table: Table) -> None:
    owners: dict[str, str] = {}
    for column in table.columns:
        for name in column.sigma:
            assert owners.setdefault(name, column.name) == column.name


def test_the_same_name_has_the_same_kind_everywhere() -> None:
    kinds: dict[str, Kind] = {}
    for table in STORED_TABLES.values():
        for column in table.columns:
            assert kinds.setdefault(column.name, column.kind) is column.kind, column.name


def test_kinds_are_types_that_arrow_knows() -> None:
    built = {
        Kind.TIME: pa.timestamp("us", "UTC"),
        Kind.IP: pa.binary(16),
        Kind.TEXT: pa.string(),
        Kind.NAME: pa.dictionary(pa.int32(), pa.string()),
        Kind.TEXTS: pa.list_(pa.string()),
        Kind.U32S: pa.list_(pa.uint32()),
    }
    for kind in Kind:
        expected = built[kind] if kind in built else pa.type_for_alias(kind.arrow)
        assert kind.arrow == str(expected)
        assert kind.clickhouse


def test_only_agent_tables_are_on_the_wire() -> None:
    assert "alerts" not in WIRE_TABLES
    assert not set(REGISTERS) & {*WIRE_TABLES, *TABLES}
    assert {"flows", "dns", "tls", "processes", "agent_health"} <= set(WIRE_TABLES)
