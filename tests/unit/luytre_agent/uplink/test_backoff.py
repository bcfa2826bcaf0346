from __future__ import annotations

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
