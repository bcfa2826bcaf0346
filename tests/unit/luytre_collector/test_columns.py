"""The column table as pyarrow sees it."""

import pytest
from luytre_collector.columns import arrow_type, constant, schema_of, zeros
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


def test_schema_keeps_the_order() -> None:
    table = TABLES["flows"]
    assert schema_of(table.agent_columns).names == [column.name for column in table.agent_columns]
