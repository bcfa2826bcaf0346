"""Counters and log lines."""

import json
import logging

import pytest
from luytre_common.telemetry import Counters, RateLimited, Sample, configure_logging, gather


def test_counters_grow_and_gauges_are_set() -> None:
    counters = Counters("packets")
    counters.add("dropped", 2, "eth0")
    counters.add("dropped", label="eth0")
    counters.set("flows", 7)
    assert counters.get("dropped", "eth0") == 3
    assert counters.get("never") == 0
    assert gather([counters]) == [Sample("packets", "dropped", "eth0", 3), Sample("packets", "flows", "", 7)]


def test_values_always_fit_into_a_column() -> None:
    counters = Counters("ingest")
    for _ in range(3):
        counters.add("sequence_gap_rows", 2**63)
    counters.set("clock_skew_ms", -1)
    counters.set("other", 2**70)
    assert [sample.value for sample in counters.samples()] == [0, 2**64 - 1, 2**64 - 1]


def test_rate_limited_per_key() -> None:
    now = [0.0]
    limited = RateLimited(lambda: now[0], interval_s=10)
    assert [limited.ready("a"), limited.ready("a"), limited.ready("b")] == [True, False, True]
    now[0] = 10.0
    assert not limited.left_out("b")
    assert limited.ready("a")
    assert [limited.left_out("a"), limited.left_out("a")] == [1, 0]


def test_rate_limited_after_the_clock_was_set_back() -> None:
    now = [1000.0]
    limited = RateLimited(lambda: now[0], interval_s=10)
    assert limited.ready("a")
    now[0] = 10.0
    assert [limited.ready("a"), limited.ready("a")] == [True, False]


def test_rate_limited_remembers_so_many_keys_and_no_more() -> None:
    limited = RateLimited(lambda: 0.0)
    for number in range(3 * RateLimited._MOST_KEYS):
        assert limited.ready(f"from {number}")
        assert not limited.ready(f"from {number}")
    assert len(limited._last) == len(limited._left_out) == RateLimited._MOST_KEYS
    assert not limited.ready(f"from {3 * RateLimited._MOST_KEYS - 1}")


@pytest.mark.parametrize("form", ["text", "json"])
def test_log_lines_go_to_standard_error(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger().handlers[:]
    try:
        configure_logging("info", form)  # type: ignore[arg-type]
        logging.getLogger("luytre.x").info("đã nối %s", "a:1")
        logging.getLogger("luytre.x").debug("unseen")
    finally:
        logging.getLogger().handlers[:] = before
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1
    if form == "json":
        assert json.loads(lines[0])["message"] == "đã nối a:1"
    else:
        assert lines[0].endswith("info    luytre.x: đã nối a:1")


def test_text_lines_are_safe_to_look_at(capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger().handlers[:]
    try:
        configure_logging()
        try:
            raise ValueError("\x1b[2J\nforged")
        except ValueError:
            logging.getLogger("luytre.x").exception("host %s", "a\n2026 info forged\x1b[31m")
    finally:
        logging.getLogger().handlers[:] = before
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert shown.splitlines()[0].endswith("luytre.x: host a\\u000a2026 info forged\\u001b[31m")
    assert not any(line.startswith("2026 info") for line in shown.splitlines())
