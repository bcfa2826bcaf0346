"""The DDL, compared with files that were read by eye. To write them anew: LUYTRE_WRITE_GOLDEN=1."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from luytre_collector.store import ddl
from luytre_collector.store.migrate import view
from luytre_common.schema import STORED_TABLES, Column, Kind, Maker, Table

GOLDEN = Path(__file__).parents[3] / "golden/ddl"


def test_golden_files_are_those_of_the_tables() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.sql")) == sorted([*STORED_TABLES, "local_agents", "local_flows"])


@pytest.mark.parametrize("name", [*STORED_TABLES, "local_agents", "local_flows"])
def test_golden(name: str) -> None:
    if name.startswith("local_"):
        text = view(STORED_TABLES[name.removeprefix("local_")], "Asia/Ho_Chi_Minh")[0] + "\n"
    else:
        text = ddl.create_table(STORED_TABLES[name]) + "\n"
    path = GOLDEN / f"{name}.sql"
    if os.environ.get("LUYTRE_WRITE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_literals_and_names_are_escaped() -> None:
    assert ddl.text("it's\\\n\t\0") == "'it\\'s\\\\\\n\\t\\0'"
    assert ddl.name("a`b\\") == "`a\\`b\\\\`"


def test_a_column_says_codec_alias_and_meaning() -> None:
    assert ddl.column(Column("a", Kind.TIME, "it's", codec="Delta, ZSTD")) == (
        "`a` DateTime64(6, 'UTC') COMMENT 'it\\'s' CODEC(Delta, ZSTD)"
    )
    alias = Column("b", Kind.U64, "sum", maker=Maker.SQL, alias="x + 1")
    assert ddl.column(alias) == "`b` UInt64 ALIAS x + 1 COMMENT 'sum'"


def test_a_table_ordered_by_time_needs_no_time_index() -> None:
    table = Table("t", "m", (Column("event_time", Kind.TIME, "when"),), "event_time", ("event_time",))
    assert [name for name, _ in ddl.extras(table)] == ["last_sequence"]
