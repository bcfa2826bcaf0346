"""Wrong passwords: a few, then none for a while; memory is bounded."""

from __future__ import annotations

from luytre_collector import attempts
from luytre_collector.attempts import BY_ADDRESS, BY_NAME, PERIOD_S, Attempts


def test_by_name_and_by_address() -> None:
    now = [0.0]
    one = Attempts(lambda: now[0])
    for _ in range(BY_NAME):
        assert one.wait_s("10.0.0.1", "mai") == 0
        one.failed("10.0.0.1", "mai")
    assert one.wait_s("10.0.0.1", "mai") == PERIOD_S
    assert one.wait_s("10.0.0.1", "lan") == 0
    assert one.wait_s("10.0.0.2", "mai") == 0
    for number in range(BY_ADDRESS - BY_NAME):
        one.failed("10.0.0.1", f"user{number}")
    assert one.wait_s("10.0.0.1", "lan") == PERIOD_S
    now[0] = PERIOD_S
    assert one.wait_s("10.0.0.1", "mai") == 0
    one.failed("10.0.0.1", "mai")
    assert one.wait_s("10.0.0.1", "mai") == 0


def test_all_addresses_of_a_network_of_ipv6_are_one() -> None:
    one = Attempts(lambda: 0.0)
    for number in range(BY_NAME):
        one.failed(f"2001:db8::{number:x}", "mai")
    assert one.wait_s("2001:db8::ffff", "mai") == PERIOD_S
    assert one.wait_s("2001:db8:0:1::1", "mai") == 0


def test_the_oldest_are_forgotten() -> None:
    one = Attempts(lambda: 0.0)
    for number in range(attempts._MOST):
        one.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "mai")
    assert len(one._failures) == attempts._MOST


def test_a_clock_that_was_set_back_keeps_nobody_out() -> None:
    now = [1e9]
    one = Attempts(lambda: now[0])
    for _ in range(BY_NAME):
        one.failed("10.0.0.1", "mai")
    now[0] = 5e8
    assert one.wait_s("10.0.0.1", "mai") == 0
    for _ in range(BY_NAME):
        one.failed("10.0.0.1", "mai")
    assert one.wait_s("10.0.0.1", "mai") == PERIOD_S
