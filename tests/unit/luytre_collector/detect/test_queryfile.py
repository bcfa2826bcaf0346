# ruff: noqa: E501
from __future__ import annotations

from pathlib import Path

import pytest
from luytre_collector.detect.queryfile import why_not_select
from luytre_collector.detect.rules import load

GOOD = """title: Q
id: 0c9c3b7e-51a4-4b0c-8a0f-2f6f3c1e7d55
group: [who]
schedule: 1m
lookback: 10m
query: |
  SELECT user_name AS who FROM flows WHERE flow_end >= {from:DateTime64(6)} AND flow_end <= {to:DateTime64(6)}
"""


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "with a as (select 1) select * from a",
        "/* ; */ SELECT ';', 'it''s' -- ; \n FROM flows",
        "SELECT format('{}', url) FROM http",
    ],
)
def test_selects(sql: str) -> None:
    assert why_not_select(sql) == ""


@pytest.mark.parametrize(
    "sql",
    [
        "", "DROP TABLE flows", "SELECT 1; DROP TABLE flows", "SELECT * FROM file('/etc/passwd')", "SELECT * FROM FILE ( '/etc/passwd' )",
        "SELECT * FROM `url`('http://x')", "SELECT * FROM s3('x')", "SELECT * FROM system.tables", "SELECT 1 INTO OUTFILE 'x'",
        "SELECT 1 SETTINGS max_threads = 1", "SELECT 1 FORMAT CSV", "SELECT * FROM/**/remote('x')", "SELECT sleep(3)", "SELECT 'a' 'b'; SELECT 1",
    ],
)  # fmt: skip
def test_what_is_refused(sql: str) -> None:
    assert why_not_select(sql)


def test_a_good_rule(tmp_path: Path) -> None:
    (tmp_path / "q.yml").write_text(GOOD)
    rules = load([tmp_path])
    assert rules.faults == ()
    (one,) = rules.queries
    assert (one.every_us, one.lookback_us, one.quiet_us) == (60_000_000, 600_000_000, 3_600_000_000)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("1m", "often", 4, "not a time like"), ("[who]", "[]", 3, "give the list"), ("{to:DateTime64(6)}", "now()", 6, "use both"),
        ("SELECT", "DELETE", 6, "not a SELECT"), ("schedule: 1m", "every: 1m", 4, "unknown key"), ("title: Q", "level: low", 1, "title: missing"),
    ],
)  # fmt: skip
def test_faults(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    (tmp_path / "q.yml").write_text(GOOD.replace(old, new))
    rules = load([tmp_path])
    assert rules.queries == ()
    assert any(said in fault.message and fault.place.line == line for fault in rules.faults), rules.faults
