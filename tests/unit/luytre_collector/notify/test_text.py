"""Alerts in words."""

from luytre_collector.notify.text import address, document, line, local_time, time_zone

from tests.support.alerts import alert
from tests.support.batches import NOW_US


def test_vietnamese() -> None:
    text = line(alert(), "vi", "Asia/Ho_Chi_Minh")
    assert "[NGHIÊM TRỌNG] | Shell ngược từ tài khoản máy chủ web | trên web-01.hue.example" in text
    assert "người dùng www-data" in text
    assert "+07" in text


def test_without_a_vietnamese_name_the_english_one_is_shown() -> None:
    assert "Reverse Shell" in line(alert(rule_name_vi=""), "vi", "UTC")


def test_what_is_absent_is_not_shown() -> None:
    text = line(alert(source_ip=bytes(16), user_name="", evidence={}, threat_technique_id=()), "en", "UTC")
    assert text.endswith("| on web-01.hue.example | 10.1.0.80")


def test_long_evidence_is_cut() -> None:
    assert len(line(alert(evidence={"a": "x" * 10_000}), "en", "UTC")) < 700


def test_addresses() -> None:
    assert address(bytes(16)) == ""
    assert address(bytes(15) + b"\1") == "::1"
    assert address(bytes(10) + b"\xff\xff\x0a\x00\x00\x01") == "10.0.0.1"


def test_times_outside_the_calendar_do_not_stop_an_alert() -> None:
    assert local_time(2**62, "UTC") == f"{2**62} us"
    assert document(alert(event_time=2**62), "en", "UTC")["event_time"] == str(2**62)
    assert local_time(NOW_US, "UTC").startswith("2026-")


def test_time_zones_are_checked() -> None:
    assert time_zone("Asia/Ho_Chi_Minh") is None
    assert time_zone("Hue") is not None
    assert time_zone("../etc/passwd") is not None
