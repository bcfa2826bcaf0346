from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_agent.uplink.windows import Windows, windows_fault


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-30T{text}")


def test_windows_over_midnight_and_several() -> None:
    windows = Windows(["22:00-05:30", "12:00-13:00"])
    for text, expected in [
        ("21:59:59", False),
        ("22:00:00", True),
        ("23:59:59", True),
        ("00:00:00", True),
        ("05:29:59", True),
        ("05:30:00", False),
        ("12:30:00", True),
        ("13:00:00", False),
    ]:
        assert windows.open(at(text)) is expected, text
    assert windows.wait_s(at("21:59:00")) == 60
    assert windows.wait_s(at("22:00:00")) == 7.5 * 3600
    assert windows.wait_s(at("05:30:00")) == 6.5 * 3600
    assert windows.wait_s(at("12:59:59.5")) == 0.5


def test_no_windows_are_always() -> None:
    assert Windows([]).open(at("03:00:00"))
    assert Windows([]).wait_s(at("03:00:00")) is None


@given(st.lists(st.tuples(st.times(), st.times()), min_size=1, max_size=4), st.datetimes())
def test_nothing_changes_before_the_time_that_is_told(pairs: list[tuple[object, object]], now: datetime) -> None:
    texts = [f"{begin:%H:%M}-{end:%H:%M}" for begin, end in pairs]
    if windows_fault(texts) or now.year > 9990:
        return
    windows = Windows(texts)
    wait = windows.wait_s(now)
    assert wait is not None
    assert 0 < wait <= 24 * 3600

    for part in (0.25, 0.5, 0.999):
        assert windows.open(now + timedelta(seconds=wait * part)) == windows.open(now)


@pytest.mark.parametrize(
    "text", ["", "22:00", "22:00-24:00", "9:00-10:00", "22:00-05:60", "22:00 - 05:30", "08:00-08:00"]
)
def test_what_is_no_window_is_named(text: str) -> None:
    fault = windows_fault(["22:00-05:30", text])
    assert fault
    assert f'"{text}"' in fault
