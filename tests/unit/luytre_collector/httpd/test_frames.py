"""Compressed blocks without the packages for them; with them, see tests/contract/test_clickhouse_http.py."""

from __future__ import annotations

import sys

import pytest
from luytre_collector.httpd.frames import framed
from luytre_collector.store.guest import AnswerError


@pytest.mark.parametrize("missing", ["lz4.block", "clickhouse_cityhash.cityhash"])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(AnswerError, match=r"install it, or turn compression off") as refused:
        framed(b"x")
    assert refused.value.code == 48


def test_nothing_is_no_block() -> None:
    assert framed(b"") == b""
