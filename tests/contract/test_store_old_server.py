"""What the server store sends, taken by a real server's own code: Debian's clickhouse-server 18.16.

It is too old for the store itself, which says so; tables of the types that it knows take the same blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from luytre_collector.store import readonly, server, sql
from luytre_collector.store.base import OldServerError, StoreError, StoreUnavailableError
from luytre_collector.store.driver import RowClient, mapped
from luytre_collector.store.errors import insert_error
from luytre_collector.store.rows import prepare
from luytre_common.schema import TABLES, Column, Kind, Table

from tests.contract.rows import make
from tests.support.old_server import NotHereError, OldServer

#: What stands for the types that it does not know: the same bytes.
_OLD = {Kind.IP: "FixedString(16)", Kind.TIME: "Int64"}


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldServer]:
    try:
        running = OldServer(tmp_path_factory.mktemp("old") / "server").__enter__()
    except NotHereError as why:
        pytest.skip(str(why))
    yield running
    running.__exit__()


def create(client: RowClient, table: Table) -> None:
    columns = ", ".join(f"`{one.name}` {_OLD.get(one.kind, one.kind.clickhouse)}" for one in table.stored_columns)
    client.execute("CREATE DATABASE IF NOT EXISTS luytre")
    client.execute(f"DROP TABLE IF EXISTS luytre.{table.name}")
    client.execute(f"CREATE TABLE luytre.{table.name} ({columns}) ENGINE = MergeTree ORDER BY (agent_id, sequence)")


def insert(client: RowClient, table: Table, rows: pa.Table) -> None:
    statement = f"INSERT INTO luytre.{table.name} ({sql.column_list(table)}) VALUES"
    client.insert(statement, prepare(table, rows), {"max_insert_block_size": 1 << 20})


def written(column: Column) -> str:
    return f"hex(`{column.name}`)" if column.kind is Kind.IP else f"`{column.name}`"


def meant(column: Column, rows: pa.Table) -> list[Any]:
    values = rows.column(column.name)
    if column.kind is Kind.TIME:
        values = values.cast(pa.int64())
    found = values.to_pylist()
    return [value.hex().upper() for value in found] if column.kind is Kind.IP else found


@pytest.mark.parametrize("compression", [False, "lz4", "zstd"])
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_real_server_takes_our_blocks(old: OldServer, table: Table, compression: bool | str) -> None:
    rows = make(table, 300)
    with RowClient("127.0.0.1", old.port, compression=compression) as client:
        create(client, table)
        insert(client, table, rows)
        insert(client, table, make(table, 5, first=300, nasty=False))
        assert client.execute(f"SELECT count() FROM luytre.{table.name}") == [(305,)]
        for column in table.stored_columns:
            wanted = meant(column, rows)
            answer = client.execute(
                f"SELECT {written(column)} FROM luytre.{table.name} WHERE sequence < 300 ORDER BY sequence"
            )
            assert [list(value) if isinstance(value, tuple) else value for (value,) in answer] == wanted, column.name


def test_it_is_too_old_for_the_store(old: OldServer) -> None:
    store = server.ServerStore(server.Config(hosts=[f"127.0.0.1:{old.port}"]), readonly.Config())
    with pytest.raises(OldServerError, match=r"ClickHouse 18\.16\.1 is too old; upgrade it to 24\.3 or later"):
        store.open()


def test_its_errors_are_ours(old: OldServer) -> None:
    table = TABLES["agent_health"]
    rows = make(table, 5)
    client = RowClient("127.0.0.1", old.port)
    create(client, table)
    with pytest.raises(StoreError, match=r"Syntax error") as wrong, mapped(client):
        client.execute("SELEC 1")
    assert "\n" not in str(wrong.value)
    client.execute("DROP TABLE luytre.agent_health")
    with (
        pytest.raises(StoreUnavailableError, match=r"agent_health: Table luytre\.agent_health doesn't exist") as gone,
        mapped(client, lambda text, code: insert_error(text, table.name, code)),
    ):
        insert(client, table, rows)
    assert gone.value.cause == "unknown_table"
    create(client, table)
    reader = RowClient("127.0.0.1", old.port, user="reader", password="secret")
    with pytest.raises(StoreUnavailableError) as refused, mapped(reader):
        insert(reader, table, rows)
    assert refused.value.cause == "readonly"
    stranger = RowClient("127.0.0.1", old.port, user="reader", password="wrong")
    with pytest.raises(StoreUnavailableError) as unknown, mapped(stranger):
        stranger.execute("SELECT 1")
    assert unknown.value.cause == "wrong_password"
    assert client.execute("SELECT count() FROM luytre.agent_health") == [(0,)]
    for one in (client, reader, stranger):
        one.disconnect()
