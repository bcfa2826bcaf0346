"""Every store that can run here: the embedded engine, the server store through the bridge (see tests/support/bridge),
and the server store on a ClickHouse server where LUYTRE_TEST_CLICKHOUSE=clickhouse://USER:PASSWORD@HOST:PORT names one;
`clickhouses://` is with TLS. The server's databases luytre and luytre_local are dropped before every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from luytre_collector.store import embedded, readonly, server
from luytre_collector.store.base import Store
from luytre_collector.store.choose import Config, make_store
from luytre_collector.store.sql import DATABASE, LOCAL_DATABASE

from tests.support.bridge.process import Bridge

SERVER = os.environ.get("LUYTRE_TEST_CLICKHOUSE", "")
STORES = ["embedded", "bridge", *(["clickhouse"] if SERVER else [])]


def config_of(url: str, folder: Path) -> server.Config:
    """The server that a URL names."""
    parts = urlparse(url)
    password = folder / "password"
    password.write_text(f"{unquote(parts.password or '')}\n")
    tls = parts.scheme == "clickhouses"
    return server.Config(
        hosts=[f"{parts.hostname}:{parts.port or (9440 if tls else 9000)}"],
        user=unquote(parts.username or "default"),
        password_file=password,
        tls=tls,
    )


def empty(config: server.Config) -> server.Config:
    """The same, without our databases."""
    cleaner = server.ServerStore(config, readonly.Config())
    cleaner.open()
    for database in (LOCAL_DATABASE, DATABASE):
        cleaner.command(f"DROP DATABASE IF EXISTS {database} SYNC")
    cleaner.close()
    return config


@pytest.fixture(scope="session")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    """One for all tests that leave it as it is."""
    with Bridge(tmp_path_factory.mktemp("bridge") / "store") as running:
        yield running


@pytest.fixture(params=STORES)
def store_config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    if request.param == "embedded":
        return Config(embedded=embedded.Config(directory=tmp_path / "store"))
    if request.param == "clickhouse":
        return Config(engine="server", server=empty(config_of(SERVER, tmp_path)))
    running: Bridge = request.getfixturevalue("bridge")
    return Config(engine="server", server=empty(server.Config(hosts=[running.host])))


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
