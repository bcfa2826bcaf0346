"""The store on a ClickHouse server or cluster, over the native protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from luytre_common.telemetry import Counters

from luytre_collector.store import columns, migrate, readonly, sql, tiers
from luytre_collector.store.base import Numbering, StoreError, StoreUnavailableError
from luytre_collector.store.cluster import Cluster, spread
from luytre_collector.store.driver import Connector, Link
from luytre_collector.store.errors import insert_error, query_error
from luytre_collector.store.pool import Pool
from luytre_collector.store.render import render
from luytre_collector.store.rows import prepare, table_named
from luytre_collector.store.server_config import Config as Config

#: To each database, at most; made when first needed. As many as may insert at a time (`pipeline.workers`), and a few.
_CONNECTIONS = 12


class ServerStore:
    """See `Store`."""

    def __init__(self, config: Config, people: readonly.Config, counters: Counters | None = None) -> None:
        self._config = config
        self._people = people
        self._counters = counters or Counters("store")
        self._pools: dict[str, Pool[Link]] = {}

    def open(self) -> None:
        """Connect once, to know that it is possible. OldServerError, a UserError, names a version that is too old."""
        connector = Connector(self._config, self._counters)
        self._pools = {
            database: Pool(lambda database=database: Link(connector, database), Link.close, size=_CONNECTIONS)  # type: ignore[misc]
            for database in ("default", sql.DATABASE, sql.LOCAL_DATABASE)
        }
        try:
            with self._link("default") as link, link.client():
                pass
        except StoreError:
            self.close()
            raise

    def migrate(self) -> Sequence[str]:
        """See `Store.migrate`."""
        runner = _Migration(self)
        return [*migrate.migrate(runner, self._people.time_zone), *tiers.settle(runner, self._config)]

    def command(self, statement: str) -> None:
        """Run a statement that returns nothing of interest, with all rights of the user; on a cluster, everywhere."""
        cluster = self._config.cluster
        with self._link("default") as link, link.client() as client:
            for one in spread(statement, Cluster(cluster)) if cluster else (statement,):
                client.execute(one, settings=dict(self._config.insert_settings))

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """See `Store.insert`."""
        definition = table_named(table)
        prepared = prepare(definition, rows)
        if not prepared.num_rows:
            return
        settings = {**sql.INSERT_SETTINGS, **self._config.insert_settings, "insert_deduplication_token": token}
        statement = f"INSERT INTO {sql.DATABASE}.{table} ({sql.column_list(definition)}) VALUES"
        with (
            self._link(sql.DATABASE) as link,
            link.client(lambda text, code: insert_error(text, table, code)) as client,
        ):
            client.insert(statement, prepared, settings)

    def query(self, sql_text: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """See `Store.query`."""
        return self.query_in(sql.DATABASE, sql_text, parameters)

    def query_in(
        self,
        database: str,
        sql_text: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, int] | None = None,
    ) -> pa.Table:
        """Run a SELECT beside another default database, or with further settings."""
        with self._link(database) as link, link.client() as client:
            data, types = client.execute(
                sql_text,
                _parameters(parameters),
                with_column_types=True,
                columnar=True,
                settings={"session_timezone": "UTC", **(settings or {})},
            )
            return columns.to_arrow(types, data)

    def query_text(self, sql_text: str, form: str, utc: bool = False) -> bytes:
        """See `Store.query_text`."""
        readonly.check_form(form)
        zone, database = ("UTC", sql.DATABASE) if utc else (self._people.time_zone, sql.LOCAL_DATABASE)
        settings = {**readonly.settings(self._people, zone), "readonly": 1}
        with self._link(database) as link, link.client(query_error) as client:
            normal = client.execute(readonly.NORMALISE, {"statement": sql_text})
            readonly.check(str(normal[0][0]))
            data, types = client.execute(sql_text, with_column_types=True, columnar=True, settings=settings)
            return render(columns.to_arrow(types, data, for_people=True), form)

    def last_sequences(self, table: str, numberings: Sequence[Numbering]) -> Mapping[Numbering, int]:
        """See `Store.last_sequences`."""
        found: dict[Numbering, int] = {}
        for statement in sql.last_sequences(table_named(table), numberings):
            rows = self.query_in(sql.DATABASE, statement, settings=self._config.sequence_settings)
            found |= sql.found_sequences(rows)
        return found

    def close(self) -> None:
        """See `Store.close`."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()

    @contextmanager
    def _link(self, database: str) -> Iterator[Link]:
        pool = self._pools.get(database)
        if pool is None:
            raise StoreUnavailableError("the store is not open")
        with pool.take() as link:
            yield link


@dataclass(frozen=True)
class _Migration:
    """The store before its databases are there."""

    store: ServerStore

    def command(self, statement: str) -> None:
        self.store.command(statement)

    def query(self, sql_text: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        return self.store.query_in("default", sql_text, parameters)


def _parameters(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """For the driver, which escapes strings and lists itself but would write True for a Bool."""
    return {name: int(value) if isinstance(value, bool) else value for name, value in (values or {}).items()}
