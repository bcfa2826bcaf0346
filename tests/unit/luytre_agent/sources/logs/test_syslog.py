from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from luytre_agent.sources.logs.syslog import clean, header

HANOI = timezone(timedelta(hours=7))
NOW = datetime(2026, 11, 23, 22, 30, tzinfo=HANOI).timestamp()


def when(text: str, now: float = NOW) -> str:
    found = header(f"{text} web-01 sshd[812]: x", now, HANOI)
    assert found
    return datetime.fromtimestamp(found.time / 1e6, UTC).isoformat()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Nov 23 22:11:00", "2026-11-23T15:11:00+00:00"),
        ("Nov  3 22:11:00", "2026-11-03T15:11:00+00:00"),
        ("2026-11-23T22:11:00.123456+07:00", "2026-11-23T15:11:00.123456+00:00"),
        ("2026-11-23T22:11:00.123456Z", "2026-11-23T22:11:00.123456+00:00"),
        ("2026-11-23T22:11:00+0700", "2026-11-23T15:11:00+00:00"),
        ("2026-11-23T22:11:00", "2026-11-23T15:11:00+00:00"),
        ("Dec 24 00:00:00", "2025-12-23T17:00:00+00:00"),
        ("Nov 24 22:00:00", "2026-11-24T15:00:00+00:00"),
    ],
)
def test_times(text: str, wanted: str) -> None:
    assert when(text) == wanted


def test_around_new_year() -> None:
    new_year = datetime(2027, 1, 1, 0, 0, 5, tzinfo=HANOI).timestamp()
    assert when("Dec 31 23:59:59", new_year) == "2026-12-31T16:59:59+00:00"
    assert when("Jan  1 00:00:04", new_year) == "2026-12-31T17:00:04+00:00"
    assert when("Jan  1 00:00:10", new_year - 60) == "2026-12-31T17:00:10+00:00", "our clock is a little behind"


def test_the_day_that_most_years_have_not() -> None:
    assert when("Feb 29 12:00:00") == "2024-02-29T05:00:00+00:00"


@pytest.mark.parametrize(
    ("line", "program", "pid", "message"),
    [
        ("Nov 23 22:11:00 h sshd[812]: Failed", "sshd", 812, "Failed"),
        ("Nov 23 22:11:00 h sudo:     lan : TTY=x", "sudo", 0, "    lan : TTY=x"),
        ("Nov 23 22:11:00 h /usr/sbin/cron[1]: x", "cron", 1, "x"),
        ("Nov 23 22:11:00 h polkitd(authority=local): x", "polkitd", 0, "x"),
        ("Nov 23 22:11:00 h sshd(pam_unix)[812]: x", "sshd", 812, "x"),
        ("<38>Nov 23 22:11:00 h su[99999999999]: x", "", 0, ""),
        ("<38>Nov 23 22:11:00 h su[9999999999]: x", "su", 0, "x"),
        ("Nov 23 22:11:00 h nginx[5]: sshd[812]: Accepted password", "nginx", 5, "sshd[812]: Accepted password"),
        ("Nov 23 22:11:00 h last message repeated 3 times", "", 0, ""),
        ("Nox 23 22:11:00 h sshd: x", "", 0, ""),
        ("Feb 30 22:11:00 h sshd: x", "", 0, ""),
        ("Nov 23 25:11:00 h sshd: x", "", 0, ""),
        ("2026-13-23T22:11:00Z h sshd: x", "", 0, ""),
        ("sshd[812]: Accepted password", "", 0, ""),
        ("", "", 0, ""),
    ],
)
def test_headers(line: str, program: str, pid: int, message: str) -> None:
    found = header(line, NOW, HANOI)
    if program:
        assert found
        assert (found.program, found.pid, found.message) == (program, pid, message)
    else:
        assert found is None


def test_text_cannot_act() -> None:
    assert clean(b"a\x1b[2J\x00\x7f\xff\n") == "a\\x1b[2J\\x00\\x7f\ufffd\\x0a"
    assert clean("cây tre\t".encode()) == "cây tre\\x09"


def test_text_does_not_grow() -> None:
    for byte in (b"\0", b"\xff", b"x", "🎋".encode()):
        text = clean(byte * 8192)
        assert 8188 <= len(text.encode()) <= 8192
        assert not text.endswith("\ufffd") or byte == b"\xff"
