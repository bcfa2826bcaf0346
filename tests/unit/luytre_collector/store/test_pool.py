"""Connections, shared and discarded."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from luytre_collector.store.base import StoreUnavailableError
from luytre_collector.store.pool import Pool


class Line:
    """Makes numbered connections and remembers which were closed."""

    def __init__(self) -> None:
        self.numbers: Iterator[int] = count()
        self.closed: list[int] = []

    def pool(self, size: int) -> Pool[int]:
        return Pool(lambda: next(self.numbers), self.closed.append, size)


def test_a_connection_is_used_again() -> None:
    line = Line()
    pool = line.pool(2)
    with pool.take() as first, pool.take() as second:
        assert {first, second} == {0, 1}
    with pool.take() as again:
        assert again in (0, 1)
    pool.close()
    assert sorted(line.closed) == [0, 1]


def fail(pool: Pool[int]) -> None:
    with pool.take():
        raise ValueError("the query failed")


def test_after_a_fault_it_is_not() -> None:
    line = Line()
    pool = line.pool(1)
    with pytest.raises(ValueError, match="failed"):
        fail(pool)
    assert line.closed == [0]
    with pool.take() as fresh:
        assert fresh == 1


def test_a_closed_pool_gives_nothing() -> None:
    line = Line()
    pool = line.pool(1)
    pool.close()
    with pytest.raises(StoreUnavailableError, match="closed"), pool.take():
        pass
    assert line.closed == []
