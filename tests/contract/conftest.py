"""Every store that can run here. A server is used when LUYTRE_TEST_CLICKHOUSE=clickhouse://USER:PASSWORD@HOST:PORT
names one; its databases luytre and luytre_local are dropped before every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import pytest
from luytre_collector.store import embedded, server
from luytre_collector.store.base import Store
from luytre_collector.store.choose import Config, make_store
from luytre_collector.store.sql import DATABASE, LOCAL_DATABASE

SERVER = os.environ.get("LUYTRE_TEST_CLICKHOUSE", "")
STORES = ["embedded", "server"] if SERVER else ["embedded"]


def server_config(url: str, tmp_path: Path) -> server.Config:
    parts = urlparse(url)
    password = tmp_path / "password"
    password.write_text(f"{parts.password or ''}\n")
    return server.Config(
        hosts=[f"{parts.hostname}:{parts.port or 9000}"], user=parts.username or "default", password_file=password
    )


@pytest.fixture(params=STORES)
def store_config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    if request.param == "server":
        config = Config(engine="server", server=server_config(SERVER, tmp_path))
        cleaner = server.ServerStore(config.server, config.people)
        cleaner.open()
        for database in (LOCAL_DATABASE, DATABASE):
            cleaner.command(f"DROP DATABASE IF EXISTS {database} SYNC")
        cleaner.close()
        return config
    return Config(embedded=embedded.Config(directory=tmp_path / "store"))


@pytest.fixture
def store(store_config: Config) -> Iterator[Store]:
    """Open, its schema today's."""
    one = make_store(store_config)
    one.open()
    try:
        one.migrate()
        yield one
    finally:
        one.close()
