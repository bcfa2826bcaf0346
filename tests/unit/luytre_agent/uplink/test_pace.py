from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_agent.uplink.pace import Pace, on_wire


def test_without_a_limit_nothing_waits() -> None:
    pace = Pace(0)
    for _ in range(1000):
        pace.spend(1 << 20, 0.0)
    assert pace.wait_s(0.0) == 0


@given(
    st.integers(1_000, 10_000_000),
    st.lists(st.tuples(st.integers(1, 2_000_000), st.floats(0, 30)), min_size=1, max_size=60),
)
def test_over_any_time_not_more_than_the_rate_a_second_and_one_message(
    rate: int, sends: list[tuple[int, float]]
) -> None:
    pace, now, sent = Pace(rate), 50.0, 0
    pace.wait_s(now)
    for size, idle in sends:
        now += idle
        now += pace.wait_s(now)
        assert sent <= rate * (now - 50.0) + rate + 1e-3, "what went before this one, within what was allowed"
        pace.spend(size, now)
        sent += on_wire(size)


def test_a_line_that_always_has_something_to_send_is_used_in_full() -> None:
    pace, now, sent = Pace(25_000), 0.0, 0
    while now < 600:
        wait = pace.wait_s(now)
        if wait:
            now += wait
            continue
        pace.spend(40_000, now)
        sent += on_wire(40_000)
    assert 600 * 25_000 <= sent <= 602 * 25_000 + on_wire(40_000)


def test_what_is_saved_up_is_one_second_of_the_rate() -> None:
    pace = Pace(10_000)
    pace.wait_s(0.0)
    pace.spend(30_000, 3600.0)
    assert pace.wait_s(3600.0) == pytest.approx((on_wire(30_000) - 10_000) / 10_000)


def test_a_clock_that_goes_back_pays_no_debt() -> None:
    pace = Pace(1000)
    pace.spend(5000, 100.0)
    before = pace.wait_s(100.0)
    assert pace.wait_s(90.0) == before
    assert pace.wait_s(91.0) == pytest.approx(before - 1)


def test_headers_count() -> None:
    assert on_wire(100) > 200
    assert 1.05 * 1_000_000 < on_wire(1_000_000) < 1.08 * 1_000_000
