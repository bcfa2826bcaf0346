from __future__ import annotations

import time

import pytest
from luytre_collector.scratch import scratch_store
from luytre_collector.store import embedded
from luytre_common.errors import UserError

from tests.support.rule_trees import batch


def test_it_is_empty_every_time() -> None:
    with scratch_store() as scratch:
        assert scratch is not None
        for number in range(2):
            store = scratch()
            assert store.query("SELECT count() AS rows FROM flows").to_pylist() == [{"rows": 0}]
            store.insert("flows", batch("flows", [{"collector_time": int(time.time()) * 1_000_000}]), f"token-{number}")
            assert store.query("SELECT count() AS rows FROM flows").to_pylist() == [{"rows": 1}]


def test_without_the_engine_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: embedded.EmbeddedStore) -> None:
        raise UserError("the embedded store needs chdb")

    monkeypatch.setattr(embedded.EmbeddedStore, "open", refuse)
    with scratch_store() as scratch:
        assert scratch is None
