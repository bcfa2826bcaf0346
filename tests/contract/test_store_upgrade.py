"""From tables as earlier collectors left them to today's: tests/fixtures/schema, one folder for each state, as SHOW
CREATE TABLE printed it. `first` is from before codecs, sums and retention by class; `v1` is the schema of version 1
when it was numbered; `v1_registers` has organisations, systems and agents, ledger, hash chains and policies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from luytre_collector.store import embedded, readonly
from luytre_collector.store.base import StoreError
from luytre_common.errors import UserError
from luytre_common.schema import TABLES

from tests.contract.rows import make

STATES = sorted((Path(__file__).parents[1] / "fixtures/schema").iterdir())
WEB = ("web-01", "b0", "flows")
OLD_ROWS = (
    "INSERT INTO luytre.flows (agent_id, boot_id, stream, sequence, collector_time, flow_end, source_port)"
    " SELECT 'web-01', 'b0', 'flows', number, now64(6), now64(6), 443 FROM numbers(50)"
)


@contextmanager
def opened(folder: Path, state: Path | None = None) -> Iterator[embedded.EmbeddedStore]:
    store = embedded.EmbeddedStore(embedded.Config(folder), readonly.Config())
    store.open()
    try:
        for path in sorted(state.glob("*.sql")) if state else ():
            store.command(path.read_text())
        yield store
    finally:
        store.close()


def shape(store: embedded.EmbeddedStore) -> dict[str, list[Any]]:
    """All that makes a table what it is, but for its words for people."""
    questions = {
        "columns": "table, name, type, position, default_kind, default_expression, compression_codec"
        " FROM system.columns",
        "indexes": "table, name, type, expr, granularity FROM system.data_skipping_indices",
        "projections": "table, name, query FROM system.projections",
        "tables": "name, engine, partition_key, sorting_key, primary_key, extract(engine_full, ' TTL .*') AS ttl"
        " FROM system.tables",
    }
    found = {
        about: store.query(f"SELECT {what} WHERE database = 'luytre'").to_pylist() for about, what in questions.items()
    }
    return {about: sorted(rows, key=str) for about, rows in found.items()}


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    with opened(tmp_path_factory.mktemp("fresh") / "store") as store:
        store.migrate()
        return shape(store)


@pytest.mark.parametrize("state", STATES, ids=lambda path: path.name)
def test_an_upgrade_leads_to_the_tables_of_a_new_store(
    tmp_path: Path, state: Path, today: dict[str, list[Any]]
) -> None:
    with opened(tmp_path / "store", state) as store:
        store.command("INSERT INTO luytre.schema_version (version) VALUES (1)")
        store.command(OLD_ROWS)
        done = store.migrate()
        assert shape(store) == today
        assert store.migrate() == []
        assert any(line.startswith("changed the codecs of flows: ") for line in done) == (state.name == "first")
        assert ("removed the TTL of flows" in done) == (state.name == "first")
        assert store.last_sequences("flows", [WEB]) == {WEB: 49}
        store.insert("flows", make(TABLES["flows"], 10, first=50, nasty=False), "token")
        store.command("OPTIMIZE TABLE luytre.flows FINAL")
        (found,) = store.query(
            "SELECT count() AS n, uniqExact(sequence) AS d, countIf(source_port = 443) AS old FROM flows"
        ).to_pylist()
        assert (found["n"], found["d"]) == (60, 60)
        assert found["old"] >= 50


@pytest.mark.parametrize("good", [1, 20, 50])
def test_an_upgrade_that_fails_is_repeated(
    tmp_path: Path, good: int, today: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "store", STATES[0]) as store:
        run = store.command
        calls = iter(range(good))

        def failing(statement: str) -> None:
            if next(calls, None) is None:
                raise StoreError("the power went")
            run(statement)

        monkeypatch.setattr(store, "command", failing)
        with pytest.raises(StoreError, match="power"):
            store.migrate()
        monkeypatch.undo()
        assert store.migrate() != []
        assert shape(store) == today
        assert store.migrate() == []


def test_an_older_collector_refuses_tables_of_a_newer_one(tmp_path: Path) -> None:
    with opened(tmp_path / "store", STATES[-1]) as store:
        store.command("INSERT INTO luytre.schema_version (version) VALUES (1), (2)")
        before = shape(store)
        with pytest.raises(UserError, match="the tables have schema version 2, this collector knows up to 1; upgrade"):
            store.migrate()
        assert shape(store) == before
