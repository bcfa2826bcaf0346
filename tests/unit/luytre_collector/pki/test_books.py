"""What was issued and what was revoked: found again by name, serial and fingerprint, whatever was cut short."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from luytre_collector import pki
from luytre_collector.pki import books
from luytre_collector.pki.books import Books, read_revoked
from luytre_common.errors import UserError

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def clock() -> datetime:
    return NOW


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pki.init_authority(tmp_path, clock=clock)
    for name in ("web-01", "web-02"):
        pki.issue(tmp_path, name, "agent", clock=clock)
    pki.issue(tmp_path, "soc", "collector", clock=clock)
    return tmp_path


def test_every_certificate_is_in_the_books(folder: Path) -> None:
    issued = Books(folder).issued()
    assert [(one.name, one.role, one.by) for one in issued] == [
        ("web-01", "agent", "issue"),
        ("web-02", "agent", "issue"),
        ("soc", "collector", "issue"),
    ]
    assert issued[0].expires == "2027-11-30T12:00:00.000+00:00"
    assert len(issued[0].fingerprint) == len(issued[0].key) == 64
    assert (folder / "issued.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("how", ["name", "serial", "fingerprint", "FINGER:PRINT"])
def test_revoked_by(folder: Path, how: str) -> None:
    ours = Books(folder)
    first = ours.issued()[0]
    what = {
        "name": "web-01",
        "serial": first.serial.upper(),
        "fingerprint": first.fingerprint,
        "FINGER:PRINT": bytes.fromhex(first.fingerprint).hex(":").upper(),
    }[how]
    (done,) = books.revoke(ours, what, "stolen", clock)
    assert (done.name, done.serial, done.reason) == ("web-01", first.serial, "stolen")
    revoked = read_revoked(folder / "revoked.jsonl")
    assert revoked.find(int(first.serial, 16), "") == done
    assert revoked.find(0, first.fingerprint) == done
    assert revoked.find(1, "00") is None
    assert ours.standing("web-01", NOW) == []
    assert [one.name for one in ours.standing("web-02", NOW)] == ["web-02"]
    with pytest.raises(UserError, match="revoked already"):
        books.revoke(ours, what, "", clock)


def test_what_cannot_be_revoked(folder: Path) -> None:
    ours = Books(folder)
    with pytest.raises(UserError, match=r"web-09: is no certificate of these books; .*pki list"):
        books.revoke(ours, "web-09", "", clock)
    with pytest.raises(UserError, match=r"soc: is a collector's .*replace the authority"):
        books.revoke(ours, "soc", "", clock)
    with pytest.raises(UserError, match="web-01: has expired"):
        books.revoke(ours, "web-01", "", lambda: NOW + timedelta(days=400))


def test_a_certificate_of_no_books_is_revoked_by_its_number(folder: Path) -> None:
    ours = Books(folder)
    books.revoke(ours, "0A:BC:DE:F0:12:34:56:78", "", clock)
    books.revoke(ours, "ab" * 32, "", clock)
    revoked = ours.revoked()
    assert revoked.find(0xABCDEF012345678, "") is not None
    assert revoked.find(0, "ab" * 32) is not None


def test_half_a_line_is_cut_off_by_the_next(folder: Path) -> None:
    path = folder / "issued.jsonl"
    with path.open("ab") as file:
        file.write(b'{"serial": "12')
    assert len(Books(folder).issued()) == 3
    pki.issue(folder, "web-03", "agent", clock=clock)
    assert [one.name for one in Books(folder).issued()] == ["web-01", "web-02", "soc", "web-03"]


def test_books_that_are_open_elsewhere_are_followed(folder: Path) -> None:
    ours = Books(folder)
    assert len(ours.issued()) == 3
    pki.issue(folder, "web-03", "agent", clock=clock)
    assert [one.name for one in ours.issued()] == ["web-01", "web-02", "soc", "web-03"]


def test_books_that_were_cut_or_mended_by_hand_are_read_anew(folder: Path) -> None:
    path, ours = folder / "issued.jsonl", Books(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(ours.issued()) == 3
    path.write_bytes(lines[0])  # the same file
    assert [one.name for one in ours.issued()] == ["web-01"]
    with ours.open():
        ours.record(replace(ours.issued()[0], name="web-05"))
    assert [one.name for one in Books(folder).issued()] == ["web-01", "web-05"]
    path.write_bytes(lines[0] + lines[1] + b"nonsense\n")
    other = Books(folder)
    for _ in range(2):
        with pytest.raises(UserError, match="line 3 is not a certificate of ours"):
            other.issued()
    path.write_bytes(b"".join(lines))
    assert [one.name for one in other.issued()] == ["web-01", "web-02", "soc"]


def test_faults_name_file_and_line(folder: Path) -> None:
    with (folder / "issued.jsonl").open("ab") as file:
        file.write(b"{}\n")
    with pytest.raises(UserError, match=r"issued\.jsonl: line 4 is not a certificate of ours"):
        Books(folder).issued()
    for text in ("nonsense", "[]", "{}", '{"serial": "", "name": "", "fingerprint": "", "revoked": "", "reason": ""}'):
        (folder / "revoked.jsonl").write_text(text + "\n")
        with pytest.raises(UserError, match=r"revoked\.jsonl: line 1 is not a revocation"):
            read_revoked(folder / "revoked.jsonl")
    assert read_revoked(folder / "none.jsonl").entries == ()


@pytest.mark.root
def test_what_root_writes_belongs_to_whom_the_folder_belongs_to(folder: Path) -> None:
    """Or the collector, another user, could neither sign nor see what is revoked."""
    os.chown(folder, 12345, 12345)
    (folder / "issued.jsonl").unlink()
    (folder / ".lock").unlink()
    pki.issue(folder, "web-03", "agent", clock=clock)
    books.revoke(Books(folder), "web-03", "", clock)
    for name in ("issued.jsonl", "revoked.jsonl", ".lock", "web-03.key"):
        assert (folder / name).stat().st_uid == 12345, name


@pytest.mark.root
def test_a_link_in_the_place_of_a_new_file_gives_nothing_away(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder's user may put a link there between any two of root's calls: here, as soon as the file is written."""
    secret = folder.parent / "secret"
    secret.write_text("root's")
    os.chown(folder, 12345, 12345)
    sync = os.fsync

    def swap(fd: int) -> None:
        sync(fd)
        made = folder / "web-04.key"
        if made.exists() and not made.is_symlink():
            made.unlink()
            made.symlink_to(secret)

    monkeypatch.setattr(os, "fsync", swap)
    pki.issue(folder, "web-04", "agent", clock=clock)
    assert (folder / "web-04.key").is_symlink()
    assert secret.stat().st_uid == 0
