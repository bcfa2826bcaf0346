"""Settings that clients send: obeyed within limits, ignored, or refused."""

from __future__ import annotations

import pytest
from luytre_collector.store import readonly
from luytre_collector.store.guest import AnswerError
from luytre_collector.store.guest.limits import settings

CONFIG = readonly.Config(max_seconds=60, max_rows=1000, max_bytes=1 << 20, max_memory_bytes=1 << 30)


@pytest.mark.parametrize(
    ("name", "value", "chosen"),
    [
        ("max_execution_time", "5", 5),
        ("max_execution_time", "0.2", 1),
        ("max_execution_time", "600", 60),
        ("max_execution_time", "0", 60),
        ("max_execution_time", "-1", 60),
        ("max_result_rows", "18446744073709551615", 1000),
        ("max_memory_usage", "0", 1 << 30),
        ("session_timezone", "Asia/Tokyo", "Asia/Tokyo"),
        ("session_timezone", "", "UTC"),
        ("output_format_json_quote_64bit_integers", "1", "1"),
        ("date_time_output_format", "iso", "iso"),
        ("result_overflow_mode", "break", "break"),
    ],
)
def test_obeyed(name: str, value: str, chosen: int | str) -> None:
    found, ignored = settings(CONFIG, {name: value}, "UTC")
    assert (found[name], ignored) == (chosen, 0)
    assert found.keys() - {name} <= settings(CONFIG, {}, "UTC")[0].keys()


def test_a_guest_of_organisations() -> None:
    given = {"output_format_write_statistics": "1", "max_rows_to_read": "1", "log_comment": "x", "extremes": "1"}
    chosen, ignored = settings(CONFIG, given, "UTC", "hue;-,web-01")
    assert ignored == 3
    assert chosen["log_comment"] == "hue;-,web-01"
    assert (chosen["output_format_write_statistics"], chosen["extremes"]) == (0, "1")
    assert "max_rows_to_read" not in chosen
    assert "log_comment" not in settings(CONFIG, given, "UTC")[0]


def test_ignored() -> None:
    given = {
        "join_algorithm": "hash",
        "log_queries": "1",
        "http_receive_timeout": "1",
        "nonsense": "x",
        "readonly": "1",
    }
    assert settings(CONFIG, given, "UTC") == (settings(CONFIG, {}, "UTC")[0], 4)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("readonly", "0", 164),
        ("allow_ddl", "1", 497),
        ("allow_python_table_function", "1", 497),
        ("allow_introspection_functions", "1", 497),
        ("additional_table_filters", "{}", 497),
        ("role", "admin", 497),
        ("format_schema", "/etc/passwd", 497),
        ("output_format_schema", "/tmp/x", 497),
        ("format_template_resultset", "/etc/passwd", 497),
        ("s3_max_redirects", "1", 497),
        ("session_timezone", "../../etc/passwd", 36),
        ("session_timezone", "UTC' , readonly = 0 --", 36),
        ("max_execution_time", "many", 36),
        ("max_execution_time", "inf", 36),
        ("max_execution_time", "nan", 36),
        ("final", "1" * 201, 36),
    ],
)
def test_refused(name: str, value: str, code: int) -> None:
    with pytest.raises(AnswerError) as refused:
        settings(CONFIG, {name: value}, "UTC")
    assert refused.value.code == code
