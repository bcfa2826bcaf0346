"""One store and one endpoint for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from luytre_collector.store.embedded import EmbeddedStore

from tests.support.endpoint import Endpoint, filled_store, served


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    with filled_store(tmp_path_factory.mktemp("store")) as one:
        yield one


@pytest.fixture(scope="module")
def endpoint(store: EmbeddedStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with served(store.ask, tmp_path_factory.mktemp("endpoint")) as one:
        yield one
