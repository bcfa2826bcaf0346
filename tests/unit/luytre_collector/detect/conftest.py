"""A store for the tests of rules over tables: one engine per file, as a process has one; empty before each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from luytre_collector.store import embedded, readonly


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EmbeddedStore]:
    folder: Path = tmp_path_factory.mktemp("detect")
    one = embedded.EmbeddedStore(embedded.Config(directory=folder / "store"), readonly.Config())
    one.open()
    one.migrate()
    yield one
    one.close()


@pytest.fixture
def store(engine: embedded.EmbeddedStore) -> embedded.EmbeddedStore:
    for table in ("flows", "dns", "tls", "processes", "alerts"):
        engine.command(f"TRUNCATE TABLE {table}")
    return engine
