"""A store in a temporary folder, for the examples of rules; gone when they have run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from luytre_common.errors import UserError
from luytre_common.schema import TABLES

from luytre_collector.store import embedded, readonly


@contextmanager
def scratch_store() -> Iterator[Callable[[], embedded.EmbeddedStore] | None]:
    """A function that empties the store and gives it; None where the embedded engine is not installed."""
    with tempfile.TemporaryDirectory(prefix="luytre-rules-") as folder:
        store = embedded.EmbeddedStore(embedded.Config(directory=Path(folder) / "store"), readonly.Config())
        try:
            store.open()
        except UserError:
            yield None
            return
        try:
            store.migrate()
            yield lambda: _emptied(store)
        finally:
            store.close()


def _emptied(store: embedded.EmbeddedStore) -> embedded.EmbeddedStore:
    for name, table in TABLES.items():
        if table.from_agent or name == "alerts":
            store.command(f"TRUNCATE TABLE {name}")
    return store
