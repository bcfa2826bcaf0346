"""The hash chain is the documented one, and every part of a batch counts."""

from __future__ import annotations

import hashlib

import pytest
from luytre_common.wire import chain

BOOT = "0d4f6c0e-3f0b-4a5e-9d0e-0f5a1d2b3c4d"


def test_it_is_what_the_documentation_says() -> None:
    start = chain.start(BOOT, "flows")
    assert start == hashlib.sha256(b"luytre chain 1\0" + BOOT.encode() + b"\0flows").digest()
    body = hashlib.sha256(b"body").digest()
    expected = hashlib.sha256(start + (7).to_bytes(8, "little") + (3).to_bytes(4, "little") + body).digest()
    assert chain.link(start, 7, 3, b"body") == expected
    assert len(expected) == chain.SIZE


@pytest.mark.parametrize(
    ("first", "rows", "body"), [(1, 2, b"a"), (0, 3, b"a"), (0, 2, b"b"), (0, 2, b""), (2**63, 2, b"a")]
)
def test_a_batch_that_differs_anywhere_has_another_link(first: int, rows: int, body: bytes) -> None:
    start = chain.start(BOOT, "flows")
    assert chain.link(start, first, rows, body) != chain.link(start, 0, 2, b"a")


def test_it_depends_on_all_that_came_before() -> None:
    start = chain.start(BOOT, "flows")
    honest = chain.link(chain.link(start, 0, 2, b"a"), 2, 2, b"b")
    assert chain.link(chain.link(start, 0, 2, b"x"), 2, 2, b"b") != honest
    assert chain.start(BOOT, "dns") != start
