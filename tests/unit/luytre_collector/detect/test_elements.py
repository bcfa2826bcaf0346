from __future__ import annotations

import pyarrow as pa
import pytest
from luytre_collector.detect.columnar import Batch
from luytre_collector.detect.elements import element, elements
from luytre_common.schema import TABLES

ARGS = TABLES["processes"].column("process_args")
LISTS = [["a", "b", "c"], [], ["d"], ["", "e"], ["g", "h"]]


@pytest.mark.parametrize("index", [0, 1, 2, 3, 9999])
@pytest.mark.parametrize(("start", "length"), [(0, 5), (1, 3), (2, 1), (5, 0)])
def test_of_each_row_or_nothing(index: int, start: int, length: int) -> None:
    lists = pa.array([["before"], *LISTS], pa.list_(pa.string())).slice(1 + start, length)
    wanted = [row[index] if index < len(row) else "" for row in LISTS[start : start + length]]
    assert elements(lists, index).to_pylist() == wanted


def test_of_a_batch_with_nulls_in_pieces_and_without_the_column() -> None:
    second = element(ARGS, 1)
    rows = pa.table({"process_args": pa.chunked_array([[["a", "b"], None], [["c", None]]], pa.list_(pa.string()))})
    assert Batch(rows).array(second).to_pylist() == ["b", "", ""]
    assert Batch(pa.table({"x": [1, 2]})).array(second).to_pylist() == ["", ""]


def test_is_called_as_clickhouse_calls_it() -> None:
    assert (element(ARGS, 0).name, element(ARGS, 0).alias) == ("process_args[1]", "process_args[1]")
