"""Parts held still: by whom, how long, in which order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from luytre_collector import query
from luytre_collector.backup import frozen
from luytre_collector.query import serve_queries
from luytre_collector.store import embedded, readonly
from luytre_collector.store.base import StoreError
from luytre_common.errors import UserError
from luytre_common.schema import TABLES
from luytre_common.telemetry import Counters

from tests.contract.rows import make


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[embedded.EmbeddedStore]:
    one = embedded.EmbeddedStore(embedded.Config(tmp_path / "store"), readonly.Config())
    one.open()
    yield one
    one.close()


async def until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not ready():
            await asyncio.sleep(0.005)


def held(folder: Path) -> list[Path]:
    return list((folder / "shadow").glob("luytre_backup_*"))


def test_what_is_derived_comes_before_its_sources_and_alerts_last() -> None:
    order = frozen.in_order(["alerts", "flows", "flows_1m", "rollup_windows", "dns", "first_seen", "schema_version"])
    assert order == ["rollup_windows", "first_seen", "flows_1m", "dns", "flows", "schema_version", "alerts"]


async def test_parts_are_held_as_long_as_the_connection_lives(store: embedded.EmbeddedStore, tmp_path: Path) -> None:
    store.migrate()
    store.insert("flows", make(TABLES["flows"], 20), "token")
    folder, counters = tmp_path / "store", Counters("query")
    (folder / "shadow/luytre_backup_old").mkdir(parents=True)
    async with serve_queries(store, folder / query.NAME, counters):
        assert held(folder) == []
        reader, writer = await asyncio.open_unix_connection(str(folder / query.NAME))
        writer.write(b'{"freeze": true}\n')
        head = json.loads(await reader.readline())
        facts = frozen.Frozen.from_json(json.loads(await reader.readexactly(head["size"])))
        assert facts.schema_version == 1
        (part,) = (folder / facts.tables["flows"][1]).iterdir()
        store.command("TRUNCATE TABLE luytre.flows")
        assert (part / "count.txt").read_text() == "20"
        assert counters.get("backups") == 1
        writer.close()
        await until(lambda: held(folder) == [])

        _, second = await asyncio.open_unix_connection(str(folder / query.NAME))
        second.write(b'{"freeze": true}\n')
        await until(lambda: counters.get("backups") == 2)
    assert len(held(folder)) == 1  # the collector stops, and who copies goes on
    second.close()
    frozen.sweep(folder)
    assert held(folder) == []


async def test_without_tables_there_is_nothing_to_hold(store: embedded.EmbeddedStore, tmp_path: Path) -> None:
    counters = Counters("query")
    async with serve_queries(store, tmp_path / "store" / query.NAME, counters):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "store" / query.NAME))
        writer.write(b'{"freeze": true}\n')
        answer = json.loads(await reader.readline())
        writer.close()
    assert answer["status"] == "failed"
    assert "no tables there yet" in answer["message"]
    assert counters.get("queries_failed", "store") == 1


def test_parts_that_are_not_where_they_should_be(tmp_path: Path) -> None:
    """A backup must not be empty because an engine froze to some other place."""
    one = embedded.EmbeddedStore(embedded.Config(tmp_path / "store"), readonly.Config())
    with pytest.raises(StoreError, match="not open"):
        frozen.freeze(one, tmp_path)
    one.open()
    try:
        with pytest.raises(UserError, match="no tables there yet"):
            frozen.freeze(one, tmp_path)
        one.migrate()
        with pytest.raises(StoreError, match="the engine did not put the parts of schema_version there"):
            frozen.freeze(one, tmp_path / "elsewhere")
    finally:
        one.close()
