from __future__ import annotations

import heapq
from collections import Counter
from random import Random

import pytest
from luytre_agent.uplink.backoff import Backoff


def test_the_ceiling_doubles_up_to_the_cap_and_the_wait_is_drawn_below_it() -> None:
    top = Backoff(lambda: 1.0, base_s=0.5, cap_s=60)
    assert [top.next() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    top.reset()
    assert top.next() == 0.5
    half = Backoff(lambda: 0.5, base_s=2, cap_s=60)
    assert [half.next() for _ in range(3)] == [1, 2, 4]


def test_it_never_overflows() -> None:
    backoff = Backoff(lambda: 1.0)
    assert max(backoff.next() for _ in range(5000)) == 60


def test_the_ceiling_is_never_below_the_spread_nor_above_the_cap() -> None:
    top = Backoff(lambda: 1.0, base_s=0.5, cap_s=60, spread_s=5)
    assert top.first() == 5
    assert [top.next() for _ in range(9)] == [5, 5, 5, 5, 8, 16, 32, 60, 60]
    assert Backoff(lambda: 1.0, cap_s=0.1, spread_s=5).first() == 0.1
    assert Backoff(lambda: 1.0, cap_s=0.1, spread_s=5).next() == 0.1


def test_who_was_asked_to_come_later_does() -> None:
    top = Backoff(lambda: 1.0, base_s=0.5, cap_s=60)
    top.busy()
    assert [top.next() for _ in range(3)] == [16, 32, 60]
    top.busy()
    assert top.next() == 60


def fleet(agents: int, spread_s: float, away_s: float, per_second: int) -> tuple[list[float], list[int]]:
    """Agents lose a collector at second 0; it is back after `away_s` and greets so many in a second, others hear that
    it is busy. When each got in, and how many knocked in each second from then on."""
    queue: list[tuple[float, int]] = []
    backoffs = [Backoff(Random(number).random, spread_s=spread_s) for number in range(agents)]
    for number, backoff in enumerate(backoffs):
        heapq.heappush(queue, (backoff.next(), number))
    entered: list[float] = []
    knocks, greeted = Counter[int](), Counter[int]()
    while queue:
        now, number = heapq.heappop(queue)
        if now >= away_s:
            knocks[int(now)] += 1
            if greeted[int(now)] < per_second:
                greeted[int(now)] += 1
                entered.append(now)
                continue
            backoffs[number].busy()
        heapq.heappush(queue, (now + backoffs[number].next(), number))
    return entered, [knocks[second] for second in range(int(away_s), int(entered[-1]) + 1)]


@pytest.mark.parametrize("away_s", [0.0, 10.0, 600.0])
def test_two_thousand_agents_that_come_back_spread(away_s: float) -> None:
    entered, knocks = fleet(2000, spread_s=30.0, away_s=away_s, per_second=100)
    assert len(entered) == 2000
    assert max(knocks) <= 200, "a tenth of the fleet in any second"
    assert entered[-1] - away_s < 180, "and all are there after three minutes"


def test_without_a_spread_they_would_come_all_at_once() -> None:
    assert max(fleet(2000, spread_s=0.0, away_s=0.0, per_second=100)[1]) >= 2000
    knocks = fleet(2000, spread_s=2.0, away_s=0.0, per_second=100)[1]
    assert max(knocks) < 1200, "the default halves it; larger fleets give more"
