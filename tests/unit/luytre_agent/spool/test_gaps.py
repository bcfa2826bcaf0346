from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given
from luytre_agent.batch import Key
from luytre_agent.spool import gaps
from luytre_agent.spool.gaps import Gap, Ranges, join

from tests.support import spooled

GAP = Gap(Key("0d4f6c0e-3f0b-4a5e-9d0e-0f5a1d2b3c4d", "flows"), "quota", 0, 9, 1.5)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8))), st.integers(0, 60), st.integers(0, 70))
def test_ranges_are_the_set_of_their_numbers(pairs: list[tuple[int, int]], low: int, high: int) -> None:
    ranges = Ranges([(first, first + more) for first, more in pairs])
    numbers = {one for first, more in pairs for one in range(first, first + more + 1)}
    assert {one for first, last in ranges for one in range(first, last + 1)} == numbers
    assert all((one in ranges) == (one in numbers) for one in range(80))
    apart = list(ranges)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(apart))
    holes = [one for first, last in ranges.holes(low, high) for one in range(first, last + 1)]
    assert holes == [one for one in range(low, high + 1) if one not in numbers]
    ranges.forget(low)
    assert list(ranges) == [pair for pair in apart if pair[1] > low]


def test_ranges_are_compared_by_their_numbers() -> None:
    assert Ranges([(0, 1), (2, 3)]) == Ranges([(0, 3)])
    assert repr(Ranges([(0, 3)])) == "Ranges([(0, 3)])"
    with pytest.raises(TypeError):
        hash(Ranges())


def test_neighbours_become_one() -> None:
    other = replace(GAP, key=Key(GAP.key.boot_id, "dns"))
    found: list[Gap] = []
    for gap in (GAP, other, replace(GAP, first=10, last=19, time=2.0), replace(GAP, first=30, last=39)):
        assert join(found, gap)
    assert found == [replace(GAP, last=19, time=2.0), other, replace(GAP, first=30, last=39)]
    assert join(found, replace(GAP, cause="age", first=40, last=49))
    assert len(found) == 4


def test_what_is_being_told_is_not_changed() -> None:
    found = [GAP]
    assert join(found, replace(GAP, first=10, last=19), start=1)
    assert found[0] == GAP


def test_there_may_be_too_many() -> None:
    found: list[Gap] = []
    kept = [join(found, replace(GAP, first=2 * one, last=2 * one)) for one in range(gaps.MOST + 10)]
    assert kept == [True] * gaps.MOST + [False] * 10


def test_rows() -> None:
    sealed = gaps.rows_of([GAP, replace(GAP, cause="refused", first=12, last=12)])
    assert sealed
    assert (sealed.table, sealed.rows, sealed.first_event) == ("ledger", 2, 1_500_000)
    boot = GAP.key.boot_id
    assert spooled.gaps(sealed.body) == [(boot, "flows", "quota", 0, 9), (boot, "flows", "refused", 12, 12)]
    assert gaps.rows_of([]) is None
