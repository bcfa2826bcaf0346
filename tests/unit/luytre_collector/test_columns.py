"""The column table as pyarrow sees it."""

import pytest
from luytre_collector.columns import arrow_type, constant, numbered, schema_of, zeros
from luytre_common.schema import TABLES, Kind


@pytest.mark.parametrize("kind", Kind)
def test_types_are_those_of_the_column_table(kind: Kind) -> None:
    assert str(arrow_type(kind)) == kind.arrow


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_zeros_have_the_type_and_hold_no_null(kind: Kind, count: int) -> None:
    array = zeros(kind, count)
    assert array.type == arrow_type(kind)
    assert len(array) == count
    assert array.null_count == 0
    array.validate(full=True)


def test_constant() -> None:
    assert constant(Kind.NAME, "web-01", 3).to_pylist() == ["web-01"] * 3
    assert constant(Kind.U16, 53, 2).to_pylist() == [53, 53]

    assert constant(Kind.TIME, 7, 2).cast("int64").to_pylist() == [7, 7]
    assert constant(Kind.TEXT, "x", 2).to_pylist() == ["x", "x"]
    assert constant(Kind.I32, -1, 2).to_pylist() == [-1, -1]


@pytest.mark.parametrize("rows", [300_000, 1 << 18, 3])
def test_long_columns_are_as_short_ones(rows: int) -> None:
    """Those up to 2**18 rows share their zeros."""
    for kind in Kind:
        array = zeros(kind, rows)
        array.validate(full=True)
        assert len(array) == rows
        assert array.slice(rows - 1).to_pylist() == zeros(kind, 1).to_pylist()
    assert numbered(2**63 - 1, rows)[rows - 1].as_py() == 2**63 + rows - 2
    assert numbered(0, rows).slice(0, 3).to_pylist() == [0, 1, 2]


def test_schema_keeps_the_order() -> None:
    table = TABLES["flows"]
    assert schema_of(table.agent_columns).names == [column.name for column in table.agent_columns]
