"""The common columns."""

from dataclasses import replace

import pyarrow as pa
import pytest
from luytre_collector.columns import stored_schema
from luytre_collector.enrich import ENRICHERS, build
from luytre_collector.enrich.direction import Config
from luytre_collector.enrich.stamp import Stamp, stamp
from luytre_common.schema import TABLES, WIRE_TABLES

from tests.support.batches import BOOT, NOW_US, rows

GIVEN = Stamp("web-01", "web-01.hue.example", BOOT, "s", 7, NOW_US, NOW_US + 5)


@pytest.mark.parametrize("table", WIRE_TABLES)
def test_every_stored_column_is_there(table: str) -> None:
    made = stamp(TABLES[table], [(pa.Table.from_batches([rows(table, 4)]), GIVEN)])
    made.validate(full=True)
    assert made.schema == stored_schema(TABLES[table])
    assert made.column("sequence").to_pylist() == [7, 8, 9, 10]
    assert set(made.column("agent_id").to_pylist()) == {"web-01"}
    assert set(made.column("stream").to_pylist()) == {"s"}
    assert made.column("agent_time").cast(pa.int64()).to_pylist() == [NOW_US] * 4
    assert made.column("collector_time").cast(pa.int64()).to_pylist() == [NOW_US + 5] * 4


def test_batches_of_several_agents_are_one_piece_with_one_dictionary() -> None:
    made = stamp(
        TABLES["dns"],
        [
            (pa.Table.from_batches([rows("dns", 3)]), GIVEN),
            (pa.Table.from_batches([rows("dns", 2)]), replace(GIVEN, agent_id="web-02", first_sequence=0)),
            (pa.Table.from_batches([rows("dns", 1)]), replace(GIVEN, first_sequence=2**63 - 1, agent_time=NOW_US + 1)),
        ],
    )
    made.validate(full=True)
    assert made.schema == stored_schema(TABLES["dns"])
    assert {column.num_chunks for column in made.columns} == {1}
    assert made.column("sequence").to_pylist() == [7, 8, 9, 0, 1, 2**63 - 1]
    assert made.column("agent_id").to_pylist() == ["web-01"] * 3 + ["web-02"] * 2 + ["web-01"]
    assert made.column("agent_id").chunk(0).dictionary.to_pylist() == ["web-01", "web-02"]
    assert made.column("agent_time").cast(pa.int64()).to_pylist() == [NOW_US] * 5 + [NOW_US + 1]


def test_enrichers_name_tables() -> None:
    assert ENRICHERS.keys() <= TABLES.keys()
    assert build(Config()).keys() == ENRICHERS.keys()
